//! `/health` and `/` as the original answers them, on a listener of its own and below `/chat`.
//! Asked by load balancers.
//! Never tells the id of a room, only how it begins.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use store::live::Health;

use super::times::iso;
use crate::App;

/// Web pages of any origin may look.
const CORS: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, OPTIONS"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
];
/// Rooms that are listed, the fullest first.
const ROOMS: usize = 100;

/// Answers a request that is no WebSocket.
pub(super) fn answer(app: &Arc<App>, parts: &Parts) -> Response {
    let path = parts.uri.path();
    let path = path.strip_prefix("/chat").unwrap_or(path);
    let mut response = if parts.method == Method::OPTIONS {
        StatusCode::OK.into_response()
    } else if matches!(path, "" | "/" | "/health") && parts.uri.query().is_none() {
        pretty(StatusCode::OK, &state(app))
    } else {
        let error = json!({ "error": "Not found" });
        let text = (StatusCode::NOT_FOUND, error.to_string());
        ([(header::CONTENT_TYPE, "application/json")], text).into_response()
    };
    for (name, value) in CORS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

fn pretty(status: StatusCode, value: &Value) -> Response {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], (status, text)).into_response()
}

fn state(app: &App) -> Value {
    let away = app
        .store
        .live
        .link()
        .is_some_and(|link| matches!(link.health(), Health::Away(_)));
    let chat = &app.chat;
    let mut rooms = chat.hub.rooms();
    // counted once each: people come and go meanwhile
    rooms.sort_by_cached_key(|room| std::cmp::Reverse(room.count()));
    let listed = rooms.iter().take(ROOMS).map(|room| {
        let begins: String = room.id.chars().take(8).collect();
        json!({ "chatId": format!("{begins}..."), "count": room.count() })
    });
    let (used, all) = memory();
    let percentage = (used * 100).checked_div(all).unwrap_or_default();
    let open = chat.open.load(Ordering::Relaxed);
    json!({
        "status": if away { "degraded" } else { "healthy" },
        "uptime": (app.clock.now() - app.started).as_secs_f64(),
        "connections": {
            "total": open,
            "byChat": listed.collect::<Vec<_>>(),
            "limit": if open < app.config.chat.soft_connections { "none" } else { "soft" },
        },
        "memory": { "used": used, "total": all, "percentage": percentage },
        "timestamp": iso(app.clock.utc()),
    })
}

/// Bytes that this process takes, and those of the machine.
fn memory() -> (u64, u64) {
    let kb = |file: &str, field: &str| -> Option<u64> {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        let number = line.split_whitespace().next()?.parse::<u64>().ok()?;
        Some(number * 1024)
    };
    let used = kb("/proc/self/status", "VmRSS:").unwrap_or_default();
    (used, kb("/proc/meminfo", "MemTotal:").unwrap_or_default())
}
