//! News of calls in any order, what happened to them, their recordings, and lists of them; on every database.

use engine::call::state::{CallState, CarrierStatus, HangupReason, Outcome, Party, Progress, Step};
use store::{CallFilter, CallNews, NewCallEvent, NewEffect, Recording, Sql, StoredCall, Told};

use crate::backend::Backend;
use crate::call_queue::{at, due};

async fn put(sql: &Sql, tenant: &str, call: &StoredCall) {
    assert!(sql.create_call(tenant, call, &[]).await.unwrap());
}

/// Tells what a carrier says at a second, with an effect that is named after it.
async fn carrier(sql: &Sql, word: &str, second: i64) -> Told {
    let status = CarrierStatus::parse(word).unwrap();
    let key = format!("1 {second}");
    let event = NewCallEvent {
        source_key: Some(&key),
        content: r#"{"duration":7}"#,
        ..NewCallEvent::new("carrier", word, at(second))
    };
    let news = CallNews {
        carrier_status: Some(word),
        carrier_call_id: Some("CA1"),
        ..CallNews::of(status.step(1), event)
    };
    let effects = [NewEffect {
        id: format!("webhook {word}"),
        topic: "webhook".to_owned(),
        payload: "{}".to_owned(),
        due_at: at(0),
    }];
    sql.tell_call(("acme", "call_1"), &news, &effects)
        .await
        .unwrap()
}

fn state(told: Told) -> (bool, CallState) {
    match told {
        Told::Changed(Progress { state, .. }) => (true, state),
        Told::Stale(Progress { state, .. }) => (false, state),
        other => panic!("{other:?}"),
    }
}

async fn news_in_any_order_end_a_call_once(on: Backend) {
    let sql = &on.sql;
    put(sql, "acme", &due("call_1", 0)).await;
    assert_eq!(
        state(carrier(sql, "ringing", 2).await),
        (true, CallState::Ringing)
    );
    assert_eq!(
        state(carrier(sql, "initiated", 1).await),
        (false, CallState::Ringing)
    );
    assert_eq!(
        state(carrier(sql, "completed", 9).await),
        (true, CallState::Ended)
    );
    assert_eq!(
        state(carrier(sql, "in-progress", 3).await),
        (false, CallState::Ended)
    );
    assert_eq!(carrier(sql, "completed", 9).await, Told::Known);
    let call = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    assert_eq!(call.carrier_status.as_deref(), Some("completed"));
    assert_eq!(call.carrier_call_id.as_deref(), Some("CA1"));
    assert_eq!(
        (call.hangup_reason.as_deref(), call.hangup_by.as_deref()),
        (Some("caller_hangup"), Some("caller"))
    );
    assert_eq!((call.ended_at, call.outcome), (Some(at(9)), None));
    // what changed something was followed up, and nothing else was
    let todo = sql.claim_effects(("webhook", "me"), at(9), at(99), 9);
    let mut ids: Vec<String> = todo
        .await
        .unwrap()
        .into_iter()
        .map(|effect| effect.id)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["webhook completed", "webhook ringing"]);
    // all of it was written down, once
    let events = sql.call_events(("acme", "call_1"), 0, 99).await.unwrap();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| (event.seq, &*event.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            (1, "ringing"),
            (2, "initiated"),
            (3, "completed"),
            (4, "in-progress")
        ]
    );
    assert_eq!(events[0].content, br#"{"duration":7}"#);
    let rest = sql.call_events(("acme", "call_1"), 3, 99).await.unwrap();
    assert_eq!(rest.len(), 1);
}

async fn the_carriers_name_may_come_with_late_news(on: Backend) {
    let sql = &on.sql;
    put(sql, "acme", &due("call_1", 0)).await;
    let here = CallNews::of(
        Step::to(1, CallState::Live),
        NewCallEvent::new("edge", "live", at(1)),
    );
    sql.tell_call(("acme", "call_1"), &here, &[]).await.unwrap();
    let call = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    assert_eq!(
        (call.carrier_call_id, call.answered_at),
        (None, Some(at(1)))
    );
    assert_eq!(
        state(carrier(sql, "ringing", 2).await),
        (false, CallState::Live)
    );
    let found = sql
        .find_carrier_call("acme", ("twilio", "CA1"))
        .await
        .unwrap();
    assert_eq!(found.unwrap().id, "call_1");
}

async fn a_call_that_must_not_be_placed_says_why(on: Backend) {
    let sql = &on.sql;
    put(sql, "acme", &due("call_1", 0)).await;
    let step = Step::to(1, CallState::Blocked).because(HangupReason::Blocked, Party::System);
    let news = CallNews {
        blocked_by: Some("blocked_dnc"),
        ..CallNews::of(step, NewCallEvent::new("dialler", "blocked", at(1)))
    };
    sql.tell_call(("acme", "call_1"), &news, &[]).await.unwrap();
    let call = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    assert_eq!(
        (&*call.state, call.blocked_by.as_deref()),
        ("blocked", Some("blocked_dnc"))
    );
    assert_eq!(call.due_at, None);
    let key = ("acme", "call_1", 1);
    assert!(sql.finalize_call(key, None, &[], at(2)).await.unwrap());
    let call = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    assert_eq!((&*call.state, call.outcome), ("blocked", None));
}

async fn a_call_that_nobody_ended_has_ended_when_it_is_dealt_with(on: Backend) {
    let sql = &on.sql;
    put(sql, "acme", &due("call_1", 0)).await;
    carrier(sql, "in-progress", 1).await;
    let key = ("acme", "call_1", 1);
    let incomplete = Some(Outcome::Incomplete);
    assert!(
        sql.finalize_call(key, incomplete, &[], at(70))
            .await
            .unwrap()
    );
    let declined = Some(Outcome::Declined);
    assert!(!sql.finalize_call(key, declined, &[], at(71)).await.unwrap());
    let call = sql.find_call("acme", "call_1").await.unwrap().unwrap();
    assert_eq!(
        (&*call.state, call.outcome.as_deref()),
        ("ended", Some("incomplete"))
    );
    assert_eq!(
        (call.ended_at, call.finalized_at),
        (Some(at(70)), Some(at(70)))
    );
    // and is not tried again after that
    let again = CallNews {
        due_at: Some(at(71)),
        ..CallNews::of(
            Step::to(2, CallState::Scheduled),
            NewCallEvent::new("dialler", "retry", at(71)),
        )
    };
    let told = sql
        .tell_call(("acme", "call_1"), &again, &[])
        .await
        .unwrap();
    assert_eq!(state(told), (false, CallState::Ended));
}

async fn what_happened_at_once_has_one_number_each(on: Backend) {
    let sql = &on.sql;
    put(sql, "acme", &due("call_1", 0)).await;
    let mut adding = tokio::task::JoinSet::new();
    for n in 0..12 {
        let sql = sql.clone();
        adding.spawn(async move {
            let key = format!("{}", n % 6);
            let event = NewCallEvent {
                source_key: Some(&key),
                ..NewCallEvent::new("edge", "dtmf", at(n))
            };
            sql.add_call_event(("acme", "call_1"), event).await.unwrap()
        });
    }
    let mut numbers: Vec<i64> = adding.join_all().await.into_iter().flatten().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let event = NewCallEvent::new("edge", "dtmf", at(1));
    for missing in [("rival", "call_1"), ("acme", "call_9"), ("acme", "c\0")] {
        assert_eq!(sql.add_call_event(missing, event).await.unwrap(), None);
        assert!(sql.call_events(missing, 0, 9).await.unwrap().is_empty());
        let news = CallNews::of(Step::to(1, CallState::Live), event);
        assert_eq!(
            sql.tell_call(missing, &news, &[]).await.unwrap(),
            Told::Missing
        );
    }
}

async fn calls_are_listed_newest_first_and_page_by_page(on: Backend) {
    let sql = &on.sql;
    for n in 0..5 {
        let mut call = due(&format!("call_{n}"), n / 2);
        call.agent = Some(if n == 3 { "bob" } else { "ann" }.to_owned());
        call.details = format!(r#"{{"n":{n}}}"#).into_bytes();
        put(sql, "acme", &call).await;
    }
    put(sql, "rival", &due("call_9", 9)).await;
    let list = async |filter: CallFilter<'_>, after: Option<(i64, &str)>, limit| {
        let after = after.map(|(second, id)| (at(second), id));
        let found = sql.list_calls("acme", &filter, after, limit).await.unwrap();
        found.into_iter().map(|call| call.id).collect::<Vec<_>>()
    };
    let all = CallFilter::default();
    assert_eq!(list(all, None, 2).await, ["call_4", "call_3"]);
    assert_eq!(
        list(all, Some((1, "call_3")), 9).await,
        ["call_2", "call_1", "call_0"]
    );
    let ann = CallFilter {
        agent: Some("ann"),
        state: Some("queued"),
        direction: Some("outbound"),
        callee: Some("print"),
        ..all
    };
    assert_eq!(list(ann, None, 9).await.len(), 4);
    let first = CallFilter {
        until: Some(at(1)),
        from: Some(at(0)),
        ..all
    };
    assert_eq!(list(first, None, 9).await, ["call_1", "call_0"]);
    let none = CallFilter {
        outcome: Some("busy"),
        ..all
    };
    assert!(list(none, None, 9).await.is_empty());
    let page = sql.list_calls("acme", &all, None, 1).await.unwrap();
    assert_eq!(page[0].details, br#"{"n":4}"#);
}

async fn recordings_belong_to_their_call(on: Backend) {
    let sql = &on.sql;
    put(sql, "acme", &due("call_1", 0)).await;
    let recording = Recording {
        id: "rec_1".to_owned(),
        call: "call_1".to_owned(),
        content_type: "audio/wav".to_owned(),
        channels: 2,
        duration_ms: 61_000,
        bytes: 1_952_044,
        location: b"file:calls/rec_1.wav".to_vec(),
        created_at: at(5),
        expires_at: None,
    };
    assert!(sql.add_recording("acme", &recording).await.unwrap());
    assert!(!sql.add_recording("acme", &recording).await.unwrap());
    assert!(!sql.add_recording("rival", &recording).await.unwrap());
    let found = sql.call_recordings("acme", "call_1").await.unwrap();
    assert_eq!(found, std::slice::from_ref(&recording));
    assert!(
        sql.call_recordings("rival", "call_1")
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(sql.delete_recording("rival", "rec_1").await.unwrap(), None);
    assert_eq!(
        sql.delete_recording("acme", "rec_1").await.unwrap(),
        Some(recording)
    );
    assert_eq!(sql.delete_recording("acme", "rec_1").await.unwrap(), None);
}

stories!(
    news_in_any_order_end_a_call_once,
    the_carriers_name_may_come_with_late_news,
    a_call_that_must_not_be_placed_says_why,
    a_call_that_nobody_ended_has_ended_when_it_is_dealt_with,
    what_happened_at_once_has_one_number_each,
    calls_are_listed_newest_first_and_page_by_page,
    recordings_belong_to_their_call,
);
