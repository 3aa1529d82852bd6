//! Lets a client into a chat room, or tells it by a close frame why not.
//! Mounted at `/chat`, and at every path of a listener of its own (spec/chat-voice-survey B2).
//! Never refuses a token before the upgrade unless it is told to: the original's clients read close codes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::connection::{refuse, run};
use super::token::Denied;
use super::{Entered, health};
use crate::App;
use crate::config::ChatRefusal;
use crate::http::{ApiError, client_ip};
use crate::tenants;

/// Largest frame that is taken, in bytes; a message of the longest content that is allowed fits several times.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Taken from the kernel at once, in bytes; see `edge::READ_BUFFER_BYTES`.
const READ_BUFFER_BYTES: usize = 512;
/// Frames of a burst are handed to the kernel together, this many bytes at once.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// What may wait inside the socket library when the kernel does not take it, in bytes.
const MAX_WRITE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Query of the upgrade; other keys are ignored, as the original does.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    token: String,
    /// The last message that was seen; what came behind it is sent again.
    pub(super) since: Option<String>,
    /// Messages of ours that the client wants, with commas between them.
    pub(super) events: String,
}

/// `GET /chat`, and any path of a listener of its own.
pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    parts: Parts,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let Ok(socket) = socket else {
        return Ok(health::answer(&app, &parts));
    };
    let wish = Query::<Wish>::try_from_uri(&parts.uri);
    let Query(wish) = wish.unwrap_or_default();
    if app.lifecycle.stopping() {
        return Err(ApiError::shutting_down());
    }
    let entered = Entered::new(&app).ok_or_else(full)?;
    let ip = client_ip(&app, &parts);
    let now_ms = app.clock.utc().timestamp_millis().unsigned_abs();
    let token = Some(wish.token.as_str()).filter(|token| !token.is_empty());
    if !tenants::is_open(&app.store.sql, &app.config.chat.tenant).await {
        return Err(closed());
    }
    let opened = match token.or_else(|| bearer(&parts.headers)) {
        Some(token) => app.chat.tokens.read(token).await,
        None => Err(Denied::Missing),
    };
    if let Err(denied) = &opened {
        app.metrics.chat().denied(denied.name());
        // somebody who knocks with bad tokens again and again is answered before the upgrade: the original's clients wait
        // longer and longer after that, and not after a close frame. Others behind the address come in
        if let Some(left_ms) = ip.and_then(|ip| app.chat.knocks.locked_ms(ip, now_ms)) {
            return Err(knocked(left_ms));
        }
        if let Some(ip) = ip.filter(|_| denied.is_a_guess()) {
            app.chat.knocks.failed(ip, now_ms);
        }
        if app.config.chat.refusal == ChatRefusal::Http {
            return Err(unauthorized(*denied));
        }
    }
    let socket = limited(socket, &parts.headers);
    Ok(socket
        .on_upgrade(move |socket| async move {
            let lifecycle = app.lifecycle.clone();
            match opened {
                // a task of its own: this one holds all that was needed to get here, and ends
                Ok(identity) => {
                    lifecycle.spawn(run(app, socket, identity, wish, entered));
                }
                Err(denied) => {
                    lifecycle.spawn(async move {
                        refuse(socket, denied.close(), Duration::ZERO).await;
                        drop(entered);
                    });
                }
            }
        })
        .into_response())
}

fn limited(socket: WebSocketUpgrade, headers: &HeaderMap) -> WebSocketUpgrade {
    let socket = socket
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES);
    // browsers close a connection whose subprotocol is not answered: the first is as good as any
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL);
    let first = offered
        .and_then(|value| value.to_str().ok())
        .and_then(|list| list.split(',').next())
        .map(|first| first.trim().to_owned());
    match first {
        Some(first) => socket.protocols([first]),
        None => socket,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

fn closed() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "tenant_suspended",
        "The chat rooms of this server are not open at present. Ask whoever runs it.",
    )
}

fn full() -> ApiError {
    ApiError::unavailable(
        "server_overloaded",
        "As many chat connections are open as this server takes. Try again in a moment.",
        5,
    )
}

fn knocked(left_ms: u64) -> ApiError {
    let wait_s = left_ms.div_ceil(1000);
    let mut error = ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_bad_tokens",
        format!(
            "Too many tokens from this address were not valid. Try again in {wait_s} s, with a fresh token."
        ),
    );
    error.retry_after_s = Some(wait_s);
    error
}

fn unauthorized(denied: Denied) -> ApiError {
    let (_, reason) = denied.close();
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "invalid_token",
        format!("{reason}. Ask the application for a fresh token."),
    )
}
