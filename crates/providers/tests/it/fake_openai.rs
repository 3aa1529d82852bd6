//! A chat-completions server on a real socket that refuses whatever breaks the protocol.
//! The last words of the user choose how it answers.
//! Keeps state as a vendor does: requests left, connections seen, answers given up on.

use std::{
    collections::HashSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};

pub(crate) const KEY: &str = "sk-test-0123456789";
pub(crate) const MODEL: &str = "fake-model";

pub(crate) struct FakeOpenAi {
    pub(crate) base_url: String,
    state: Arc<Mutex<Seen>>,
    given_up: mpsc::Receiver<()>,
}

#[derive(Default)]
struct Seen {
    bodies: Vec<Value>,
    peers: HashSet<SocketAddr>,
    /// Requests left before the rate limit.
    left: Option<u32>,
    gone: Option<mpsc::Sender<()>>,
    cut: Arc<Notify>,
}

type Shared = Arc<Mutex<Seen>>;

impl FakeOpenAi {
    pub(crate) async fn start() -> Self {
        let (gone, given_up) = mpsc::channel(8);
        let state = Arc::new(Mutex::new(Seen {
            gone: Some(gone),
            ..Seen::default()
        }));
        let router = Router::new()
            .route("/v1/chat/completions", post(completions))
            .with_state(Arc::clone(&state))
            .into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            base_url,
            state,
            given_up,
        }
    }

    pub(crate) fn limit_to(&self, requests: u32) {
        self.state.lock().unwrap().left = Some(requests);
    }

    pub(crate) fn last_body(&self) -> Value {
        self.state.lock().unwrap().bodies.last().cloned().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().peers.len()
    }

    /// Cuts the connection of an answer that waits for it.
    pub(crate) fn cut(&self) {
        self.state.lock().unwrap().cut.notify_one();
    }

    /// Returns when an answer was dropped before its end.
    pub(crate) async fn given_up(&mut self) {
        self.given_up.recv().await.unwrap();
    }
}

fn refuse(status: u16, code: &str, message: &str) -> Response {
    let body =
        json!({ "error": { "message": message, "type": code, "code": code, "param": null } });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn completions(
    State(state): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if header(header::AUTHORIZATION) != Some(&format!("Bearer {KEY}")) {
        return refuse(
            401,
            "invalid_api_key",
            "Incorrect API key provided: sk-wr***ng.",
        );
    }
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return refuse(400, "invalid_json", "could not parse the JSON body");
    };
    {
        let mut seen = state.lock().unwrap();
        seen.peers.insert(peer);
        seen.bodies.push(body.clone());
        match &mut seen.left {
            Some(0) => {
                let refused = refuse(429, "rate_limit_exceeded", "Rate limit reached");
                return ([(header::RETRY_AFTER, "2")], refused).into_response();
            }
            Some(left) => *left -= 1,
            None => {}
        }
    }
    if header(header::CONTENT_TYPE) != Some("application/json") {
        return refuse(
            400,
            "invalid_request_error",
            "the content type must be application/json",
        );
    }
    if body["model"] != MODEL {
        return refuse(404, "model_not_found", "The model does not exist");
    }
    if body["stream"] != true || body["stream_options"]["include_usage"] != true {
        return refuse(
            400,
            "invalid_request_error",
            "this server only streams, with usage",
        );
    }
    if let Err(message) = check_messages(&body["messages"]) {
        return refuse(400, "invalid_request_error", &message);
    }
    let (gone, cut) = {
        let seen = state.lock().unwrap();
        (seen.gone.clone().unwrap(), Arc::clone(&seen.cut))
    };
    play(&body, gone, cut)
}

/// System first, calls answered at once and completely, outputs only behind calls.
fn check_messages(messages: &Value) -> Result<(), String> {
    let messages = messages
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or("no messages")?;
    let mut open: HashSet<&str> = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().ok_or("a message without a role")?;
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !open.remove(id) {
                return Err(
                    "messages with role 'tool' must be a response to a preceding 'tool_calls'"
                        .to_owned(),
                );
            }
            continue;
        }
        if !open.is_empty() {
            return Err(
                "an assistant message with 'tool_calls' must be followed by tool messages"
                    .to_owned(),
            );
        }
        match role {
            "system" if index > 0 && messages[index - 1]["role"] != "system" => {
                return Err("system messages come first".to_owned());
            }
            "system" | "user" if message["content"].is_null() => {
                return Err("no content".to_owned());
            }
            "system" | "user" => {}
            "assistant" => {
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
                    if serde_json::from_str::<Value>(arguments).is_err()
                        || call["type"] != "function"
                    {
                        return Err("a malformed call".to_owned());
                    }
                    open.insert(call["id"].as_str().ok_or("a call without an id")?);
                }
            }
            other => return Err(format!("unknown role {other}")),
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err("a call without an output".to_owned())
    }
}

fn last_words(body: &Value) -> String {
    let last = body["messages"]
        .as_array()
        .and_then(|list| list.last())
        .unwrap();
    match &last["content"] {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap_or_default().to_owned(),
    }
}

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let chunk = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], "usage": null });
    format!("data: {chunk}\n\n")
}

fn text(words: &[&str]) -> Vec<String> {
    let role = chunk(&json!({ "role": "assistant", "content": "" }), None);
    std::iter::once(role)
        .chain(
            words
                .iter()
                .map(|word| chunk(&json!({ "content": word }), None)),
        )
        .collect()
}

fn ending(finish: &str, output_tokens: usize) -> Vec<String> {
    let usage = json!({
        "prompt_tokens": 11, "completion_tokens": output_tokens, "total_tokens": 11 + output_tokens,
        "prompt_tokens_details": { "cached_tokens": 7 }
    });
    let counts = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage });
    vec![
        chunk(&json!({}), Some(finish)),
        format!("data: {counts}\n\n"),
        "data: [DONE]\n\n".to_owned(),
    ]
}

fn calls(body: &Value) -> Vec<String> {
    let name = |index: usize| body["tools"][index]["function"]["name"].clone();
    let start = |index: usize, id: &str| {
        json!({ "tool_calls": [{
            "index": index, "id": id, "type": "function", "function": { "name": name(index), "arguments": "" }
        }] })
    };
    let more = |index: usize, part: &str| json!({ "tool_calls": [{ "index": index, "function": { "arguments": part } }] });
    [
        start(0, "call_a"),
        more(0, "{\"city\":"),
        start(1, "call_b"),
        more(1, "{}"),
        more(0, "\"Bern\"}"),
    ]
    .iter()
    .map(|delta| chunk(delta, None))
    .collect()
}

fn play(body: &Value, gone: mpsc::Sender<()>, cut: Arc<Notify>) -> Response {
    let words = ["All ", "is ", "well."];
    match last_words(body).as_str() {
        "hang" => hanging(),
        "forever" => endless(gone),
        "cut" => broken(text(&words), cut),
        "trouble" => refuse(500, "server_error", "The server had an error"),
        "away" => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "30")],
            "<html>",
        )
            .into_response(),
        "no money" => refuse(429, "insufficient_quota", "You exceeded your current quota"),
        "moved" => (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, "/elsewhere")],
        )
            .into_response(),
        "malformed" => whole(
            &[
                text(&words),
                vec!["data: {\"choices\":[{\"delta\"\n\n".to_owned()],
            ]
            .concat(),
        ),
        "bare" => whole(&[text(&words), vec![chunk(&json!({}), Some("stop"))]].concat()),
        "call" => whole(&[calls(body), ending("tool_calls", 9)].concat()),
        _ => match body["max_tokens"].as_u64() {
            Some(limit) if limit < 3 + 1 => {
                let limit = usize::try_from(limit).unwrap().min(words.len());
                whole(&[text(&words[..limit]), ending("length", limit)].concat())
            }
            _ => whole(&[text(&words), ending("stop", 3)].concat()),
        },
    }
}

fn events(body: Body) -> Response {
    (
        [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")],
        body,
    )
        .into_response()
}

/// Sent in cuts that respect neither lines nor characters.
fn whole(parts: &[String]) -> Response {
    let bytes = parts.concat().into_bytes();
    let cuts: Vec<Result<Vec<u8>, Infallible>> =
        bytes.chunks(37).map(|cut| Ok(cut.to_vec())).collect();
    events(Body::from_stream(stream::iter(cuts)))
}

/// Cut only when the client has read what came: what is unread is lost with the connection.
fn broken(parts: Vec<String>, cut: Arc<Notify>) -> Response {
    let end = stream::once(async move {
        cut.notified().await;
        Err(std::io::Error::other("cut"))
    });
    events(Body::from_stream(
        stream::iter(parts.into_iter().map(Ok)).chain(end),
    ))
}

fn hanging() -> Response {
    events(Body::from_stream(stream::pending::<
        Result<Vec<u8>, Infallible>,
    >()))
}

/// Speaks until the client goes away, and tells that it did.
fn endless(gone: mpsc::Sender<()>) -> Response {
    struct Tell(mpsc::Sender<()>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.try_send(());
        }
    }
    let tell = Tell(gone);
    let words = stream::repeat_with(move || {
        let _held = &tell;
        Ok::<_, Infallible>(chunk(&json!({ "content": "on and " }), None))
    });
    events(Body::from_stream(words.then(|word| async {
        tokio::task::yield_now().await;
        word
    })))
}
