//! `POST /v1/admin/tenants/{id}/suspend`.
//! Called when a customer is to stay outside for a while.
//! Never cuts a sentence: conversations that run end within a minute, after the answer that is being spoken.

use std::sync::Arc;

use axum::extract::{Path, State};
use store::TenantStatus;
use wire::rest::tenants::{Suspend, Tenant};

use super::{shown, turn};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// Suspend a tenant.
#[utoipa::path(
    post,
    path = "/v1/admin/tenants/{id}/suspend",
    tag = "admin",
    params(("id" = String, Path, description = "The tenant's id")),
    request_body(content = Suspend, description = "Why"),
    responses(
        (status = 200, description = "Its keys open nothing any more, and its conversations end within a minute", body = Tenant),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key is no operator's"),
        (status = 404, description = "There is none"),
        (status = 409, description = "It is the operator's own, or somebody else has just changed it"),
    )
)]
pub(crate) async fn suspend(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Option<Json<Suspend>>,
) -> Result<Json<Tenant>, ApiError> {
    let reason = body.and_then(|Json(body)| body.reason);
    let unfit = |it: &String| it.chars().count() > MAX_REASON || it.chars().any(char::is_control);
    if reason.as_ref().is_some_and(unfit) {
        let message =
            format!("A reason has up to {MAX_REASON} characters, none of them for control.");
        return Err(ApiError::invalid_value("reason", message));
    }
    let status = (TenantStatus::Suspended, reason);
    Ok(Json(shown(turn(&app, &by, &id, status).await?)))
}
