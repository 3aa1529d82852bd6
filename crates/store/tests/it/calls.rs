//! Telephone calls: found by either name, changed by one at a time, ended once, and what was said in them; on every
//! database.

use chrono::TimeDelta;
use engine::call::state::{CallState, Step};
use store::{CallNews, CallTurn, NewCallEvent, NewEffect, Speaker, StoredCall, Told};

use crate::backend::Backend;
use crate::conversations::at;

fn call(id: &str) -> StoredCall {
    StoredCall {
        id: id.to_owned(),
        project: "default".to_owned(),
        provider: "twilio".to_owned(),
        direction: "outbound".to_owned(),
        state: "queued".to_owned(),
        attempt_number: 1,
        priority: 3,
        lead: Some("lead-7".to_owned()),
        details: br#"{"to":"+15550100","objective":"a quote"}"#.to_vec(),
        created_at: at(0),
        updated_at: at(0),
        ..StoredCall::default()
    }
}

fn summarise(id: &str) -> NewEffect {
    NewEffect {
        id: format!("summarise {id}"),
        topic: "summarise".to_owned(),
        payload: format!(r#"{{"call":"{id}"}}"#),
        due_at: at(0),
    }
}

async fn a_call_is_found_by_either_name_and_changed_by_one_at_a_time(on: Backend) {
    let sql = &on.sql;
    let new = call("call_1");
    assert!(sql.create_call("acme", &new, &[]).await.unwrap());
    assert!(!sql.create_call("acme", &new, &[]).await.unwrap());
    let mut seen = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    assert_eq!(seen.details, new.details);
    assert_eq!((seen.version, seen.lead.as_deref()), (0, Some("lead-7")));
    assert_eq!(sql.find_call("rival", "call_1").await.unwrap(), None);
    assert_eq!(sql.find_call("acme", "call\0").await.unwrap(), None);

    let stale = seen.clone();
    seen.carrier_call_id = Some("CA1".to_owned());
    "live".clone_into(&mut seen.state);
    seen.quote_micros = Some(1_500_000);
    seen.appointment_at = Some(at(0) + TimeDelta::days(3));
    seen.details = br#"{"to":"+15550100","summary":"yes"}"#.to_vec();
    assert!(sql.update_call("acme", &seen, &[]).await.unwrap());
    assert!(!sql.update_call("acme", &stale, &[]).await.unwrap());
    let name = ("twilio", "CA1");
    let now = sql.find_carrier_call("acme", name).await.unwrap().unwrap();
    assert_eq!((now.version, &*now.state), (1, "live"));
    assert_eq!(
        (&now.details, now.quote_micros),
        (&seen.details, seen.quote_micros)
    );
    assert!(now.appointment_at.unwrap() > at(0));
    assert_eq!(sql.find_carrier_call("rival", name).await.unwrap(), None);
    // what the carrier calls so is one call
    let mut double = call("call_2");
    double.carrier_call_id = Some("CA1".to_owned());
    assert!(!sql.create_call("acme", &double, &[]).await.unwrap());
    assert!(sql.create_call("rival", &double, &[]).await.unwrap());
    // and calls that the carrier does not know yet are many
    assert!(sql.create_call("acme", &call("call_3"), &[]).await.unwrap());
    assert!(sql.create_call("acme", &call("call_4"), &[]).await.unwrap());
}

async fn a_call_ends_once_and_what_follows_is_put_in_with_that(on: Backend) {
    let sql = &on.sql;
    assert!(sql.create_call("acme", &call("call_1"), &[]).await.unwrap());
    let mut ending = tokio::task::JoinSet::new();
    for n in 0..6 {
        let sql = sql.clone();
        ending.spawn(async move {
            let effects = [NewEffect {
                id: format!("summarise by {n}"),
                ..summarise("call_1")
            }];
            sql.finalize_call(("acme", "call_1", 1), None, &effects, at(9))
                .await
                .unwrap()
        });
    }
    let won = ending
        .join_all()
        .await
        .into_iter()
        .filter(|won| *won)
        .count();
    assert_eq!(won, 1);
    let todo = sql.claim_effects(("summarise", "me"), at(9), at(99), 9);
    assert_eq!(todo.await.unwrap().len(), 1);
    let ended = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    assert!(ended.finalized_at.is_some());
    assert!(!sql.touch_call(("acme", "call_1", 1), at(10)).await.unwrap());
    assert!(
        !sql.finalize_call(("acme", "call_9", 1), None, &[], at(9))
            .await
            .unwrap()
    );
}

async fn a_change_that_is_refused_puts_nothing_in(on: Backend) {
    let sql = &on.sql;
    let effects = [summarise("call_1")];
    assert!(sql.create_call("acme", &call("call_1"), &[]).await.unwrap());
    assert!(
        !sql.create_call("acme", &call("call_1"), &effects)
            .await
            .unwrap()
    );
    let mut stale = call("call_1");
    stale.version = 7;
    assert!(!sql.update_call("acme", &stale, &effects).await.unwrap());
    let todo = sql.claim_effects(("summarise", "me"), at(9), at(99), 9);
    assert!(todo.await.unwrap().is_empty());
}

async fn calls_that_nobody_looks_after_are_found(on: Backend) {
    let sql = &on.sql;
    for (tenant, id) in [
        ("acme", "dead"),
        ("acme", "alive"),
        ("rival", "dead"),
        ("acme", "done"),
        ("acme", "new"),
    ] {
        let mut call = call(id);
        if id != "new" {
            "live".clone_into(&mut call.state);
        }
        assert!(sql.create_call(tenant, &call, &[]).await.unwrap());
        // a call that waits for its turn is nobody's to look after, and neither is an attempt that another one followed
        assert!(!sql.touch_call((tenant, id, 2), at(0)).await.unwrap());
        assert_eq!(
            sql.touch_call((tenant, id, 1), at(0)).await.unwrap(),
            id != "new"
        );
        if id != "new" {
            assert!(
                !sql.finalize_call((tenant, id, 2), None, &[], at(0))
                    .await
                    .unwrap()
            );
        }
    }
    assert!(sql.touch_call(("acme", "alive", 1), at(50)).await.unwrap());
    assert!(
        sql.finalize_call(("acme", "done", 1), None, &[], at(5))
            .await
            .unwrap()
    );
    let orphans = sql.orphaned_calls(at(40), 9).await.unwrap();
    let found: Vec<_> = orphans
        .iter()
        .map(|(tenant, id)| (&**tenant, &**id))
        .collect();
    assert_eq!(found, [("acme", "dead"), ("rival", "dead")]);
}

async fn turns_are_added_once_and_read_in_order(on: Backend) {
    let sql = &on.sql;
    assert!(sql.create_call("acme", &call("call_1"), &[]).await.unwrap());
    let turn = |seq, speaker, text| CallTurn {
        seq,
        speaker,
        item: "item_1",
        started_ms: seq * 1000,
        ended_ms: seq * 1000 + 900,
        interrupted: seq == 2,
        source: "stt",
        text,
    };
    for told in [
        turn(2, Speaker::Agent, "good day"),
        turn(1, Speaker::Caller, "hello"),
    ] {
        assert!(sql.add_call_turn("acme", "call_1", &told).await.unwrap());
        assert!(!sql.add_call_turn("acme", "call_1", &told).await.unwrap());
    }
    let lost = turn(1, Speaker::Caller, "nobody");
    assert!(!sql.add_call_turn("acme", "call_9", &lost).await.unwrap());
    assert!(!sql.add_call_turn("rival", "call_1", &lost).await.unwrap());
    let turns = sql.call_turns("acme", "call_1").await.unwrap();
    let said: Vec<_> = turns
        .iter()
        .map(|turn| (&*turn.role, &*turn.content, turn.interrupted))
        .collect();
    let expected: [(&str, &[u8], bool); 2] =
        [("caller", b"hello", false), ("agent", b"good day", true)];
    assert_eq!(said, expected);
    assert!(sql.call_turns("rival", "call_1").await.unwrap().is_empty());
    // another attempt begins anew, and nothing of it is lost
    let first = store::turns_before(2) + 1;
    let again = turn(first, Speaker::Caller, "hello again");
    assert!(sql.add_call_turn("acme", "call_1", &again).await.unwrap());
    let of = async |attempt| {
        let turns = sql
            .attempt_turns(("acme", "call_1", attempt))
            .await
            .unwrap();
        turns.iter().map(|turn| turn.seq).collect::<Vec<_>>()
    };
    assert_eq!(
        (of(1).await, of(2).await, of(3).await),
        (vec![1, 2], vec![first], vec![])
    );
    assert_eq!(sql.call_turns("acme", "call_1").await.unwrap().len(), 3);
}

async fn what_tells_of_a_state_is_put_in_by_whoever_says_it_first(on: Backend) {
    let sql = &on.sql;
    assert!(sql.create_call("acme", &call("call_1"), &[]).await.unwrap());
    let acme = ("acme", "call_1");
    let live = |source| {
        let event = NewCallEvent::new(source, "live", at(1));
        CallNews::of(Step::to(1, CallState::Live), event)
    };
    // whoever says it first has nothing to tell of it
    let first = sql.tell_call(acme, &live("carrier"), &[]).await.unwrap();
    assert!(matches!(first, Told::Changed(_)));
    let effects = [summarise("1")];
    for _ in 0..2 {
        let again = sql.tell_call(acme, &live("edge"), &effects).await.unwrap();
        assert!(matches!(again, Told::Stale(_)));
    }
    // what is late tells nothing any more
    let event = NewCallEvent::new("carrier", "ringing", at(2));
    let late = CallNews::of(Step::to(1, CallState::Ringing), event);
    sql.tell_call(acme, &late, &[summarise("2")]).await.unwrap();
    let claim = sql.claim_effects(("summarise", "one"), at(100), at(200), 9);
    let put: Vec<String> = claim.await.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(put, ["summarise 1"]);
}

stories!(
    a_call_is_found_by_either_name_and_changed_by_one_at_a_time,
    a_call_ends_once_and_what_follows_is_put_in_with_that,
    a_change_that_is_refused_puts_nothing_in,
    calls_that_nobody_looks_after_are_found,
    turns_are_added_once_and_read_in_order,
    what_tells_of_a_state_is_put_in_by_whoever_says_it_first,
);
