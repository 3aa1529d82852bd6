//! `POST /v1/chat/completions`.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

const PATH: &str = "/v1/chat/completions";

fn body(extra: &Value) -> Value {
    let mut body = json!({ "model": "gpt-4o-mini", "messages": [
        { "role": "system", "content": "Answer briefly." },
        { "role": "user", "content": "hello" },
    ] });
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    body
}

async fn answer(world: &World, extra: Value) -> Value {
    let response = world.post(PATH, &body(&extra)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

/// The events of a streamed answer; the last is the end mark.
async fn events(world: &World, extra: Value) -> Vec<Value> {
    let response = world.post(PATH, &body(&extra)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    let (events, rest) = text.split_once("data: [DONE]\n\n").unwrap();
    assert_eq!(rest, "");
    events
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

fn weather() -> Value {
    json!({ "tools": [{ "type": "function", "function": {
        "name": "get_weather", "parameters": { "type": "object", "properties": { "city": { "type": "string" } } } } }],
        "messages": [{ "role": "user", "content": "call get_weather" }] })
}

#[tokio::test]
async fn whole_and_streamed_answers_say_the_same() {
    let world = World::start(|_| {}).await;
    let whole = answer(&world, json!({})).await;
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["model"], "gpt-4o-mini");
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["message"]["role"], "assistant");
    let said = choice["message"]["content"].as_str().unwrap();
    assert!(said.contains("hello"), "{said}");
    let usage = &whole["usage"];
    let count = |key: &str| usage[key].as_u64().unwrap();
    assert!(count("prompt_tokens") > 0 && count("completion_tokens") > 0);
    assert_eq!(
        count("total_tokens"),
        count("prompt_tokens") + count("completion_tokens")
    );

    let wanted = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let events = events(&world, wanted).await;
    assert!(events.len() > 3);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let ids: std::collections::BTreeSet<&str> = events
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 1);
    let streamed: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(streamed, said);
    let [.., last, counted] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(counted["choices"], json!([]));
    assert_eq!(&counted["usage"], usage);
}

#[tokio::test]
async fn a_function_is_called_and_its_output_is_read() {
    let world = World::start(|_| {}).await;
    let whole = answer(&world, weather()).await;
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "get_weather");
    let arguments = call["function"]["arguments"].as_str().unwrap();
    serde_json::from_str::<Value>(arguments).unwrap();

    let mut streamed = weather();
    streamed["stream"] = json!(true);
    let deltas: Vec<Value> = events(&world, streamed)
        .await
        .into_iter()
        .filter_map(|event| event["choices"][0]["delta"]["tool_calls"].get(0).cloned())
        .collect();
    assert_eq!(deltas[0]["function"]["name"], "get_weather");
    assert_eq!(deltas[0]["type"], "function");
    let pieces: String = deltas
        .iter()
        .map(|delta| delta["function"]["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(pieces, arguments);

    let mut second = weather();
    second["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": null, "tool_calls": [call] }),
        json!({ "role": "tool", "tool_call_id": call["id"], "content": "sunny" }),
    ]);
    let said = answer(&world, second).await;
    let said = &said["choices"][0]["message"]["content"];
    assert!(said.as_str().unwrap().contains("sunny"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_answered_is_told_which_field_is_wrong() {
    let world = World::start(|_| {}).await;
    for (extra, status, code, param) in [
        (
            json!({ "model": "nobody" }),
            404,
            "model_not_found",
            "model",
        ),
        (json!({ "messages": [] }), 400, "invalid_value", "messages"),
        (json!({ "n": 2 }), 400, "invalid_value", "n"),
        (json!({ "stop": ["."] }), 400, "invalid_value", "stop"),
        (
            json!({ "response_format": { "type": "json_object" } }),
            400,
            "invalid_value",
            "response_format",
        ),
        (
            json!({ "messages": [{ "role": "robot", "content": "x" }] }),
            400,
            "invalid_value",
            "messages[0].role",
        ),
        (
            json!({ "messages": [{ "role": "user" }] }),
            400,
            "missing_required_parameter",
            "messages[0].content",
        ),
        (
            json!({ "temperature": 3 }),
            400,
            "invalid_value",
            "temperature",
        ),
    ] {
        let response = world.post(PATH, &body(&extra)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{extra}");
        let error = response.json::<Value>().await.unwrap()["error"].clone();
        assert_eq!(
            (error["code"].as_str(), error["param"].as_str()),
            (Some(code), Some(param))
        );
    }
    let failing = json!({ "messages": [{ "role": "user", "content": "fail llm" }] });
    let response = world.post(PATH, &body(&failing)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}
