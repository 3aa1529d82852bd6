//! `DELETE /v1/admin/tenants/{id}`.
//! Called when a customer has left: keys, agents, projects and conversations go, the audit log stays.
//! Never frees the id for another.

use std::sync::Arc;

use axum::extract::{Path, State};
use store::TenantStatus;
use wire::rest::tenants::TenantDeleted;

use super::turn;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Delete a tenant.
#[utoipa::path(
    delete,
    path = "/v1/admin/tenants/{id}",
    tag = "admin",
    params(("id" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "It is gone, and its conversations end within a minute", body = TenantDeleted),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key is no operator's"),
        (status = 404, description = "There is none"),
        (status = 409, description = "It is the operator's own, or somebody else has just changed it"),
    )
)]
pub(crate) async fn delete(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<TenantDeleted>, ApiError> {
    let status = (TenantStatus::Deleted, None);
    let gone = turn(&app, &by, &id, status).await?;
    Ok(Json(TenantDeleted {
        object: "tenant.deleted",
        id: gone.id,
        deleted: true,
    }))
}
