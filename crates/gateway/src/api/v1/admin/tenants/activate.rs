//! `POST /v1/admin/tenants/{id}/activate`.
//! Called when a suspended customer may come back.
//! Never brings back what is deleted.

use std::sync::Arc;

use axum::extract::{Path, State};
use store::TenantStatus;
use wire::rest::tenants::Tenant;

use super::{shown, turn};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Let a suspended tenant in again.
#[utoipa::path(
    post,
    path = "/v1/admin/tenants/{id}/activate",
    tag = "admin",
    params(("id" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "Its keys work again within a second", body = Tenant),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key is no operator's"),
        (status = 404, description = "There is none"),
        (status = 409, description = "It is the operator's own, or somebody else has just changed it"),
    )
)]
pub(crate) async fn activate(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Tenant>, ApiError> {
    let status = (TenantStatus::Active, None);
    Ok(Json(shown(turn(&app, &by, &id, status).await?)))
}
