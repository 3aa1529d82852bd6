//! `/v1/calls/{id}/recording`, and its `pause` and `resume`.
//! Called by whoever wants to listen to a call, or wants nothing of it kept for a while.
//! Never gives out a recording of another tenant's call.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use engine::call::state::CallState;
use tokio_util::io::ReaderStream;
use wire::rest::calls::Call;

use super::{found, shown, unreadable};
use crate::App;
use crate::auth::Caller;
use crate::calls::{CallKey, Order, details};
use crate::http::{ApiError, Json};
use crate::recording;

/// How often what is kept of a call is written anew when somebody else has changed it meanwhile.
const TRIES: usize = 8;

fn missing() -> ApiError {
    let message =
        "There is no recording of this call: it was not recorded, it is not over, or its time is.";
    ApiError::new(StatusCode::NOT_FOUND, "recording_not_found", message)
}

/// Listen to a call.
#[utoipa::path(
    get,
    path = "/v1/calls/{id}/recording",
    tag = "calls",
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The recording: 16 bits, 8 kHz, the caller left, the agent right", content_type = "audio/wav"),
        (status = 401, description = "No usable key"),
        (status = 404, description = "There is no such call, or no recording of it"),
    )
)]
pub(crate) async fn fetch(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let tenant = principal.tenant.as_str();
    found(&app, tenant, &id).await?;
    let kept = recording::find(&app, tenant, &id)
        .await
        .map_err(unreadable)?;
    let kept = kept.ok_or_else(missing)?;
    let file = tokio::fs::File::open(&kept.path).await.map_err(|error| {
        tracing::error!(call = id, %error, "the file of a recording cannot be opened");
        missing()
    })?;
    let headers = [
        (header::CONTENT_TYPE, kept.recording.content_type),
        (header::CONTENT_LENGTH, kept.recording.bytes.to_string()),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

/// Keep nothing of what is said from now on.
#[utoipa::path(
    post,
    path = "/v1/calls/{id}/recording/pause",
    tag = "calls",
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "Nothing is kept; of a call on another server within 5 s", body = Call),
        (status = 401, description = "No usable key"),
        (status = 404, description = "There is no such call"),
        (status = 409, description = "Nobody is on the line"),
    )
)]
pub(crate) async fn pause(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Call>, ApiError> {
    set(&app, &caller.0.tenant, &id, true).await
}

/// Keep what is said again.
#[utoipa::path(
    post,
    path = "/v1/calls/{id}/recording/resume",
    tag = "calls",
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The call is recorded again, where it was before", body = Call),
        (status = 401, description = "No usable key"),
        (status = 404, description = "There is no such call"),
        (status = 409, description = "Nobody is on the line"),
    )
)]
pub(crate) async fn resume(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Call>, ApiError> {
    set(&app, &caller.0.tenant, &id, false).await
}

async fn set(app: &App, tenant: &str, id: &str, paused: bool) -> Result<Json<Call>, ApiError> {
    let call = found(app, tenant, id).await?;
    let key = CallKey {
        tenant: tenant.to_owned(),
        id: id.to_owned(),
        attempt: call.attempt_number,
    };
    let live = call.state == CallState::Live.name();
    let change = |details: &mut details::Details| details.recording_paused = paused;
    if !live
        || !details::change(app, &key, TRIES, change)
            .await
            .map_err(unreadable)?
    {
        let message = "Nobody is on the line: there is nothing to keep.";
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "call_not_live",
            message,
        ));
    }
    app.phone
        .live
        .order(key.named(), Order::PauseRecording(paused));
    let call = found(app, tenant, id).await?;
    Ok(Json(shown(&call)))
}
