//! A language model for stories: a chat-completions server on a real socket whose answers are known.
//! The stories point the server's `llm.base_url` at it.
//! It answers nothing that its last user message does not decide.

use std::convert::Infallible;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What it says to everything but a wish for a story; no word of it is written in two ways.
pub(crate) const SHORT: &str =
    "The library opens early in the morning. It closes again late in the evening.";

/// Tokens it says it has read of every question.
pub(crate) const READ: u64 = 700;

/// Tokens it says it has written of every answer.
pub(crate) const WRITTEN: u64 = 50;

/// A model it does not serve: it refuses the request and, as some vendors do, quotes it.
pub(crate) const NOBODY: &str = "nobody";

/// Starts it; returns its base address.
pub(crate) async fn start() -> String {
    let router = Router::new().route("/v1/chat/completions", post(completions));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    base_url
}

async fn completions(Json(body): Json<Value>) -> Response {
    let asked = body["messages"]
        .as_array()
        .and_then(|messages| messages.last())
        .map(|message| message["content"].to_string().to_lowercase())
        .unwrap_or_default();
    if body["model"] == NOBODY {
        let message = format!("this cannot be answered: {asked}");
        let error = json!({ "error": { "message": message, "code": "unsupported_value" } });
        return (StatusCode::BAD_REQUEST, Json(error)).into_response();
    }
    let answer = if asked.contains("story") {
        "Once upon a time there was a lighthouse at the end of the world. ".repeat(20)
    } else {
        SHORT.to_owned()
    };
    let mut events: Vec<String> = answer
        .split_inclusive(' ')
        .map(|word| chunk(&json!({ "content": word }), None))
        .collect();
    events.push(chunk(&json!({}), Some("stop")));
    if body["stream_options"]["include_usage"] == true {
        let usage = json!({ "prompt_tokens": READ, "completion_tokens": WRITTEN });
        let chunk = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage });
        events.push(format!("data: {chunk}\n\n"));
    }
    events.push("data: [DONE]\n\n".to_owned());
    let events = events.into_iter().map(Ok::<_, Infallible>);
    let body = Body::from_stream(futures_util::stream::iter(events));
    ([("content-type", "text/event-stream")], body).into_response()
}

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let chunk =
        json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice] });
    format!("data: {chunk}\n\n")
}
