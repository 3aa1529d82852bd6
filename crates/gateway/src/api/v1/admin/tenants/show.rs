//! `GET /v1/admin/tenants/{id}`.
//! Called by whoever wants to see one tenant.
//! Never tells whether another tenant's exists.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::tenants::Tenant;

use super::{find, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Show a tenant.
#[utoipa::path(
    get,
    path = "/v1/admin/tenants/{id}",
    tag = "admin",
    params(("id" = String, Path, description = "The tenant's id")),
    responses(
        (status = 200, description = "The tenant", body = Tenant),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer a tenant"),
        (status = 404, description = "There is none, or it is another's"),
    )
)]
pub(crate) async fn show(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Tenant>, ApiError> {
    Ok(Json(shown(find(&app, &by, &id).await?)))
}
