//! Genesys `AudioHook` as its reference client behaves: probe, ping, update, pause, refusals and both ways of closing
//! (<https://developer.genesys.cloud/devapps/audiohook/session-walkthrough>). A whole call is in `phone_carriers`.
//! The carrier is the fake in `carrier`, which counts numbers both ways and knows which answers are owed.
//! Never leaves a session without the answer that the protocol wants.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::carrier::leg::{Leg, speech};
use crate::carrier::{Brand, Call, TOKEN};
use crate::phone::{the_call, the_end, with, world};
use crate::world::World;

/// A message of the client's, of which the fake does not make any itself.
fn message(call: &Call<'_>, kind: &str, seq: u64, parameters: &Value) -> Value {
    json!({ "version": "2", "id": call.brand.id("MZ", 7), "type": kind, "seq": seq, "serverseq": 1,
        "position": "PT0S", "parameters": parameters })
}

async fn begin(world: &World) -> (Call<'_>, Leg) {
    let call = Call::new(world, Brand::Genesys, 1);
    let leg = Leg::start(&call, &call.answer().await).await;
    (call, leg)
}

#[tokio::test]
async fn a_probe_is_answered_and_begins_no_call() {
    let world = world(Brand::Genesys).await;
    let call = Call::new(&world, Brand::Genesys, 1);
    let mut document = call.answer().await;
    document.probe = true;
    let mut leg = Leg::start(&call, &document).await;
    assert_eq!(leg.answers, ["opened"]);
    leg.send(&message(&call, "close", 2, &json!({ "reason": "end" })))
        .await;
    leg.said(1);
    leg.until("closed", |leg| leg.answers == ["opened", "closed"])
        .await;
    leg.close().await;
    let list: Value = world
        .get("/v1/calls")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list["data"], json!([]), "{list}");
}

#[tokio::test]
async fn what_the_client_asks_is_answered_and_what_it_tells_is_taken_in() {
    let world = world(Brand::Genesys).await;
    let (call, mut leg) = begin(&world).await;
    let told = [
        ("ping", json!({ "rtt": "PT0.05S" })),
        ("update", json!({ "language": "es-US" })),
        ("paused", json!({})),
        ("resumed", json!({ "start": "PT0S", "discarded": "PT1.5S" })),
        (
            "discarded",
            json!({ "start": "PT0S", "discarded": "PT0.4S" }),
        ),
        ("playback_started", json!({})),
        ("playback_completed", json!({})),
        ("dtmf", json!({ "digit": "?" })),
        (
            "error",
            json!({ "code": 429, "message": "Rate limited", "retryAfter": "PT1S" }),
        ),
        ("weather", json!({})),
        ("ping", json!({})),
    ];
    for (number, (kind, parameters)) in told.iter().enumerate() {
        let seq = number as u64 + 2;
        leg.said(1);
        leg.send(&message(&call, kind, seq, parameters)).await;
    }
    leg.until("three answers", |leg| leg.answers.len() == 4)
        .await;
    assert_eq!(leg.answers, ["opened", "pong", "updated", "pong"]);
    // a message of another session, and of another version, is nobody's
    let mut foreign = message(&call, "close", 13, &json!({ "reason": "end" }));
    foreign["id"] = "11111111-0000-4000-8000-000000000007".into();
    leg.send(&foreign).await;
    let mut older = message(&call, "close", 13, &json!({ "reason": "end" }));
    older["version"] = "1".into();
    leg.send(&older).await;
    // and the session goes on
    let from = leg.played;
    leg.say(&speech()).await;
    leg.until("sound", |leg| leg.played > from).await;
    leg.hang_up().await;
    assert_eq!(leg.answers.last().unwrap(), "closed");
    assert_eq!(the_end(&world).await["hangup_reason"], "caller_hangup");
}

#[tokio::test]
async fn a_session_that_we_end_is_closed_by_the_client_before_the_socket_is() {
    let world = with(Brand::Genesys, |config| {
        config.scripted.speech_ms_per_char = 10;
    })
    .await;
    let (_, mut leg) = begin(&world).await;
    leg.greeting().await;
    let id = the_call(&world).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/calls/{id}/hangup");
    let answer = world.post(&path, &json!({})).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    leg.until_closed().await;
    // `end` is the disconnect, which the fake answers with its `close`
    assert_eq!(leg.answers, ["opened", "end", "closed"]);
    assert_eq!(the_end(&world).await["hangup_reason"], "agent_end");
}

#[tokio::test]
async fn a_conversation_comes_twice_and_is_two_calls() {
    let world = world(Brand::Genesys).await;
    for stream in [7, 8] {
        let mut call = Call::new(&world, Brand::Genesys, 1);
        call.stream = stream;
        let mut leg = Leg::start(&call, &call.answer().await).await;
        leg.until("sound", |leg| leg.played > 0).await;
        leg.hang_up().await;
    }
    let list: Value = world
        .get("/v1/calls")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list["data"].as_array().unwrap().len(), 2, "{list}");
}

#[tokio::test]
async fn a_session_that_may_not_be_had_is_told_so_in_the_protocol() {
    let world = world(Brand::Genesys).await;
    // nobody has the number
    let mut stranger = Call::new(&world, Brand::Genesys, 1);
    stranger.to = "+14155550199".to_owned();
    let document = stranger.answer().await;
    let mut leg = Leg::connect(&stranger, &document, TOKEN).await.unwrap();
    leg.say_start(&document).await;
    assert_eq!(leg.until_closed().await, 1008);
    assert_eq!(leg.answers, ["end", "closed"]);
    // it opens another session, or for another organization, than its signature says
    for (number, other) in [(2, "organization"), (3, "session")] {
        let call = Call::new(&world, Brand::Genesys, number);
        let proof = call.proof_of_upgrade(&document, TOKEN);
        let mut leg = Leg::connect_with(&call, &document, &proof).await.unwrap();
        let mut open = message(
            &call,
            "open",
            1,
            &json!({
            "organizationId": call.brand.id("AC", 1), "conversationId": call.sid,
            "participant": { "id": "1", "ani": "+14155550123", "aniName": "", "dnis": "+14155550100" },
            "media": [{ "type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000 }] }),
        );
        if other == "organization" {
            open["parameters"]["organizationId"] = "22222222-0000-4000-8000-000000000001".into();
        } else {
            open["id"] = "33333333-0000-4000-8000-000000000007".into();
            leg.renamed("33333333-0000-4000-8000-000000000007");
        }
        leg.said(1);
        leg.send(&open).await;
        assert_eq!(leg.until_closed().await, 1008, "{other}");
        assert_eq!(leg.closed.as_ref().unwrap().1, "not_signed_for");
        assert_eq!(leg.answers, ["end", "closed"], "{other}");
    }
    // it offers nothing that we take
    let call = Call::new(&world, Brand::Genesys, 4);
    let mut leg = Leg::connect(&call, &document, TOKEN).await.unwrap();
    let open = message(
        &call,
        "open",
        1,
        &json!({
        "organizationId": call.brand.id("AC", 1), "conversationId": call.sid,
        "participant": { "id": "1", "ani": "+14155550123", "aniName": "", "dnis": "+14155550100" },
        "media": [{ "type": "audio", "format": "OPUS", "channels": ["external"], "rate": 48000 }] }),
    );
    leg.said(1);
    leg.send(&open).await;
    assert_eq!(leg.until_closed().await, 1008);
    assert_eq!(leg.answers, ["end", "closed"]);
    let metrics = world.app().metrics.text();
    let mismatch = "antiphon_tel_signature_failures_total{carrier=\"genesys\",kind=\"mismatch\"} 2";
    assert!(metrics.contains(mismatch), "{metrics}");
}
