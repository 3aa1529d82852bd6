//! The routes of this door: the socket, its health, its banner.
//! Mounted by the router at `/voice` and `/api/voice-v2`, and at the root of listeners of the profile `voice`.
//! Never asks for a token: the app shows it in its first message.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use chrono::SecondsFormat;
use serde::Serialize;

use super::lobby;
use super::lobby::Visitor;
use crate::App;
use crate::edge;
use crate::http::ApiError;

/// Said at every other path, and to who comes without a socket.
const BANNER: &str = "Voice V2 WebSocket Server with Deepgram STT + Claude AI + OpenAI TTS\n";
/// Largest message that is read, in bytes; what is above the largest frame of sound is refused by name below this.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Routes beside those of the other doors.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/voice", any(socket))
        .route("/voice/health", get(health))
        .route("/api/voice-v2", any(socket))
        .route("/api/voice-v2/health", get(health))
}

/// Routes of a listener that has this door alone.
pub fn listener_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/health", any(health))
        .fallback(any(socket))
}

/// What the original's `/health` says, and whether anybody could be answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    status: &'static str,
    active_sessions: usize,
    uptime: f64,
    timestamp: String,
}

async fn health(State(app): State<Arc<App>>) -> Json<Health> {
    let ready = app.catalog.get().is_ok() && !app.lifecycle.stopping();
    let uptime = app.clock.now().saturating_duration_since(app.started);
    Json(Health {
        status: if ready { "healthy" } else { "unhealthy" },
        active_sessions: app.voice.connections(),
        uptime: uptime.as_secs_f64(),
        timestamp: app.clock.utc().to_rfc3339_opts(SecondsFormat::Millis, true),
    })
}

async fn socket(
    State(app): State<Arc<App>>,
    parts: Parts,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let Ok(socket) = socket else {
        let banner = ([(CONTENT_TYPE, "text/plain")], BANNER);
        return Ok(banner.into_response());
    };
    if app.lifecycle.stopping() {
        return Err(ApiError::shutting_down());
    }
    // a place is taken by those who have said who they are; where there is none, nobody need wait for one
    let most = app.config.sessions.max_sessions;
    let waiting = app.voice.wait(most);
    let waiting = waiting.filter(|_| app.sessions.count() < most);
    let visitor = Visitor {
        counted: app.voice.enter(),
        waiting: waiting.ok_or_else(ApiError::too_many_sessions)?,
        parts,
    };
    let socket = socket
        .read_buffer_size(edge::READ_BUFFER_BYTES)
        .write_buffer_size(edge::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(edge::MAX_WRITE_BUFFER_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES);
    Ok(socket
        .on_upgrade(move |socket| async move {
            let task = lobby::receive(Arc::clone(&app), visitor, socket);
            // a task of its own, which a drain waits for
            app.lifecycle.spawn(task);
        })
        .into_response())
}
