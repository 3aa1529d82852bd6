//! `GET /v1/admin/projects`.
//! Called by whoever wants to know what there is.
//! Never lists another tenant's.

use std::sync::Arc;

use axum::extract::State;
use wire::rest::tenants::ProjectList;

use super::super::Whose;
use super::shown;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json, Query};

/// List the projects.
#[utoipa::path(
    get,
    path = "/v1/admin/projects",
    tag = "admin",
    params(Whose),
    responses(
        (status = 200, description = "All projects, oldest first", body = ProjectList),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is no such tenant"),
    )
)]
pub(crate) async fn list(
    by: Administrator,
    State(app): State<Arc<App>>,
    Query(wanted): Query<Whose>,
) -> Result<Json<ProjectList>, ApiError> {
    let tenant = by.tenant(&app, wanted.tenant.as_deref()).await?;
    let projects = app.store.sql.list_projects(&tenant).await;
    let projects = projects?;
    Ok(Json(ProjectList {
        object: "list",
        data: projects.into_iter().map(shown).collect(),
    }))
}
