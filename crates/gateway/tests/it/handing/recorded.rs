//! Calls are recorded where somebody has agreed: both sides, as they were heard, and not the number of a card.

use reqwest::StatusCode;
use serde_json::json;

use super::{happens, on_the_line, world};
use crate::carrier::CALLER;
use crate::carrier::leg::speech;
use crate::carriers::Fake;
use crate::phone::the_end;
use crate::redis_servers::until;
use crate::webhooks::{Receiver, answer, endpoint};
use crate::world::World;

/// A server that records calls of those who have agreed.
async fn recording_world() -> (World, Fake) {
    let (world, fake) = world(|config| config.recordings.inbound = true).await;
    let consent = json!({ "number": CALLER, "kind": "recording", "source": "web_form" });
    let (made, shown) = answer(world.post("/v1/consents", &consent)).await;
    assert_eq!(made, StatusCode::CREATED, "{shown}");
    (world, fake)
}

/// The two channels of a recording: the caller's, the agent's.
async fn listen(world: &World, id: &str) -> (Vec<i16>, Vec<i16>) {
    let path = format!("/v1/calls/{id}/recording");
    until("there is a recording", async || {
        world.get(&path).send().await.unwrap().status() == StatusCode::OK
    })
    .await;
    let response = world.get(&path).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "audio/wav");
    let bytes = response.bytes().await.unwrap();
    let mut reader = hound::WavReader::new(std::io::Cursor::new(bytes)).unwrap();
    let spec = reader.spec();
    assert_eq!(
        (spec.channels, spec.sample_rate, spec.bits_per_sample),
        (2, 8000, 16)
    );
    let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
    let of = |at: usize| samples.iter().skip(at).step_by(2).copied().collect();
    (of(0), of(1))
}

/// Samples of a channel that are not silence.
fn loud(channel: &[i16]) -> usize {
    channel
        .iter()
        .filter(|sample| sample.unsigned_abs() > 64)
        .count()
}

#[tokio::test]
async fn a_call_of_somebody_who_has_agreed_is_recorded_on_both_sides() {
    let (world, fake) = recording_world().await;
    let receiver = Receiver::start().await;
    endpoint(
        &world,
        json!({ "url": receiver.url, "events": ["call.recording"] }),
    )
    .await;
    let (_, mut leg, id) = on_the_line(&world, &fake, 1).await;
    let none = world.get(&format!("/v1/calls/{id}/recording"));
    let (status, error) = answer(none).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("recording_not_found"))
    );
    let spoken = speech();
    leg.say(&spoken).await;
    leg.settle().await;
    // the number of a card is not kept
    for (word, loudly) in [("pause", true), ("resume", false)] {
        let path = format!("/v1/calls/{id}/recording/{word}");
        let (status, shown) = answer(world.post(&path, &json!({}))).await;
        assert_eq!(status, StatusCode::OK, "{shown}");
        happens(&world, &id, "at_ms").await;
        if loudly {
            leg.say(&spoken).await;
            leg.settle().await;
        }
    }
    leg.hang_up().await;
    the_end(&world).await;
    let (caller, agent) = listen(&world, &id).await;
    assert_eq!(caller.len(), agent.len());
    let said = loud(&caller);
    let expected = {
        let mut samples = Vec::new();
        engine::audio::g711::Law::Mu.decode(&spoken, &mut samples);
        loud(&samples)
    };
    assert!(
        said > 0 && said <= expected,
        "{said} of {expected}: what was paused is in it"
    );
    assert!(said > expected / 2, "{said} of {expected}");
    // the greeting of 270 ms, which the scripted voice says in tones
    assert!(loud(&agent) > 8 * 100, "{}", loud(&agent));
    let told = receiver.until(1).await.remove(0).json();
    assert_eq!(told["data"]["channels"], 2);
    assert!(told["data"]["duration_ms"].as_u64().unwrap() > 270);
    // it is not another tenant's
    let rival = world.tenant("rival-1").await;
    let foreign = rival["key"]["key"]
        .as_str()
        .or_else(|| rival["key"]["text"].as_str());
    if let Some(foreign) = foreign {
        let path = format!("/v1/calls/{id}/recording");
        let asked = world
            .anonymous(reqwest::Method::GET, &path)
            .bearer_auth(foreign);
        assert_eq!(asked.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    }
    // its time is over
    world
        .app()
        .clock
        .advance(std::time::Duration::from_hours(24 * 731));
    world.app().outbox.wake();
    until("it is removed", async || {
        let path = format!("/v1/calls/{id}/recording");
        world.app().outbox.wake();
        world.get(&path).send().await.unwrap().status() == StatusCode::NOT_FOUND
    })
    .await;
    let folder = world.folder.path().join("recordings/default");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

#[tokio::test]
async fn who_has_not_agreed_is_not_recorded() {
    let (world, fake) = world(|config| config.recordings.inbound = true).await;
    let (_, mut leg, id) = on_the_line(&world, &fake, 1).await;
    let paused = world.post(&format!("/v1/calls/{id}/recording/pause"), &json!({}));
    assert_eq!(paused.send().await.unwrap().status(), StatusCode::OK);
    leg.hang_up().await;
    the_end(&world).await;
    assert!(!world.folder.path().join("recordings").exists());
    let resumed = world.post(&format!("/v1/calls/{id}/recording/resume"), &json!({}));
    assert_eq!(resumed.send().await.unwrap().status(), StatusCode::CONFLICT);
}
