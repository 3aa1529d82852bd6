//! `POST /v1/realtime/transcription_sessions`, the beta shape.
//! Called by clients from before `client_secrets`.
//! Never shows a secret twice.

use std::sync::Arc;

use axum::extract::State;
use serde_json::Value;
use wire::realtime::SessionKind;
use wire::rest::sessions::BetaSession;

use crate::App;
use crate::auth::Caller;
use crate::http::{ApiError, Json};

/// Make a client secret for a transcription session in the beta shape; it is valid for a minute.
#[utoipa::path(
    post,
    path = "/v1/realtime/transcription_sessions",
    tag = "realtime",
    request_body(content = Object, description = "A flat session, as in the beta's `session.update`"),
    responses(
        (status = 200, description = "The flat session with its secret", body = BetaSession),
        (status = 400, description = "A setting is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
    )
)]
pub(in crate::api::v1) async fn create(
    Caller(who): Caller,
    State(app): State<Arc<App>>,
    Json(body): Json<Value>,
) -> Result<Json<BetaSession>, ApiError> {
    super::super::beta_session(&app, &who, body, SessionKind::Transcription).await
}
