//! `POST /v1/audio/transcriptions`.

use engine::audio::{SampleRate, wav};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::world::World;

const PATH: &str = "/v1/audio/transcriptions";
const WORDS: &str = "the quick brown fox";

async fn world() -> World {
    World::start(|config| config.scripted.transcripts = vec![WORDS.to_owned()]).await
}

/// One second of silence: the script says what it hears.
fn recording() -> Vec<u8> {
    wav::write(&vec![0; 24_000], SampleRate::HZ_24K)
}

fn form(file: Vec<u8>) -> Form {
    Form::new()
        .part("file", Part::bytes(file).file_name("clip.wav"))
        .text("model", "whisper-1")
}

async fn ask(world: &World, form: Form) -> (StatusCode, String, String) {
    let response = world
        .request(Method::POST, PATH)
        .multipart(form)
        .send()
        .await
        .unwrap();
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (response.status(), kind, response.text().await.unwrap())
}

#[tokio::test]
async fn every_format_has_its_shape() {
    let world = world().await;
    let ask = async |format: &'static str| {
        let (status, kind, body) =
            ask(&world, form(recording()).text("response_format", format)).await;
        assert_eq!(status, StatusCode::OK, "{format}: {body}");
        (kind, body)
    };
    let json: Value = serde_json::from_str(&ask("json").await.1).unwrap();
    assert_eq!(
        (&json["text"], &json["usage"]["type"]),
        (&WORDS.into(), &"duration".into()),
        "{json}"
    );
    assert_eq!(json["usage"]["seconds"], 1.0);

    let verbose: Value = serde_json::from_str(&ask("verbose_json").await.1).unwrap();
    assert_eq!(
        (&verbose["task"], &verbose["language"]),
        (&"transcribe".into(), &"english".into())
    );
    assert_eq!(
        (&verbose["duration"], &verbose["segments"][0]["text"]),
        (&1.0.into(), &WORDS.into())
    );
    for key in [
        "id",
        "seek",
        "start",
        "end",
        "tokens",
        "temperature",
        "avg_logprob",
        "compression_ratio",
        "no_speech_prob",
    ] {
        assert!(!verbose["segments"][0][key].is_null(), "{key}");
    }

    let (kind, text) = ask("text").await;
    assert_eq!(
        (kind.as_str(), text.trim_end()),
        ("text/plain; charset=utf-8", WORDS)
    );
    assert_eq!(
        ask("srt").await.1,
        format!("1\n00:00:00,000 --> 00:00:01,000\n{WORDS}\n\n")
    );
    assert_eq!(
        ask("vtt").await.1,
        format!("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{WORDS}\n\n")
    );
}

#[tokio::test]
async fn a_stream_is_deltas_and_then_all_of_it() {
    let world = world().await;
    let (status, kind, body) = ask(&world, form(recording()).text("stream", "true")).await;
    assert_eq!(
        (status, kind.as_str()),
        (StatusCode::OK, "text/event-stream")
    );
    let events: Vec<Value> = body
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let told: String = events
        .iter()
        .filter_map(|event| event["delta"].as_str())
        .collect();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["text"]),
        (&"transcript.text.done".into(), &WORDS.into())
    );
    assert_eq!(told, WORDS);
}

#[tokio::test]
async fn what_cannot_be_transcribed_is_told_which_field_is_wrong() {
    let world = world().await;
    let model = |file: Vec<u8>, model: &'static str| {
        Form::new()
            .part("file", Part::bytes(file).file_name("clip"))
            .text("model", model)
    };
    for (form, status, code, param) in [
        (
            Form::new().text("model", "whisper-1"),
            400,
            "missing_required_parameter",
            "file",
        ),
        (
            Form::new().part("file", Part::bytes(recording())),
            400,
            "missing_required_parameter",
            "model",
        ),
        (
            model(recording(), "no-such-model"),
            404,
            "model_not_found",
            "model",
        ),
        (
            model(b"ID3\x03 and so on".to_vec(), "whisper-1"),
            400,
            "unsupported_format",
            "file",
        ),
        (
            model(b"RIFF".to_vec(), "whisper-1"),
            400,
            "invalid_audio",
            "file",
        ),
        (
            form(recording()).text("response_format", "docx"),
            400,
            "invalid_value",
            "response_format",
        ),
        (
            form(recording()).text("response_format", "diarized_json"),
            400,
            "invalid_value",
            "response_format",
        ),
        (
            form(recording()).text("stream", "maybe"),
            400,
            "invalid_value",
            "stream",
        ),
        (
            form(recording()).text("timestamp_granularities[]", "word"),
            400,
            "invalid_value",
            "timestamp_granularities[]",
        ),
    ] {
        let (found, _, body) = ask(&world, form).await;
        let error = serde_json::from_str::<Value>(&body).unwrap()["error"].clone();
        assert_eq!(
            (found.as_u16(), &error["code"], &error["param"]),
            (status, &code.into(), &param.into()),
            "{body}"
        );
    }
    let no_form = world.post(PATH, &Value::Null).send().await.unwrap();
    assert_eq!(no_form.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn uploads_have_a_size_and_a_number() {
    let world = World::start(|config| {
        config.limits.upload_bytes = 1024;
        config.limits.concurrent_audio_requests = 1;
    })
    .await;
    let (status, _, body) = ask(&world, form(recording())).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    let (status, _, body) = ask(&world, form(vec![0; 2 * 1024 * 1024])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");

    let taken = world
        .app()
        .audio_requests
        .clone()
        .try_acquire_owned()
        .unwrap();
    let (status, _, body) = ask(&world, form(recording())).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    drop(taken);
    let short = wav::write(&[0; 100], SampleRate::HZ_16K);
    let (status, _, body) = ask(&world, form(short)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}
