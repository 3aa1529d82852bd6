//! The web application behind the original's chat rooms, as far as the rooms ask it: two routes, an internal secret, and the
//! publication of what it keeps (spec/chat-voice-survey B7).
//! The stories about rooms with a backend start one.
//! It enforces its contract: a wrong secret, an empty message, a role that is none and an unknown chat are refused as the
//! application refuses them, and a message is kept once for an idempotency key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::redis_servers::ask;

/// The internal secret.
pub(crate) const SECRET: &str = "the-internal-secret";

/// What it does instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// Answers 500 with something that is nobody's business.
    Broken,
    /// Does not answer.
    Silent,
    /// Answers with something that is no JSON.
    Babbling,
}

#[derive(Debug, Default)]
struct Kept {
    mood: Mood,
    chats: Vec<String>,
    users: HashMap<String, Value>,
    /// Messages in order: chat and message.
    messages: Vec<(String, Value)>,
    by_key: HashMap<String, Value>,
    /// Port of the Redis that it publishes to.
    redis: Option<u16>,
}

/// A running application.
pub(crate) struct Eclipse {
    pub(crate) url: String,
    kept: Arc<Mutex<Kept>>,
}

type Shared = State<Arc<Mutex<Kept>>>;

impl Eclipse {
    /// Starts one that knows these chats; it publishes to the Redis at this port, as the original does through Upstash.
    pub(crate) async fn start(chats: &[&str], redis: Option<u16>) -> Self {
        let known = json!({ "id": "cuser1", "name": null, "email": "help@shop.example", "image": "https://shop.example/h.png" });
        let kept = Kept {
            chats: chats.iter().map(|&chat| chat.to_owned()).collect(),
            users: HashMap::from([("helper-1".to_owned(), known)]),
            redis,
            ..Kept::default()
        };
        let kept = Arc::new(Mutex::new(kept));
        let routes = Router::new()
            .route("/api/chats/{chat}/messages/send", post(send))
            .route("/api/users/{user}", get(user))
            .with_state(Arc::clone(&kept));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, kept }
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.kept.lock().unwrap().mood = mood;
    }

    /// The words that were kept of a chat, in order.
    pub(crate) fn words(&self, chat: &str) -> Vec<String> {
        let kept = self.kept.lock().unwrap();
        let of_chat = kept.messages.iter().filter(|(it, _)| it == chat);
        of_chat
            .map(|(_, message)| message["content"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

fn is_internal(headers: &HeaderMap) -> bool {
    let secret = headers.get("x-internal-secret");
    secret.is_some_and(|secret| secret == SECRET)
}

/// What the mood makes of a request.
async fn moody(mood: Mood) -> Option<Response> {
    match mood {
        Mood::Well => None,
        Mood::Broken => {
            let body = json!({ "error": "Failed to send message", "details": "password of the database: hunter2" });
            Some((StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response())
        }
        Mood::Silent => std::future::pending().await,
        Mood::Babbling => Some("<html>".into_response()),
    }
}

async fn send(
    State(kept): Shared,
    Path(chat): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let mood = kept.lock().unwrap().mood;
    if let Some(response) = moody(mood).await {
        return response;
    }
    if !is_internal(&headers) {
        return refuse(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let content = body["content"].as_str().unwrap_or_default().trim();
    if content.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "Message content is required");
    }
    let role = body["role"].as_str().unwrap_or_default();
    if !matches!(role, "USER" | "ASSISTANT" | "AGENT") {
        let error = "Valid role is required (USER, ASSISTANT, or AGENT)";
        return refuse(StatusCode::BAD_REQUEST, error);
    }
    let (message, redis) = {
        let mut kept = kept.lock().unwrap();
        if !kept.chats.contains(&chat) {
            return refuse(StatusCode::NOT_FOUND, "Chat not found");
        }
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let number = kept.messages.len() + 1;
        let user = body["userId"].as_str().unwrap();
        let message = kept.by_key.get(&key).cloned().unwrap_or_else(|| {
            json!({
                "id": format!("cmsg{number}"),
                "content": content,
                "role": role,
                "createdAt": format!("2026-01-02T03:04:{:02}.000Z", number % 60),
                // an anonymous user becomes a row of its own
                "sender": sender(user),
            })
        });
        if kept.by_key.insert(key, message.clone()).is_none() {
            kept.messages.push((chat.clone(), message.clone()));
        }
        (message, kept.redis)
    };
    if let Some(port) = redis {
        let data = json!({
            "id": message["id"], "content": message["content"], "role": role.to_lowercase(),
            "timestamp": message["createdAt"], "sender": message["sender"],
        });
        let payload = json!({ "type": "message", "data": data, "timestamp": message["createdAt"] });
        let (channel, payload) = (format!("chat:{chat}"), payload.to_string());
        ask::<u64>(port, &["PUBLISH", &channel, &payload])
            .await
            .unwrap();
    }
    Json(json!({ "success": true, "message": message })).into_response()
}

fn sender(user: &str) -> Value {
    if user.starts_with("anon_") {
        let email = format!("{user}@anonymous.temp");
        return json!({ "id": "ctemp1", "name": "Anonymous User", "email": email, "avatar": null });
    }
    json!({ "id": user, "name": "Somebody", "email": null, "avatar": null })
}

async fn user(State(kept): Shared, Path(user): Path<String>, headers: HeaderMap) -> Response {
    let mood = kept.lock().unwrap().mood;
    if let Some(response) = moody(mood).await {
        return response;
    }
    if !is_internal(&headers) {
        let error = "Unauthorized - invalid internal secret";
        return refuse(StatusCode::UNAUTHORIZED, error);
    }
    let found = kept.lock().unwrap().users.get(&user).cloned();
    match found {
        Some(user) => Json(user).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "User not found"),
    }
}
