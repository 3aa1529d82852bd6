//! What stands between a claim and the dial: it is asked again in the statement that begins the attempt; on every database.

use engine::call::state::{CallState, CarrierStatus, Step};
use store::{CallNews, ClaimedCall, Dial, NewCallEvent, Sql, StoredCall};

use crate::backend::Backend;
use crate::call_queue::{FAST, at, claim, due, enqueue};

async fn callee_of(sql: &Sql, number: &str) -> String {
    sql.callee(number).await.unwrap().as_str().to_owned()
}

/// Puts a call to `number` in and claims it.
async fn claimed(sql: &Sql, id: &str, number: &str, second: i64) -> ClaimedCall {
    let call = StoredCall {
        callee: Some(callee_of(sql, number).await),
        ..due(id, second)
    };
    enqueue(sql, "acme", &call).await;
    claim(sql, "one", second, FAST, 9).await.remove(0)
}

async fn begin(sql: &Sql, call: &ClaimedCall, second: i64, a_day: u32) -> Dial {
    let begun = sql.begin_attempt(call, "one", at(second), a_day).await;
    begun.unwrap()
}

async fn who_asks_not_to_be_called_after_the_claim_is_not_dialled(on: Backend) {
    let sql = &on.sql;
    let call = claimed(sql, "call_1", "+14155550100", 0).await;
    let callee = sql.callee("+14155550100").await.unwrap();
    // of another tenant it says nothing
    let rival = sql.add_do_not_call("rival", &callee, ("api", "{}"), at(1));
    assert!(rival.await.unwrap());
    let acme = sql.add_do_not_call("acme", &callee, ("api", "{}"), at(1));
    assert!(acme.await.unwrap());
    assert_eq!(begin(sql, &call, 2, 9).await, Dial::Forbidden);
    assert!(
        sql.call_attempts("acme", "call_1")
            .await
            .unwrap()
            .is_empty()
    );
    let waits = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    assert_eq!(waits.state, "queued");
    sql.remove_do_not_call("acme", &callee).await.unwrap();
    assert_eq!(begin(sql, &call, 3, 9).await, Dial::Go);
}

async fn a_call_whose_time_was_moved_is_not_dialled(on: Backend) {
    let sql = &on.sql;
    let call = claimed(sql, "call_1", "+14155550100", 0).await;
    let mut moved = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    moved.due_at = Some(at(20));
    assert!(sql.update_call("acme", &moved, &[]).await.unwrap());
    assert_eq!(begin(sql, &call, 19, 9).await, Dial::Forbidden);
    assert_eq!(begin(sql, &call, 20, 9).await, Dial::Go);
}

async fn a_call_that_says_not_whom_it_calls_is_not_dialled(on: Backend) {
    let sql = &on.sql;
    let nobody = StoredCall {
        callee: None,
        ..due("call_1", 0)
    };
    enqueue(sql, "acme", &nobody).await;
    let call = claim(sql, "one", 0, FAST, 9).await.remove(0);
    assert_eq!(begin(sql, &call, 1, 9).await, Dial::Forbidden);
}

async fn a_number_is_dialled_so_often_a_day_by_however_many_calls_at_once(on: Backend) {
    let sql = &on.sql;
    let callee = callee_of(sql, "+14155550100").await;
    for n in 0..6 {
        let call = StoredCall {
            callee: Some(callee.clone()),
            ..due(&format!("call_{n}"), 0)
        };
        enqueue(sql, "acme", &call).await;
    }
    let calls = claim(sql, "one", 0, FAST, 9).await;
    let mut beginning = tokio::task::JoinSet::new();
    for call in calls.clone() {
        let sql = sql.clone();
        beginning.spawn(async move { begin(&sql, &call, 1, 2).await });
    }
    let begun = beginning.join_all().await;
    let went = begun.iter().filter(|dial| **dial == Dial::Go).count();
    let waited = begun.iter().filter(|dial| **dial == Dial::Forbidden);
    assert_eq!((went, waited.count()), (2, 4));
    // somebody else is somebody else
    let other = claimed(sql, "other", "+14155550101", 2).await;
    assert_eq!(begin(sql, &other, 2, 2).await, Dial::Go);
}

async fn the_next_attempt_begins_with_nothing_of_the_one_before(on: Backend) {
    let sql = &on.sql;
    let call = claimed(sql, "call_1", "+14155550100", 0).await;
    assert_eq!(begin(sql, &call, 1, 9).await, Dial::Go);
    let live = CallNews {
        carrier_status: Some("in-progress"),
        carrier_call_id: Some("CA1"),
        ..CallNews::of(
            Step::to(1, CallState::Live),
            NewCallEvent::new("carrier", "answered", at(2)),
        )
    };
    let acme = ("acme", "call_1");
    sql.tell_call(acme, &live, &[]).await.unwrap();
    let mut spoken = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    spoken.stream_id = Some("MZ1".to_owned());
    spoken.session = Some("sess_1".to_owned());
    spoken.answered_by = Some("machine".to_owned());
    spoken.disclosed_ms = Some(900);
    assert!(sql.update_call("acme", &spoken, &[]).await.unwrap());
    let failed = CallNews {
        error: Some("the carrier failed"),
        ..CallNews::of(
            CarrierStatus::Failed.step(1),
            NewCallEvent::new("carrier", "failed", at(3)),
        )
    };
    sql.tell_call(acme, &failed, &[]).await.unwrap();
    let again = CallNews {
        due_at: Some(at(60)),
        ..CallNews::of(
            Step::to(2, CallState::Scheduled),
            NewCallEvent::new("dialler", "retry", at(4)),
        )
    };
    sql.tell_call(acme, &again, &[]).await.unwrap();
    let next = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    let expected = StoredCall {
        attempt_number: 2,
        state: "scheduled".to_owned(),
        due_at: Some(at(60)),
        updated_at: at(4),
        version: next.version,
        callee: next.callee.clone(),
        ..due("call_1", 0)
    };
    assert_eq!(next, expected);
    // what the first was is in its own row
    let attempts = sql.call_attempts("acme", "call_1").await.unwrap();
    assert_eq!(attempts[0].carrier_call_id.as_deref(), Some("CA1"));
    assert_eq!(attempts[0].outcome.as_deref(), Some("failed"));
}

async fn an_attempt_that_rang_nobody_does_not_count_and_silence_is_found(on: Backend) {
    let sql = &on.sql;
    let call = claimed(sql, "call_1", "+14155550100", 0).await;
    assert_eq!(begin(sql, &call, 1, 1).await, Dial::Go);
    let callee = callee_of(sql, "+14155550100").await;
    let count = async || sql.attempts_since("acme", &callee, at(0)).await.unwrap();
    assert_eq!(count().await, 1);
    assert!(sql.call_attempts("acme", "call_1").await.unwrap()[0].rang);
    sql.nobody_was_rung(("acme", "call_1", 1)).await.unwrap();
    assert_eq!(count().await, 0);
    assert!(!sql.call_attempts("acme", "call_1").await.unwrap()[0].rang);
    assert!(sql.silent_calls(at(1), 9).await.unwrap().is_empty());
    let silent = sql.silent_calls(at(2), 9).await.unwrap();
    assert_eq!(silent, [("acme".to_owned(), "call_1".to_owned())]);
    // a call that waits, and one that came in, is not silent
    let again = CallNews {
        due_at: Some(at(60)),
        ..CallNews::of(
            Step::to(1, CallState::Live),
            NewCallEvent::new("carrier", "answered", at(2)),
        )
    };
    sql.tell_call(("acme", "call_1"), &again, &[])
        .await
        .unwrap();
    assert!(sql.silent_calls(at(99), 9).await.unwrap().is_empty());
    // hung up before anybody answered: somebody has to see to it that it stops ringing
    let rings = claimed(sql, "call_2", "+14155550101", 10).await;
    assert_eq!(begin(sql, &rings, 11, 1).await, Dial::Go);
    let event = NewCallEvent::new("api", "hangup", at(12));
    let ending = CallNews::of(Step::to(1, CallState::Ending), event);
    sql.tell_call(("acme", "call_2"), &ending, &[])
        .await
        .unwrap();
    let silent = sql.silent_calls(at(99), 9).await.unwrap();
    assert_eq!(silent, [("acme".to_owned(), "call_2".to_owned())]);
    // nothing can be done about it now: others come first
    sql.look_later(("acme", "call_2"), at(98)).await.unwrap();
    assert!(sql.silent_calls(at(98), 9).await.unwrap().is_empty());
    assert_eq!(sql.silent_calls(at(99), 9).await.unwrap().len(), 1);
}

async fn a_call_costs_what_its_attempts_do_together(on: Backend) {
    let sql = &on.sql;
    let acme = ("acme", "call_1");
    let mut total = 0;
    for (attempt, micros) in [(1, 100), (2, 250)] {
        let second = attempt * 100;
        let call = if attempt == 1 {
            claimed(sql, "call_1", "+14155550100", second).await
        } else {
            claim(sql, "one", second, FAST, 9).await.remove(0)
        };
        assert_eq!(begin(sql, &call, second, 9).await, Dial::Go);
        let notes = store::CallNotes {
            actual_micros: Some(micros),
            ..store::CallNotes::default()
        };
        assert!(
            sql.note_call(("acme", "call_1", attempt), notes)
                .await
                .unwrap()
        );
        total += micros;
        let found = sql.find_call("acme", "call_1").await.unwrap().unwrap();
        assert_eq!(found.actual_micros, Some(total));
        let number = u32::try_from(attempt).unwrap();
        let failed = CallNews::of(
            CarrierStatus::Failed.step(number),
            NewCallEvent::new("carrier", "failed", at(second + 1)),
        );
        sql.tell_call(acme, &failed, &[]).await.unwrap();
        let again = CallNews {
            due_at: Some(at(second + 50)),
            ..CallNews::of(
                Step::to(number + 1, CallState::Scheduled),
                NewCallEvent::new("dialler", "retry", at(second + 2)),
            )
        };
        sql.tell_call(acme, &again, &[]).await.unwrap();
    }
}

stories!(
    who_asks_not_to_be_called_after_the_claim_is_not_dialled,
    a_call_whose_time_was_moved_is_not_dialled,
    a_call_that_says_not_whom_it_calls_is_not_dialled,
    a_number_is_dialled_so_often_a_day_by_however_many_calls_at_once,
    the_next_attempt_begins_with_nothing_of_the_one_before,
    an_attempt_that_rang_nobody_does_not_count_and_silence_is_found,
    a_call_costs_what_its_attempts_do_together,
);
