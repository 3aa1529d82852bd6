//! `POST /v1/audio/speech`.

use base64::Engine as _;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

const PATH: &str = "/v1/audio/speech";

fn body(extra: &Value) -> Value {
    let mut body = json!({ "model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Good morning. How are you today?" });
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    body
}

async fn sound(world: &World, extra: Value) -> (String, Vec<u8>) {
    let response = world.post(PATH, &body(&extra)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (kind, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn pcm_wav_and_events_are_the_same_sound() {
    let world = World::start(|_| {}).await;
    let (kind, pcm) = sound(&world, json!({ "response_format": "pcm" })).await;
    assert_eq!(kind, "audio/pcm");
    // a second of speech at the least, in whole samples, and not silence
    assert!(
        pcm.len() > 48_000 && pcm.len() % 2 == 0,
        "{} bytes",
        pcm.len()
    );
    assert!(pcm.iter().any(|byte| *byte != 0));

    for extra in [json!({ "response_format": "wav" }), json!({})] {
        let (kind, wav) = sound(&world, extra).await;
        assert_eq!(kind, "audio/wav");
        assert_eq!((&wav[..4], &wav[8..12]), (&b"RIFF"[..], &b"WAVE"[..]));
        assert_eq!(
            wav[40..44],
            [0xFF; 4],
            "the length is not known when the header is sent"
        );
        assert_eq!(wav[44..], pcm);
    }

    let (kind, events) = sound(
        &world,
        json!({ "response_format": "pcm", "stream_format": "sse" }),
    )
    .await;
    assert_eq!(kind, "text/event-stream");
    let events: Vec<Value> = String::from_utf8(events)
        .unwrap()
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let (done, deltas) = events.split_last().unwrap();
    let told: Vec<u8> = deltas
        .iter()
        .flat_map(|delta| {
            assert_eq!(delta["type"], "speech.audio.delta");
            base64::engine::general_purpose::STANDARD
                .decode(delta["audio"].as_str().unwrap())
                .unwrap()
        })
        .collect();
    assert_eq!(told, pcm);
    let usage = &done["usage"];
    let (input, output) = (
        usage["input_tokens"].as_u64().unwrap(),
        usage["output_tokens"].as_u64().unwrap(),
    );
    assert_eq!(
        (&done["type"], usage["total_tokens"].as_u64()),
        (&"speech.audio.done".into(), Some(input + output))
    );
    assert_eq!(output, (pcm.len() as u64 / 2).div_ceil(1200));
}

#[tokio::test]
async fn speed_changes_the_length() {
    let world = World::start(|_| {}).await;
    let length = async |speed: f32| {
        sound(&world, json!({ "response_format": "pcm", "speed": speed }))
            .await
            .1
            .len() as f32
    };
    let (natural, fast) = (length(1.0).await, length(2.0).await);
    assert!(
        (natural / fast - 2.0).abs() < 0.1,
        "{natural} and {fast} bytes"
    );
}

#[tokio::test]
async fn what_cannot_be_spoken_is_told_which_field_is_wrong() {
    let world = World::start(|config| config.limits.speech_characters = 40).await;
    for (extra, status, code, param) in [
        (
            json!({ "response_format": "mp3" }),
            400,
            "unsupported_format",
            "response_format",
        ),
        (
            json!({ "response_format": "opus" }),
            400,
            "unsupported_format",
            "response_format",
        ),
        (
            json!({ "response_format": "midi" }),
            400,
            "invalid_value",
            "response_format",
        ),
        (json!({ "input": "" }), 400, "invalid_value", "input"),
        (
            json!({ "input": "x".repeat(41) }),
            400,
            "invalid_value",
            "input",
        ),
        (json!({ "speed": 9 }), 400, "invalid_value", "speed"),
        (
            json!({ "model": "no-such-model" }),
            404,
            "model_not_found",
            "model",
        ),
        (
            json!({ "voice": "nobody-has-this-voice" }),
            400,
            "invalid_value",
            "voice",
        ),
        (
            json!({ "voice": null }),
            400,
            "missing_required_parameter",
            "voice",
        ),
    ] {
        let response = world.post(PATH, &body(&extra)).send().await.unwrap();
        let found = response.status().as_u16();
        let error = response.json::<Value>().await.unwrap()["error"].clone();
        assert_eq!(
            (found, &error["code"], &error["param"]),
            (status, &code.into(), &param.into()),
            "{extra} {error}"
        );
    }
    let mp3 = world
        .post(PATH, &body(&json!({ "response_format": "mp3" })))
        .send()
        .await
        .unwrap();
    let message = mp3.json::<Value>().await.unwrap()["error"]["message"].clone();
    assert!(
        message.as_str().unwrap().contains("'wav' and 'pcm'"),
        "{message}"
    );
}

#[tokio::test]
async fn a_text_with_nothing_to_say_is_silence() {
    let world = World::start(|_| {}).await;
    let (_, wav) = sound(&world, json!({ "input": "***" })).await;
    assert_eq!(wav.len(), 44);
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_place_back() {
    let world = World::start(|config| {
        config.limits.concurrent_audio_requests = 1;
        config.scripted.speech_pace_percent = 100;
    })
    .await;
    let long = body(&json!({ "input": "This is a rather long sentence. ".repeat(20) }));
    let mut response = world.post(PATH, &long).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(world.app().audio_requests.available_permits(), 0);
    drop(response);
    // the place comes back when the server sees the closed connection
    let place = world.app().audio_requests.acquire();
    tokio::time::timeout(crate::world::PATIENCE, place)
        .await
        .unwrap()
        .unwrap()
        .forget();
}
