//! `GET /v1/rooms/{id}/messages`.
//! Called by an application that shows or keeps what was said.
//! Never shows more than 200 messages at once.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use store::ChatPage;
use utoipa::IntoParams;
use wire::rest::rooms::RoomMessages;

use super::super::admit;
use crate::App;
use crate::auth::Caller;
use crate::http::{ApiError, Json, Query};

/// Messages shown when the request does not say how many.
const LIMIT: u32 = 50;

/// Which messages.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct Wanted {
    /// The message before which they are; the newest without.
    before: Option<String>,
    /// How many at most, 1 to 200; 50 without.
    limit: Option<u32>,
}

/// Show what was said in a chat room.
#[utoipa::path(
    get,
    path = "/v1/rooms/{id}/messages",
    tag = "rooms",
    params(("id" = String, Path, description = "The room"), Wanted),
    responses(
        (status = 200, description = "The messages, oldest first", body = RoomMessages),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The rooms belong to another tenant"),
        (status = 409, description = "This server does not keep the messages"),
    )
)]
pub(crate) async fn list(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<RoomMessages>, ApiError> {
    admit(&app, &principal, &id)?;
    let page = wanted
        .before
        .as_deref()
        .map_or(ChatPage::Newest, ChatPage::Before);
    let limit = wanted.limit.unwrap_or(LIMIT);
    let read = app.chat.read(&id, page, limit).await;
    let read = read.ok_or_else(|| {
        let message = "The messages are kept by the application of chat.backend_url, or by nobody.";
        ApiError::new(StatusCode::CONFLICT, "messages_not_kept_here", message)
    })?;
    let (messages, more) =
        read.map_err(|why| ApiError::unavailable("messages_unavailable", why, 1))?;
    Ok(Json(RoomMessages { messages, more }))
}
