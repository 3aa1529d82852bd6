//! What requests over REST used is on the bill, as what conversations used is: once, for the tenant and project of the key.

use engine::audio::{SampleRate, wav};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::redis_servers::until;
use crate::tenants::first_key;
use crate::world::World;

const WORDS: &str = "Good morning. How are you today?";

/// Asks with `key`, and reads the answer to its end.
async fn post(world: &World, key: &str, path: &str, body: &Value) {
    let asked = world.anonymous(Method::POST, path).bearer_auth(key);
    let answer = asked.json(body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.bytes().await.unwrap();
}

async fn chat(world: &World, key: &str, stream: bool) {
    let messages = json!([{ "role": "user", "content": "hello" }]);
    let body = json!({ "model": "gpt-4o-mini", "messages": messages, "stream": stream });
    post(world, key, "/v1/chat/completions", &body).await;
}

async fn speak(world: &World, key: &str, how: &str) {
    let body = json!({ "model": "gpt-4o-mini-tts", "voice": "alloy", "input": WORDS, "stream_format": how });
    post(world, key, "/v1/audio/speech", &body).await;
}

async fn listen(world: &World, key: &str) {
    let recording = wav::write(&vec![0; 24_000], SampleRate::HZ_24K);
    let form = Form::new()
        .part("file", Part::bytes(recording).file_name("clip.wav"))
        .text("model", "whisper-1");
    let asked = world.anonymous(Method::POST, "/v1/audio/transcriptions");
    let asked = asked.bearer_auth(key).multipart(form);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

/// The bill of a stage.
async fn units(world: &World, key: &str, stage: &str) -> Value {
    let asked = world.anonymous(Method::GET, "/v1/usage").bearer_auth(key);
    let list: Value = asked.send().await.unwrap().json().await.unwrap();
    let lines = list["data"].as_array().unwrap().iter();
    let mut of_stage = lines.filter(|line| line["stage"] == stage);
    let line = of_stage.next().cloned().unwrap_or_default();
    assert!(of_stage.next().is_none(), "{list}");
    line["units"].clone()
}

/// Waits until everything that has begun is counted and stored.
async fn stored(world: &World) {
    world.app().meter.settled().await;
    let journal = world.app().journal.clone().unwrap();
    journal.flush().await;
    until("the journal is delivered", || async {
        journal.state().waiting == 0
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_request_is_on_the_bill_of_its_tenant_once() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let rival = first_key(&world, "rival").await;
    chat(&world, &acme, false).await;
    stored(&world).await;
    let one = units(&world, &acme, "llm").await;
    let (read, said) = (&one["input_tokens"], &one["output_tokens"]);
    assert!(
        read.as_u64().unwrap() > 0 && said.as_u64().unwrap() > 0,
        "{one}"
    );

    for how in ["audio", "sse"] {
        speak(&world, &acme, how).await;
    }
    listen(&world, &acme).await;
    chat(&world, &acme, true).await;
    chat(&world, &rival, false).await;
    stored(&world).await;
    let twice = |number: &Value| json!(2 * number.as_u64().unwrap());
    let both = units(&world, &acme, "llm").await;
    assert_eq!(
        (&both["input_tokens"], &both["output_tokens"]),
        (&twice(read), &twice(said))
    );
    assert_eq!(units(&world, &rival, "llm").await, one);
    let spoken = units(&world, &acme, "tts").await;
    // the space between its two sentences is not spoken
    assert_eq!(spoken["characters"], 2 * (WORDS.chars().count() - 1));
    assert_eq!(units(&world, &acme, "stt").await["audio_ms"], 1000);
    for stage in ["tts", "stt"] {
        assert_eq!(units(&world, &rival, stage).await, Value::Null);
    }

    // by project they are in the same sums
    let asked = world.anonymous(Method::GET, "/v1/usage?group_by=project");
    let list: Value = asked
        .bearer_auth(&acme)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let lines = list["data"].as_array().unwrap();
    assert_eq!((lines.len(), &lines[0]["project"]), (1, &json!("default")));
    assert_eq!(lines[0]["units"]["audio_ms"], 1000);
}

#[tokio::test]
async fn an_answer_that_its_client_gives_up_is_on_the_bill_as_far_as_it_came() {
    let world = World::start(|config| config.scripted.token_ms = 60_000).await;
    let body = json!({ "model": "gpt-4o-mini", "stream": true, "messages": [{ "role": "user", "content": "hello" }] });
    let asked = world.post("/v1/chat/completions", &body);
    // it begins to answer, and takes a minute for its next word
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    drop(answer);
    until("the question is on the bill", || async {
        let read = units(&world, crate::world::KEY, "llm").await["input_tokens"].as_u64();
        read.is_some_and(|read| read > 0)
    })
    .await;
}
