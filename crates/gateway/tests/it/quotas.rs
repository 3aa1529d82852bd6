//! Tokens of a minute, audio of a day, bytes of a session: shared by all of a tenant, reserved and settled, never a
//! reason to hang up.

use std::time::Duration;

use gateway::config::Secret;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::admission::knock;
use crate::caller::Caller;
use crate::redis_servers::{Servers, until};
use crate::tenants::{first_key, operator};
use crate::world::{KEY, World};

const CONVERSATION: &str = "/v1/realtime?model=gpt-realtime";
const MINUTE: Duration = Duration::from_mins(1);

fn text() -> Value {
    json!({ "type": "realtime", "output_modalities": ["text"], "audio": { "input": { "turn_detection": null } } })
}

/// Writes something and gives the response, and the limits as they were told behind it.
async fn answered(caller: &mut Caller, words: &str) -> (Value, Value) {
    caller.write(words).await;
    let response = caller.until("response.done").await["response"].clone();
    let limits = caller.until("rate_limits.updated").await["rate_limits"].clone();
    (response, limits)
}

async fn chat(world: &World, words: &str, max_tokens: u64) -> (StatusCode, Value) {
    let body = json!({
        "model": "gpt-4o-mini", "max_tokens": max_tokens,
        "messages": [{ "role": "user", "content": words }],
    });
    let request = world.post("/v1/chat/completions", &body);
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn speech(world: &World, characters: usize) -> (StatusCode, Vec<u8>) {
    let body =
        json!({ "model": "gpt-4o-mini-tts", "voice": "alloy", "input": "a".repeat(characters) });
    let request = world.post("/v1/audio/speech", &body);
    let response = request.send().await.unwrap();
    let status = response.status();
    (status, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn sessions_of_a_tenant_share_its_tokens() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let rival = first_key(&world, "rival").await;
    let limit = json!({ "limits": { "tokens_per_minute": 20 } });
    operator(&world, "PATCH /v1/admin/tenants/acme", limit).await;
    let mut one = Caller::call_with(&world, CONVERSATION, &acme, &text()).await;
    let mut other = Caller::call_with(&world, CONVERSATION, &acme, &text()).await;
    let (response, limits) = answered(&mut one, "say: one two three").await;
    assert_eq!(response["status"], "completed");
    assert_eq!(limits[1]["name"], "tokens", "{limits}");
    assert_eq!(limits[1]["limit"], 20, "{limits}");
    // what was used in one is missing in the other
    let (response, _) = answered(&mut other, "say: four").await;
    let error = &response["status_details"]["error"];
    assert_eq!(error["code"], "rate_limit_exceeded", "{response}");
    assert_eq!(error["type"], "invalid_request_error");
    let metrics = world.app().metrics.text();
    assert!(
        metrics.contains("antiphon_limits_reached_total{level=\"tenant\",measure=\"tokens\"}"),
        "{metrics}"
    );
    let mut stranger = Caller::call_with(&world, CONVERSATION, &rival, &text()).await;
    let (response, _) = answered(&mut stranger, "say: five").await;
    assert_eq!(response["status"], "completed");
    // nobody was dropped
    world.app().clock.advance(2 * MINUTE);
    let (response, _) = answered(&mut other, "say: six").await;
    assert_eq!(response["status"], "completed", "{response}");
}

#[tokio::test]
async fn an_answer_over_rest_holds_its_tokens_and_gives_back_what_it_did_not_use() {
    let world = World::start(|config| {
        config.rate_limits.tenant_tokens_per_minute = 1000;
        config.scripted.token_ms = 200;
    })
    .await;
    let first = world.post(
        "/v1/chat/completions",
        &json!({
            "model": "gpt-4o-mini", "max_tokens": 900, "stream": true,
            "messages": [{ "role": "user", "content": "say: one two three four five six" }],
        }),
    );
    // it has begun, and may become 900 tokens
    let first = first.send().await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    let (status, refused) = chat(&world, "say: one", 900).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused["error"]["code"], "token_limit_exceeded");
    assert!(first.text().await.unwrap().contains("[DONE]"));
    until("what was not used is given back", || async {
        chat(&world, "say: one", 900).await.0 == StatusCode::OK
    })
    .await;
    // what was used is not
    let (status, _) = chat(&world, "say: one", 1000).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn the_audio_of_a_day_is_used_up_and_nobody_is_dropped() {
    let world = World::start(|config| config.rate_limits.tenant_audio_minutes_per_day = 1).await;
    let mut caller = Caller::call(&world, CONVERSATION, &text()).await;
    let (response, _) = answered(&mut caller, "say: hello").await;
    assert_eq!(response["status"], "completed");
    // 60 ms a character
    let (status, _) = speech(&world, 1200).await;
    assert_eq!(status, StatusCode::OK);
    until("it is counted", || async {
        speech(&world, 1).await.0 == StatusCode::TOO_MANY_REQUESTS
    })
    .await;
    let refused = knock(&world, CONVERSATION, KEY).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["code"], "quota_exceeded");
    // a day later the window has moved on
    let day = Duration::from_hours(24);
    world.app().clock.advance(2 * day);
    assert_eq!(speech(&world, 10).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_conversation_is_told_before_its_audio_ends_and_goes_on() {
    let world = World::start(|config| config.rate_limits.tenant_audio_minutes_per_day = 1).await;
    let mut voice = text();
    voice["output_modalities"] = json!(["audio"]);
    let mut caller = Caller::call(&world, CONVERSATION, &voice).await;
    // 60 ms a character: 54 of 60 seconds
    let words = format!("say: {}", "a".repeat(900));
    let (response, _) = answered(&mut caller, &words).await;
    assert_eq!(response["status"], "completed");
    // that it is counted may be told before or behind the end of the response
    let left = |events: &[Value]| {
        let told = events
            .iter()
            .rfind(|it| it["type"] == "rate_limits.updated")?;
        let limits = told["rate_limits"].as_array()?;
        let audio = limits.iter().find(|it| it["name"] == "audio_seconds")?;
        assert_eq!(audio["limit"], 60);
        audio["remaining"].as_u64()
    };
    while left(&caller.events).is_none_or(|left| left > 12) {
        caller.set_up(&voice).await;
    }
    let metrics = world.app().metrics.text();
    assert!(
        metrics.contains("antiphon_quotas_nearly_used_up_total 1"),
        "{metrics}"
    );
    let (response, _) = answered(&mut caller, &words).await;
    assert_eq!(response["status"], "completed");
    while left(&caller.events) != Some(0) {
        caller.set_up(&voice).await;
    }
    let (response, _) = answered(&mut caller, "say: more").await;
    let error = &response["status_details"]["error"];
    assert_eq!(error["code"], "quota_exceeded", "{response}");
}

#[tokio::test]
async fn limits_that_change_count_for_conversations_that_run() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let mut caller = Caller::call_with(&world, CONVERSATION, &acme, &text()).await;
    let (response, limits) = answered(&mut caller, "say: one").await;
    assert_eq!(response["status"], "completed");
    assert!(
        limits
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["limit"] == 1_000_000),
        "{limits}"
    );
    // whoever does that may be at another server
    let limit = json!({ "limits": { "tokens_per_minute": 7, "concurrent_sessions": 1 } });
    operator(&world, "PATCH /v1/admin/tenants/acme", limit).await;
    let limits = caller.until("rate_limits.updated").await["rate_limits"].clone();
    assert_eq!(limits[1]["limit"], 7, "{limits}");
    let (response, _) = answered(&mut caller, "say: one two three four five six seven").await;
    let first = response["status"].clone();
    let (response, _) = answered(&mut caller, "say: one").await;
    assert_eq!(response["status"], "failed", "after {first}");
    let error = &response["status_details"]["error"];
    assert_eq!(error["code"], "rate_limit_exceeded", "{response}");
    caller.hang_up().await;
}

#[tokio::test]
async fn too_much_audio_is_refused_and_the_session_goes_on() {
    let world = World::start(|config| config.sessions.bytes_per_minute = 9600).await;
    let mut caller = Caller::call(&world, CONVERSATION, &text()).await;
    // ten frames fit, the eleventh does not
    caller.append(&[0; 4800]).await;
    caller.append(&[0; 480]).await;
    let error = caller.until("error").await["error"].clone();
    assert_eq!(
        (&error["code"], &error["param"]),
        (&json!("rate_limit_exceeded"), &json!("audio"))
    );
    let (response, _) = answered(&mut caller, "say: still here").await;
    assert_eq!(response["status"], "completed");
}

#[tokio::test]
async fn two_gateways_share_the_tokens_of_a_tenant_and_go_on_without_redis() {
    let mut servers = Servers::single().await;
    let gateway = async || {
        World::start(|config| {
            config.redis.url = Some(Secret::new(servers.url.as_str()));
            config.rate_limits.tenant_tokens_per_minute = 1000;
            config.scripted.token_ms = 100;
        })
        .await
    };
    let (one, other) = (gateway().await, gateway().await);
    let mut caller = Caller::call(&one, CONVERSATION, &text()).await;
    caller
        .send(&json!({ "type": "response.create", "response": {
            "max_output_tokens": 900,
            "input": [{ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "say: one two three four five six seven eight" }] }],
        } }))
        .await;
    // it has begun to answer: its tokens are reserved
    caller.until("response.output_text.delta").await;
    let (status, refused) = chat(&other, "say: one", 900).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused["error"]["code"], "token_limit_exceeded");
    let done = caller.until("response.done").await;
    assert_eq!(done["response"]["status"], "completed");
    until("what was not used is given back", || async {
        chat(&other, "say: one", 900).await.0 == StatusCode::OK
    })
    .await;
    // alone it gives its share, of which an estimate is at most all
    servers.nodes[0].kill();
    let (response, _) = answered(&mut caller, "say: without it").await;
    assert_eq!(response["status"], "completed");
}
