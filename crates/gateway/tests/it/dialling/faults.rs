//! What goes wrong between the dialler and a carrier: nobody is rung twice, and nothing is lost.

use std::time::Duration;

use serde_json::json;

use super::{becomes, place, placed, stored, wanted, world};
use crate::carriers::{BAD_NUMBER, Fault};

#[tokio::test]
async fn an_answer_that_was_lost_is_looked_for_and_nobody_is_rung_twice() {
    for fault in [Fault::DoneAnd500, Fault::DoneAndGarbage] {
        let (world, fake) = world(|_| {}).await;
        fake.fault(fault);
        let id = place(&world, &wanted()).await;
        let call = placed(&world, &fake, 1).await;
        let dialing = becomes(&world, &id, |call| call.state == "dialing").await;
        assert_eq!(dialing.carrier_call_id, None);
        // the carrier knows it, and how it ended
        fake.becomes(&call.id, "busy");
        world.app().clock.advance(Duration::from_mins(2));
        let next = becomes(&world, &id, |call| call.attempt_number == 2).await;
        assert_eq!(next.state, "scheduled");
        let attempts = world
            .app()
            .store
            .sql
            .call_attempts("default", &id)
            .await
            .unwrap();
        assert_eq!(
            attempts[0].carrier_call_id.as_deref(),
            Some(call.id.as_str())
        );
        assert_eq!(attempts[0].outcome.as_deref(), Some("busy"));
        fake.only_call();
    }
}

#[tokio::test]
async fn an_attempt_that_the_carrier_never_saw_counts_as_failed_and_is_made_once_more() {
    let (world, fake) = world(|_| {}).await;
    // nothing was done, and the answer does not say so
    fake.fault(Fault::Status(503));
    let id = place(&world, &wanted()).await;
    becomes(&world, &id, |call| call.state == "dialing").await;
    world.app().clock.advance(Duration::from_mins(2));
    let again = becomes(&world, &id, |call| call.attempt_number == 2).await;
    let pause = again.due_at.unwrap() - world.app().clock.utc();
    assert!((4..=6).contains(&pause.num_minutes()), "{pause}");
    fake.with(|book| assert!(book.calls.is_empty()));
    world.app().clock.advance(Duration::from_secs(400));
    placed(&world, &fake, 1).await;
}

#[tokio::test]
async fn a_carrier_that_is_asked_too_fast_is_asked_again_and_no_attempt_is_lost() {
    let (world, fake) = world(|_| {}).await;
    fake.fault(Fault::Slow(7));
    let id = place(&world, &wanted()).await;
    let waits = becomes(&world, &id, |call| call.state == "scheduled").await;
    let pause = waits.due_at.unwrap() - world.app().clock.utc();
    assert!(pause.num_seconds() <= 7, "{pause}");
    world.app().clock.advance(Duration::from_secs(8));
    let call = placed(&world, &fake, 1).await;
    super::status(&world, &call, "no-answer", 2).await;
    // one was rung once: two attempts are left of three
    let next = becomes(&world, &id, |call| call.attempt_number == 3).await;
    assert_eq!(next.state, "scheduled");
}

#[tokio::test]
async fn a_number_that_the_carrier_does_not_connect_is_not_tried_again() {
    let (world, fake) = world(|config| {
        // numbers that cost extra are called by name only
        config.dialling.allowed_prefixes = vec!["+1500".to_owned()];
    })
    .await;
    let mut body = wanted();
    body["to"] = json!(BAD_NUMBER);
    body["time_zone"] = json!("UTC");
    let id = place(&world, &body).await;
    let over = becomes(&world, &id, |call| call.finalized_at.is_some()).await;
    assert_eq!(over.hangup_reason.as_deref(), Some("invalid_number"));
    assert_eq!(
        (over.outcome.as_deref(), over.attempt_number),
        (Some("failed"), 1)
    );
    fake.with(|book| assert!(book.calls.is_empty()));
}

#[tokio::test]
async fn an_attempt_whose_dialler_died_is_found_and_made_once_more() {
    let (world, fake) = world(|_| {}).await;
    let id = place(&world, &wanted()).await;
    let call = placed(&world, &fake, 1).await;
    becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
    super::status(&world, &call, "failed", 2).await;
    let waits = becomes(&world, &id, |call| call.attempt_number == 2).await;
    // somebody else claims the second attempt, writes down that it begins, and is not heard of again
    let sql = &world.app().store.sql;
    let mut moved = waits.clone();
    moved.account = "of another server".to_owned();
    assert!(sql.update_call("default", &moved, &[]).await.unwrap());
    world.app().clock.advance(Duration::from_secs(400));
    let now = world.app().clock.utc();
    let lease = store::Lease {
        owner: "died",
        now,
        until: now + chrono::TimeDelta::seconds(60),
        limit: 1,
    };
    let pace = store::Pace {
        calls: 9,
        within: chrono::TimeDelta::seconds(1),
    };
    let claimed = sql
        .claim_calls("of another server", pace, lease)
        .await
        .unwrap();
    let begun = sql
        .begin_attempt(&claimed[0], "died", now, 9)
        .await
        .unwrap();
    assert_eq!(begun, store::Dial::Go);
    world.app().clock.advance(Duration::from_mins(2));
    // a second failure is the last
    let over = becomes(&world, &id, |call| call.finalized_at.is_some()).await;
    assert_eq!(
        (over.attempt_number, over.outcome.as_deref()),
        (2, Some("failed"))
    );
    fake.only_call();
    assert_eq!(
        stored(&world, &id).await.hangup_reason.as_deref(),
        Some("carrier_error")
    );
}

#[tokio::test]
async fn a_carrier_that_does_not_answer_is_asked_once_and_holds_nobody_up() {
    let (world, fake) = world(|_| {}).await;
    let mut ids = Vec::new();
    for (at, number) in ["+14155550100", "+14155550101"].into_iter().enumerate() {
        fake.fault(Fault::DoneAnd500);
        let mut body = wanted();
        body["to"] = json!(number);
        ids.push(place(&world, &body).await);
        let call = placed(&world, &fake, at + 1).await;
        becomes(&world, &ids[at], |call| call.state == "dialing").await;
        fake.becomes(&call.id, "busy");
    }
    let looked = || {
        fake.with(|book| {
            book.asked
                .iter()
                .filter(|asked| asked.starts_with("GET"))
                .count()
        })
    };
    fake.fault(Fault::Status(503));
    let later = world.app().clock.utc() + chrono::TimeDelta::minutes(1);
    world.app().clock.advance(Duration::from_mins(2));
    for id in &ids {
        becomes(&world, id, |call| call.seen_at >= Some(later)).await;
    }
    assert_eq!(looked(), 1, "not once more for the other call");
    world.app().clock.advance(Duration::from_mins(2));
    for id in &ids {
        becomes(&world, id, |call| call.attempt_number == 2).await;
    }
}
