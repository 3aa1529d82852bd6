//! Somebody hangs up before anybody has answered, or before the call was placed: nobody is rung any more, and nobody else is cut off.

use std::time::Duration;

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::json;

use super::{becomes, place, placed, status, stored, wanted, world};
use crate::carriers::Fault;
use crate::webhooks::answer;
use crate::world::World;

async fn hang_up(world: &World, id: &str) -> serde_json::Value {
    let (status, call) = answer(world.post(&format!("/v1/calls/{id}/hangup"), &json!({}))).await;
    assert_eq!(status, StatusCode::OK, "{call}");
    call
}

#[tokio::test]
async fn a_call_that_rings_stops_ringing_and_is_not_tried_again() {
    let (world, fake) = world(|_| {}).await;
    let id = place(&world, &wanted()).await;
    let call = placed(&world, &fake, 1).await;
    becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
    status(&world, &call, "ringing", 1).await;
    let shown = hang_up(&world, &id).await;
    assert_eq!(
        (&shown["state"], &shown["outcome"], &shown["hangup_reason"]),
        (&json!("ended"), &json!("no_answer"), &json!("agent_end"))
    );
    assert!(fake.only_call().is_over(), "the carrier was told");
    // what the carrier makes of that comes late
    status(&world, &call, "canceled", 2).await;
    let over = stored(&world, &id).await;
    assert!(over.finalized_at.is_some());
    assert_eq!(over.attempt_number, 1);
    world.app().clock.advance(Duration::from_hours(5));
    world.app().dialler.wake();
    fake.only_call();
}

#[tokio::test]
async fn what_the_carrier_does_not_end_at_once_is_ended_later() {
    let (world, fake) = world(|_| {}).await;
    let id = place(&world, &wanted()).await;
    let call = placed(&world, &fake, 1).await;
    becomes(&world, &id, |call| call.carrier_call_id.is_some()).await;
    status(&world, &call, "ringing", 1).await;
    fake.fault(Fault::Status(503));
    assert_eq!(hang_up(&world, &id).await["state"], "ending");
    assert!(!fake.only_call().is_over());
    world.app().clock.advance(Duration::from_mins(2));
    let over = becomes(&world, &id, |call| call.finalized_at.is_some()).await;
    assert_eq!(over.hangup_reason.as_deref(), Some("agent_end"));
    assert_eq!(over.attempt_number, 1);
    assert!(fake.only_call().is_over());
}

#[tokio::test]
async fn a_call_that_is_called_off_is_dealt_with_and_no_other_is_touched() {
    let (world, fake) = world(|_| {}).await;
    // one to the same person is being talked in
    let talked = place(&world, &wanted()).await;
    let call = placed(&world, &fake, 1).await;
    becomes(&world, &talked, |call| call.carrier_call_id.is_some()).await;
    fake.becomes(&call.id, "in-progress");
    status(&world, &call, "in-progress", 1).await;
    let mut later = wanted();
    later["scheduled_at"] = json!(world.app().clock.unix_s() + 7200);
    let off = place(&world, &later).await;
    let shown = hang_up(&world, &off).await;
    assert_eq!(shown["state"], "cancelled");
    assert!(stored(&world, &off).await.finalized_at.is_some());
    // another, of which whoever called it off did not come as far as what follows
    let lost = place(&world, &later).await;
    let sql = &world.app().store.sql;
    let now = world.app().clock.utc();
    let done = sql.cancel_call(("default", &lost), &[], now).await.unwrap();
    assert_eq!(done, store::CallingOff::Done);
    world.app().clock.advance(Duration::from_mins(2));
    becomes(&world, &lost, |call| call.finalized_at.is_some()).await;
    assert_eq!(stored(&world, &lost).await.state, "cancelled");
    assert!(fake.only_call().done.is_empty());
    assert_eq!(stored(&world, &talked).await.state, "live");
    let gone = world.request(Method::DELETE, &format!("/v1/calls/{lost}"));
    assert_eq!(answer(gone).await.0, StatusCode::CONFLICT);
}
