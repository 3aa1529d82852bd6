//! `GET /v1/sessions/{id}/usage`.
//! Called by whoever pays, during a session and after it.
//! Never tells a session of another tenant from one that does not exist.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::usage::SessionUsage;

use crate::App;
use crate::auth::Payer;
use crate::http::{ApiError, Json};
use crate::metering::session_usage;

/// Show what a session has used and what that costs, turn by turn.
#[utoipa::path(
    get,
    path = "/v1/sessions/{id}/usage",
    tag = "sessions",
    params(("id" = String, Path, description = "The session's id, `sess_…`")),
    responses(
        (status = 200, description = "Units and cost so far", body = SessionUsage),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key may neither converse nor read usage"),
        (status = 404, description = "No session has this id, or what it used has outlived its time"),
    )
)]
pub(crate) async fn show(
    Payer(principal): Payer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<SessionUsage>, ApiError> {
    let used = session_usage(&app, &principal.tenant, &id).await?;
    used.map(Json)
        .ok_or_else(|| ApiError::not_found(format!("No session has the id '{id}'.")))
}
