//! `POST /v1/rooms/{id}/tokens`.
//! Called by an application's server for each page that it lets into a room.
//! Never makes a token where others sign them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde_json::{Map, Value, json};
use wire::ids::Ids;
use wire::rest::rooms::{RoomToken, RoomTokenRequest, TOKEN_LIFETIME_MOST_S, TOKEN_LIFETIME_S};

use super::super::admit;
use crate::App;
use crate::auth::Caller;
use crate::http::{ApiError, Json, is_from_proxy};

/// Make a token that lets somebody into a chat room.
#[utoipa::path(
    post,
    path = "/v1/rooms/{id}/tokens",
    tag = "rooms",
    params(("id" = String, Path, description = "The room; there is one as soon as somebody comes in")),
    request_body = RoomTokenRequest,
    responses(
        (status = 201, description = "The token, and where to open the socket", body = RoomToken),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The rooms belong to another tenant"),
        (status = 409, description = "Tokens of this server are signed elsewhere"),
    )
)]
pub(crate) async fn create(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parts: Parts,
    Json(wanted): Json<RoomTokenRequest>,
) -> Result<(StatusCode, Json<RoomToken>), ApiError> {
    admit(&app, &principal, &id)?;
    let lifetime_s = wanted.expires_in_s.unwrap_or(TOKEN_LIFETIME_S);
    if !(60..=TOKEN_LIFETIME_MOST_S).contains(&lifetime_s) {
        let message = "A token lasts 60 to 86400 s.";
        return Err(ApiError::invalid_value("expiresInS", message));
    }
    let user_id = match wanted.user_id.clone() {
        Some(user) if user.is_empty() || user.len() > 128 => {
            let message = "A user's id has 1 to 128 characters.";
            return Err(ApiError::invalid_value("userId", message));
        }
        Some(user) => user,
        None => Ids::seeded(app.seed()).next("anon"),
    };
    let now = app.clock.unix_s();
    let expires_at = now + i64::from(lifetime_s);
    let claims = claims(&app, &wanted, (&user_id, &id), (now, expires_at));
    let issued = app.chat.tokens.issue(&claims);
    let token = issued.map_err(|error| {
        ApiError::new(
            StatusCode::CONFLICT,
            "tokens_signed_elsewhere",
            error.to_string(),
        )
    })?;
    let token = RoomToken {
        token,
        ws_url: socket_address(&app, &parts),
        user_id,
        chat_id: id,
        expires_at,
    };
    Ok((StatusCode::CREATED, Json(token)))
}

fn claims(
    app: &App,
    wanted: &RoomTokenRequest,
    (user, chat): (&str, &str),
    (now, expires_at): (i64, i64),
) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("userId".to_owned(), json!(user));
    claims.insert("chatId".to_owned(), json!(chat));
    claims.insert("isAuthenticated".to_owned(), json!(wanted.is_authenticated));
    claims.insert("iat".to_owned(), json!(now));
    claims.insert("exp".to_owned(), json!(expires_at));
    let config = &app.config.chat;
    for (name, value) in [
        ("name", &wanted.name),
        ("email", &wanted.email),
        ("iss", &config.issuer),
        ("aud", &config.audience),
    ] {
        if let Some(value) = value {
            claims.insert(name.to_owned(), json!(value));
        }
    }
    if let Some(roles) = &wanted.roles {
        claims.insert("roles".to_owned(), json!(roles));
    }
    if !wanted.chats.is_empty() {
        claims.insert("chats".to_owned(), json!(wanted.chats));
    }
    claims
}

/// The address that the caller has used, for a socket. A proxy in front is believed what it says of TLS; nobody else is.
fn socket_address(app: &App, parts: &Parts) -> String {
    let headers = &parts.headers;
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.unwrap_or(&app.config.server.listen);
    let forwarded = headers.get("x-forwarded-proto");
    let forwarded = forwarded.filter(|_| is_from_proxy(app, parts));
    let scheme = if forwarded.is_some_and(|scheme| scheme == "https") {
        "wss"
    } else {
        "ws"
    };
    format!("{scheme}://{host}/chat")
}
