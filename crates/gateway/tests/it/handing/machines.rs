//! The server itself hears that a machine has answered, where its carrier does not say so.

use serde_json::{Value, json};

use super::{done, happens, world};
use crate::carrier::document::Document;
use crate::carrier::leg::{Leg, speech};
use crate::carrier::{Brand, CALLER, Call};
use crate::carriers::{Fake, Placed};
use crate::dialling::{TO, place, placed, wanted};
use crate::phone::{texts, the_end};
use crate::redis_servers::until;
use crate::webhooks::answer;
use crate::world::World;

/// A call of ours that has been answered: the carrier asks, and opens the stream.
async fn answered(world: &World, fake: &Fake, body: &Value) -> (Leg, Placed, String) {
    let id = place(world, body).await;
    let placed = placed(world, fake, 1).await;
    fake.becomes(&placed.id, "in-progress");
    let mut call = Call::new(world, Brand::Twilio, 1);
    call.sid = placed.id.clone();
    let fields = call.fields("in-progress");
    let response = call.post(placed.field("Url"), &fields).await;
    let document = Document::parse(&response.text().await.unwrap());
    (Leg::start(&call, &document).await, placed, id)
}

/// A server that may call `TO`.
async fn calling(transcripts: &[&str]) -> (World, Fake) {
    let (world, fake) = world(|config| {
        config.dialling.require_consent = false;
        config.dialling.opens = "00:00".to_owned();
        config.dialling.closes = "24:00".to_owned();
        config.dialling.summary_pipeline = Some("none".to_owned());
        config.dialling.attempts = 1;
        let own = config.telephony.accounts.get_mut("twilio").unwrap();
        own.number = Some("+14155550199".to_owned());
        config.scripted.transcripts = transcripts.iter().map(|one| (*one).to_owned()).collect();
    })
    .await;
    fake.with(|book| book.now = world.app().clock.utc() + chrono::TimeDelta::seconds(60));
    assert_ne!(TO, CALLER);
    (world, fake)
}

/// A tone of 1,000 Hz, in mu-law.
fn beep(ms: usize) -> Vec<u8> {
    let samples: Vec<i16> = (0..ms * 8)
        .map(|at| (8000.0 * (at as f64 * std::f64::consts::TAU / 8.0).sin()) as i16)
        .collect();
    let mut bytes = Vec::new();
    engine::audio::g711::Law::Mu.encode(&samples, &mut bytes);
    bytes
}

const MAILBOX: &str = "you have reached the voice mailbox of nobody leave a message after the tone";

#[tokio::test]
async fn a_machine_that_the_carrier_does_not_hear_is_left_its_message_after_the_beep() {
    let (world, fake) = calling(&[MAILBOX]).await;
    let mut body = wanted();
    body["voicemail"] =
        json!({ "type": "leave_message", "message": "Please call us back about Tuesday." });
    let (mut leg, placed, id) = answered(&world, &fake, &body).await;
    leg.say(&speech()).await;
    leg.pause(900).await;
    happens(&world, &id, "\"machine\"").await;
    leg.say(&beep(400)).await;
    leg.pause(300).await;
    leg.until_closed().await;
    let ended = the_end(&world).await;
    assert_eq!(
        (
            &ended["outcome"],
            &ended["hangup_reason"],
            &ended["answered_by"]
        ),
        (
            &json!("voicemail"),
            &json!("voicemail"),
            &json!("machine_end_beep")
        ),
        "{ended}"
    );
    let said = texts(&ended);
    let last = said.last().unwrap();
    assert_eq!(
        (last.1.as_str(), last.2),
        ("Please call us back about Tuesday.", false),
        "{said:?}"
    );
    // nobody has answered the machine's greeting
    assert!(
        !said.iter().any(|(_, text, _)| text.contains("You said")),
        "{said:?}"
    );
    until("the carrier was told", async || {
        done(&fake, &placed.id) == ["Status=completed"]
    })
    .await;
}

#[tokio::test]
async fn a_person_is_no_machine_and_a_machine_without_a_message_is_hung_up_on() {
    let (world, fake) = calling(&["hello who is there"]).await;
    let (mut leg, ..) = answered(&world, &fake, &wanted()).await;
    leg.say(&speech()).await;
    leg.pause(900).await;
    until("somebody has answered", async || {
        let list = answer(world.get("/v1/calls")).await.1;
        list["data"][0]["answered_by"] == "human"
    })
    .await;
    leg.hang_up().await;
    the_end(&world).await;
    let (world, fake) = calling(&[MAILBOX]).await;
    let (mut leg, ..) = answered(&world, &fake, &wanted()).await;
    leg.say(&speech()).await;
    leg.pause(900).await;
    leg.until_closed().await;
    let ended = the_end(&world).await;
    assert_eq!(
        (&ended["outcome"], &ended["answered_by"]),
        (&json!("voicemail"), &json!("machine"))
    );
}

#[tokio::test]
async fn a_call_that_rings_is_hung_up_on_at_the_carrier_and_not_forgotten() {
    let (world, fake) = calling(&[]).await;
    let id = place(&world, &wanted()).await;
    let placed = placed(&world, &fake, 1).await;
    fake.becomes(&placed.id, "ringing");
    let (status, shown) = answer(world.post(&format!("/v1/calls/{id}/hangup"), &json!({}))).await;
    assert_eq!(status, reqwest::StatusCode::OK, "{shown}");
    until("the carrier was told", async || {
        done(&fake, &placed.id) == ["Status=completed"]
    })
    .await;
    // no report comes: the carrier is asked what became of it
    world.app().clock.advance(std::time::Duration::from_mins(2));
    until("it is dealt with", async || {
        world.app().dialler.wake();
        let found = world.app().store.sql.find_call("default", &id).await;
        found.unwrap().unwrap().finalized_at.is_some()
    })
    .await;
}
