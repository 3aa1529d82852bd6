//! The queue of calls: put in once, taken when due by one dialler and in turns, dialled once an attempt; on every database.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use engine::call::state::{CallState, CarrierStatus, Step};
use store::{
    CallNews, CallingOff, ClaimedCall, Dial, Enqueued, Lease, NewCallEvent, Pace, Sql, StoredCall,
    Told,
};

use crate::backend::Backend;
use crate::conversations;

pub(crate) const FAST: Pace = Pace {
    calls: 1000,
    within: TimeDelta::seconds(60),
};

/// A time that both databases keep as it is.
pub(crate) fn at(second: i64) -> DateTime<Utc> {
    conversations::at(second).trunc_subsecs(6)
}

/// A call that is due from a second on.
pub(crate) fn due(id: &str, second: i64) -> StoredCall {
    StoredCall {
        id: id.to_owned(),
        project: "default".to_owned(),
        provider: "twilio".to_owned(),
        direction: "outbound".to_owned(),
        state: "queued".to_owned(),
        account: "main".to_owned(),
        callee: Some("print".to_owned()),
        attempt_number: 1,
        priority: 3,
        details: b"{}".to_vec(),
        created_at: at(second),
        updated_at: at(second),
        due_at: Some(at(second)),
        ..StoredCall::default()
    }
}

pub(crate) async fn enqueue(sql: &Sql, tenant: &str, call: &StoredCall) {
    let put = sql.enqueue_call(tenant, call, &[]).await.unwrap();
    assert_eq!(put, Enqueued::New, "{}", call.id);
}

pub(crate) async fn claim(
    sql: &Sql,
    owner: &str,
    second: i64,
    pace: Pace,
    limit: u32,
) -> Vec<ClaimedCall> {
    let lease = Lease {
        owner,
        now: at(second),
        until: at(second + 30),
        limit,
    };
    sql.claim_calls("main", pace, lease).await.unwrap()
}

fn names(claimed: &[ClaimedCall]) -> Vec<String> {
    let names = claimed
        .iter()
        .map(|call| format!("{} {}", call.tenant, call.id));
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

async fn a_request_that_comes_again_is_the_same_call(on: Backend) {
    let sql = &on.sql;
    let mut call = due("call_1", 0);
    call.request_key = Some("order 7".to_owned());
    enqueue(sql, "acme", &call).await;
    let mut again = due("call_2", 0);
    again.request_key.clone_from(&call.request_key);
    let known = Enqueued::Known("call_1".to_owned());
    assert_eq!(sql.enqueue_call("acme", &again, &[]).await.unwrap(), known);
    assert_eq!(sql.find_call("acme", "call_2").await.unwrap(), None);
    // of another tenant it is another request, and without a key every call is one of its own
    enqueue(sql, "rival", &again).await;
    enqueue(sql, "acme", &due("call_3", 0)).await;
    let taken = sql
        .enqueue_call("acme", &due("call_3", 0), &[])
        .await
        .unwrap();
    assert_eq!(taken, Enqueued::Taken);
    again.request_key = Some("a\0".to_owned());
    assert!(sql.enqueue_call("acme", &again, &[]).await.is_err());
}

async fn tenants_take_turns_and_the_urgent_goes_first(on: Backend) {
    let sql = &on.sql;
    for n in 0..6 {
        enqueue(sql, "acme", &due(&format!("a{n}"), n)).await;
    }
    let mut urgent = due("urgent", 9);
    urgent.priority = 1;
    enqueue(sql, "acme", &urgent).await;
    enqueue(sql, "rival", &due("r0", 9)).await;
    enqueue(sql, "rival", &due("later", 100)).await;
    let mut other = due("elsewhere", 0);
    "second".clone_into(&mut other.account);
    enqueue(sql, "acme", &other).await;

    let first = claim(sql, "one", 10, FAST, 3).await;
    assert_eq!(names(&first), ["acme a0", "acme urgent", "rival r0"]);
    // acme had two a moment ago; somebody new comes before its next
    enqueue(sql, "third", &due("t0", 9)).await;
    let second = claim(sql, "two", 11, FAST, 2).await;
    assert_eq!(names(&second), ["acme a1", "third t0"]);
    let rest = claim(sql, "two", 12, FAST, 99).await;
    assert_eq!(rest.len(), 4);
    assert!(claim(sql, "two", 12, FAST, 99).await.is_empty());
}

async fn an_account_is_not_asked_faster_than_it_may_be(on: Backend) {
    let sql = &on.sql;
    for n in 0..9 {
        enqueue(sql, "acme", &due(&format!("a{n}"), 0)).await;
    }
    let slow = Pace {
        calls: 3,
        within: TimeDelta::seconds(10),
    };
    assert_eq!(claim(sql, "one", 100, slow, 2).await.len(), 2);
    assert_eq!(claim(sql, "two", 105, slow, 9).await.len(), 1);
    assert!(claim(sql, "two", 109, slow, 9).await.is_empty());
    // the two of 100 are out of the stretch, the one of 105 is not
    let third = claim(sql, "two", 110, slow, 9).await;
    assert_eq!(third.len(), 2);
    // what was not placed after all does not count
    assert!(
        sql.defer_call(&third[0], "two", at(500), at(110))
            .await
            .unwrap()
    );
    assert_eq!(claim(sql, "two", 111, slow, 9).await.len(), 1);
}

async fn diallers_at_once_never_get_the_same_call_and_keep_the_pace_together(on: Backend) {
    let sql = &on.sql;
    for n in 0..60 {
        enqueue(sql, "acme", &due(&format!("a{n}"), 0)).await;
    }
    let slow = Pace {
        calls: 40,
        within: TimeDelta::seconds(60),
    };
    let mut diallers = tokio::task::JoinSet::new();
    for dialler in 0..6 {
        let sql = sql.clone();
        diallers.spawn(async move {
            let owner = format!("d{dialler}");
            let mut got = Vec::new();
            loop {
                let claimed = claim(&sql, &owner, 1, slow, 7).await;
                if claimed.is_empty() {
                    return got;
                }
                got.extend(claimed.into_iter().map(|call| call.id));
            }
        });
    }
    let got: Vec<String> = diallers.join_all().await.into_iter().flatten().collect();
    let different: HashSet<&String> = got.iter().collect();
    assert_eq!((got.len(), different.len()), (40, 40));
}

async fn an_attempt_is_dialled_once(on: Backend) {
    let sql = &on.sql;
    enqueue(sql, "acme", &due("call_1", 0)).await;
    let call = claim(sql, "one", 0, FAST, 9).await.remove(0);
    assert_eq!((call.attempt, call.callee.as_deref()), (1, Some("print")));
    let begin = async |owner: &str, second| {
        let begun = sql.begin_attempt(&call, owner, at(second), 99).await;
        begun.unwrap()
    };
    assert_eq!(begin("two", 1).await, Dial::NotOurs);
    // whoever does not come back in time loses it
    assert_eq!(begin("one", 30).await, Dial::NotOurs);
    let again = claim(sql, "two", 30, FAST, 9).await.remove(0);
    assert_eq!(again, call);
    assert_eq!(begin("one", 31).await, Dial::NotOurs);
    assert_eq!(begin("two", 31).await, Dial::Go);
    assert_eq!(begin("two", 31).await, Dial::Begun);
    assert_eq!(begin("one", 31).await, Dial::Begun);
    assert!(claim(sql, "three", 999, FAST, 9).await.is_empty());
    assert!(!sql.defer_call(&call, "two", at(99), at(32)).await.unwrap());
    let dialled = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    assert_eq!(
        (&*dialled.state, dialled.started_at),
        ("dialing", Some(at(31)))
    );
    // a dialler that died over it has left a call that nobody looks after
    let orphans = sql.orphaned_calls(at(92), 9).await.unwrap();
    assert_eq!(orphans, [("acme".to_owned(), "call_1".to_owned())]);
    // of another tenant there is no such call
    let strange = ClaimedCall {
        tenant: "rival".to_owned(),
        ..call.clone()
    };
    let refused = sql
        .begin_attempt(&strange, "two", at(31), 99)
        .await
        .unwrap();
    assert_eq!(refused, Dial::NotOurs);
    let attempts = sql.call_attempts("acme", "call_1").await.unwrap();
    assert_eq!((attempts.len(), attempts[0].dialed_at), (1, at(31)));
    assert!(
        sql.call_attempts("rival", "call_1")
            .await
            .unwrap()
            .is_empty()
    );
}

async fn many_who_begin_an_attempt_at_once_let_one_dial(on: Backend) {
    let sql = &on.sql;
    enqueue(sql, "acme", &due("call_1", 0)).await;
    let call = claim(sql, "one", 0, FAST, 9).await.remove(0);
    let mut beginning = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (sql, call) = (sql.clone(), call.clone());
        beginning.spawn(async move { sql.begin_attempt(&call, "one", at(1), 99).await.unwrap() });
    }
    let begun = beginning.join_all().await;
    assert_eq!(begun.iter().filter(|dial| **dial == Dial::Go).count(), 1);
    assert_eq!(begun.iter().filter(|dial| **dial == Dial::Begun).count(), 5);
}

async fn a_call_is_put_off_and_tried_again(on: Backend) {
    let sql = &on.sql;
    enqueue(sql, "acme", &due("call_1", 0)).await;
    let call = claim(sql, "one", 0, FAST, 9).await.remove(0);
    assert!(!sql.defer_call(&call, "two", at(50), at(1)).await.unwrap());
    assert!(sql.defer_call(&call, "one", at(50), at(1)).await.unwrap());
    assert!(claim(sql, "one", 49, FAST, 9).await.is_empty());
    let call = claim(sql, "one", 50, FAST, 9).await.remove(0);
    assert_eq!(
        sql.begin_attempt(&call, "one", at(50), 99).await.unwrap(),
        Dial::Go
    );
    let busy = CallNews {
        carrier_status: Some("busy"),
        carrier_call_id: Some("CA1"),
        ..CallNews::of(
            CarrierStatus::Busy.step(1),
            NewCallEvent::new("carrier", "busy", at(60)),
        )
    };
    let told = sql.tell_call(("acme", "call_1"), &busy, &[]).await.unwrap();
    assert!(matches!(told, Told::Changed(now) if now.state == CallState::Ended));
    let again = CallNews {
        due_at: Some(at(100)),
        ..CallNews::of(
            Step::to(2, CallState::Scheduled),
            NewCallEvent::new("dialler", "retry", at(60)),
        )
    };
    let told = sql
        .tell_call(("acme", "call_1"), &again, &[])
        .await
        .unwrap();
    assert!(matches!(told, Told::Changed(now) if now.attempt == 2 && now.outcome.is_none()));
    // it waits and is nobody's to look after
    assert!(sql.orphaned_calls(at(9999), 9).await.unwrap().is_empty());
    assert!(claim(sql, "one", 99, FAST, 9).await.is_empty());
    let second = claim(sql, "one", 100, FAST, 9).await.remove(0);
    assert_eq!(second.attempt, 2);
    assert_eq!(
        sql.begin_attempt(&call, "one", at(100), 99).await.unwrap(),
        Dial::Begun
    );
    assert_eq!(
        sql.begin_attempt(&second, "one", at(100), 99)
            .await
            .unwrap(),
        Dial::Go
    );
    let attempts = sql.call_attempts("acme", "call_1").await.unwrap();
    let rows: Vec<_> = attempts
        .iter()
        .map(|row| {
            (
                row.attempt,
                &*row.state,
                row.outcome.as_deref(),
                row.carrier_call_id.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            (1, "ended", Some("busy"), Some("CA1")),
            (2, "dialing", None, None)
        ]
    );
    let count = async |tenant: &str, since| {
        sql.attempts_since(tenant, "print", at(since))
            .await
            .unwrap()
    };
    assert_eq!(count("acme", 0).await, 2);
    assert_eq!(count("acme", 50).await, 1);
    assert_eq!(count("rival", 0).await, 0);
}

async fn a_call_that_is_called_off_is_not_placed(on: Backend) {
    let sql = &on.sql;
    enqueue(sql, "acme", &due("call_1", 0)).await;
    let call = claim(sql, "one", 0, FAST, 9).await.remove(0);
    let off =
        async |tenant: &str, id: &str| sql.cancel_call((tenant, id), &[], at(1)).await.unwrap();
    assert_eq!(off("rival", "call_1").await, CallingOff::Missing);
    assert_eq!(off("acme", "call_1").await, CallingOff::Done);
    assert_eq!(
        off("acme", "call_1").await,
        CallingOff::TooLate(CallState::Cancelled)
    );
    // whoever had claimed it learns that before he dials
    assert_eq!(
        sql.begin_attempt(&call, "one", at(2), 99).await.unwrap(),
        Dial::NotOurs
    );
    assert!(claim(sql, "one", 99, FAST, 9).await.is_empty());
    enqueue(sql, "acme", &due("call_2", 0)).await;
    let call = claim(sql, "one", 0, FAST, 9).await.remove(0);
    assert_eq!(
        sql.begin_attempt(&call, "one", at(2), 99).await.unwrap(),
        Dial::Go
    );
    assert_eq!(
        off("acme", "call_2").await,
        CallingOff::TooLate(CallState::Dialing)
    );
}

stories!(
    a_request_that_comes_again_is_the_same_call,
    tenants_take_turns_and_the_urgent_goes_first,
    an_account_is_not_asked_faster_than_it_may_be,
    diallers_at_once_never_get_the_same_call_and_keep_the_pace_together,
    an_attempt_is_dialled_once,
    many_who_begin_an_attempt_at_once_let_one_dial,
    a_call_is_put_off_and_tried_again,
    a_call_that_is_called_off_is_not_placed,
);
