//! What comes too late, or finds no place: an attempt that is over is connected with nobody, and nobody is rung for whom there is
//! no conversation.

use std::time::Duration;

use reqwest::Method;

use super::{EXTERNAL, becomes, place, placed, status, stored, wanted, world};
use crate::carrier::sign;
use crate::carriers::{ACCOUNT, Placed, SECRET};
use crate::world::World;

/// Asks, as Twilio does, what to do with a call that somebody has answered.
async fn ask(world: &World, call: &Placed) -> String {
    let address = call.field("Url");
    let fields = [
        ("AccountSid", ACCOUNT),
        ("CallSid", call.id.as_str()),
        ("CallStatus", "in-progress"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let path = address.strip_prefix(EXTERNAL).unwrap();
    let asked = world
        .anonymous(Method::POST, path)
        .header("x-twilio-signature", sign::form(address, &fields, SECRET))
        .form(&fields);
    asked.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn an_attempt_that_is_over_is_not_connected_as_the_next() {
    let (world, fake) = world(|_| {}).await;
    let id = place(&world, &wanted()).await;
    let first = placed(&world, &fake, 1).await;
    becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
    status(&world, &first, "no-answer", 2).await;
    becomes(&world, &id, |call| call.attempt_number == 2).await;
    let waits = ask(&world, &first).await;
    assert!(waits.contains("Hangup"), "the next one waits: {waits}");
    world.app().clock.advance(Duration::from_secs(8000));
    let second = placed(&world, &fake, 2).await;
    becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
    let late = ask(&world, &first).await;
    assert!(
        late.contains("Hangup") && !late.contains("Stream"),
        "{late}"
    );
    let due = ask(&world, &second).await;
    assert!(due.contains("Stream"), "{due}");
}

#[tokio::test]
async fn nobody_is_rung_while_all_places_are_taken() {
    let (world, fake) = world(|config| {
        config.telephony.max_calls = 1;
        config.rate_limits.tenant_concurrent_sessions = 1;
    })
    .await;
    let app = world.app();
    let taken = app.phone.live.enter(("default", "call_other")).unwrap();
    let id = place(&world, &wanted()).await;
    let mut turns = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..20 {
        turns.tick().await;
        app.dialler.wake();
    }
    assert_eq!(stored(&world, &id).await.state, "queued");
    // the tenant has as many conversations as it may have
    let talks = app.sessions.enter().unwrap().of("default", 0).unwrap();
    drop(taken);
    let waits = becomes(&world, &id, |call| call.state == "scheduled").await;
    assert!(waits.due_at.unwrap() > app.clock.utc());
    fake.with(|book| assert!(book.calls.is_empty()));
    drop(talks);
    app.clock.advance(Duration::from_mins(1));
    let call = placed(&world, &fake, 1).await;
    becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
    // somebody we have rung hears no busy signal, for they have answered
    let taken = app.phone.live.enter(("default", "call_other")).unwrap();
    let busy = ask(&world, &call).await;
    assert!(
        busy.contains("Hangup") && !busy.contains("Reject"),
        "{busy}"
    );
    drop(taken);
}
