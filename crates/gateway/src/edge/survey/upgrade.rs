//! Lets a client into a dialogue: a place, a dialect, and the dialogue that it comes back to, if it does.
//! Called by the routes of the door.
//! Never asks for a key, and never says before the upgrade whether a dialogue is known.

use std::sync::Arc;

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use engine::survey::Dialect;
use serde::Deserialize;

use super::dialogue::{Talk, converse};
use super::routes::plain;
use crate::App;
use crate::edge;
use crate::http::client_ip;
use crate::survey::{Full, Place};
use crate::tenants;

/// Bytes that may wait in the socket library when the kernel does not take them: a few prompts.
const WRITE_BYTES: usize = 1024 * 1024;
/// Said where the tenant of the survey may not come in.
pub(super) const CLOSED: &str = "The survey is not open at present. Try again later.\n";
/// Longest secret that is looked up.
const SECRET_BYTES: usize = 128;

/// What an address may ask for; anything else in it is ignored, as it always was.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    dialect: Option<String>,
    resume: Option<String>,
}

/// Whether a request wants to become a WebSocket.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).map(HeaderValue::as_bytes);
    upgrade.is_some_and(|it| it.eq_ignore_ascii_case(b"websocket"))
}

/// Becomes a dialogue.
pub(super) async fn upgrade(app: Arc<App>, parts: &mut Parts) -> Response {
    let Ok(socket) = WebSocketUpgrade::from_request_parts(parts, &app).await else {
        return plain(StatusCode::BAD_REQUEST, "WebSocket upgrade failed");
    };
    if app.lifecycle.stopping() {
        return retry("This server is shutting down. Connect again in a moment.\n");
    }
    if !tenants::is_open(&app.store.sql, app.survey.tenant()).await {
        return retry(CLOSED);
    }
    let wanted = Query::<Wanted>::try_from_uri(&parts.uri);
    let wanted = wanted.map(|Query(wanted)| wanted).unwrap_or_default();
    let own = app.survey.dialect();
    let dialect = match wanted.dialect.as_deref().map(Dialect::parse) {
        None => own,
        Some(Some(dialect)) => dialect,
        Some(None) => {
            return plain(
                StatusCode::BAD_REQUEST,
                "There is no such dialect; there are v3c and v1.\n",
            );
        }
    };
    let resume = wanted.resume.filter(|it| it.len() <= SECRET_BYTES);
    let ip = client_ip(&app, parts);
    let place = match app.survey.place(ip) {
        Ok(place) => place,
        Err(Full::Server) => {
            return retry("As many dialogues are open as this server takes. Try again soon.\n");
        }
        Err(Full::Address) => {
            return plain(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many dialogues are open from your network. End one and try again.\n",
            );
        }
    };
    let frame_bytes = app.config.survey.frame_bytes;
    socket
        .read_buffer_size(edge::READ_BUFFER_BYTES)
        .write_buffer_size(edge::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BYTES)
        .max_message_size(frame_bytes)
        .max_frame_size(frame_bytes)
        .on_upgrade(move |socket| begin(app, socket, (dialect, resume), (ip, place)))
}

/// A task of its own: this one holds all that was needed to get here, and ends.
async fn begin(
    app: Arc<App>,
    socket: WebSocket,
    (dialect, resume): (Dialect, Option<String>),
    (ip, place): (Option<std::net::IpAddr>, Place),
) {
    let (talk, first) = Talk::begin(Arc::clone(&app), dialect, resume, ip).await;
    app.lifecycle.spawn(converse(talk, first, socket, place));
}

fn retry(text: &str) -> Response {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
