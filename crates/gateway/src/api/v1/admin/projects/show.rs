//! `GET /v1/admin/projects/{id}`.
//! Called by whoever wants to see one project.
//! Never tells whether another tenant's exists.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::tenants::Project;

use super::super::Whose;
use super::{find, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json, Query};

/// Show a project.
#[utoipa::path(
    get,
    path = "/v1/admin/projects/{id}",
    tag = "admin",
    params(("id" = String, Path, description = "The project's id"), Whose),
    responses(
        (status = 200, description = "The project", body = Project),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is none"),
    )
)]
pub(crate) async fn show(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(wanted): Query<Whose>,
) -> Result<Json<Project>, ApiError> {
    let tenant = by.tenant(&app, wanted.tenant.as_deref()).await?;
    Ok(Json(shown(find(&app, &tenant, &id).await?)))
}
