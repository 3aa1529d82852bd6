//! `GET /v1/sessions/{id}/usage`.
//! Called by whoever pays, during a session and after it.
//! Never tells a session of another tenant from one that does not exist.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::usage::SessionUsage;

use crate::App;
use crate::auth::Payer;
use crate::http::{ApiError, Json};

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
        (status = 404, description = "No session has this id, or it ended too long ago"),
    )
)]
pub(crate) async fn show(
    Payer(principal): Payer,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<SessionUsage>, ApiError> {
    app.meter
        .usage(&principal.tenant, &id)
        .map(Json)
        .ok_or_else(|| {
            ApiError::not_found(format!(
                "No session with id '{id}' is running here, and none has ended lately."
            ))
        })
}
