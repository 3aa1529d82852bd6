//! `PATCH /v1/admin/projects/{id}`.
//! Called when a project has another name or purpose.
//! Never changes its id.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use wire::rest::tenants::{ChangeProject, Project};

use super::super::Whose;
use super::{environment, find, recorded, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json, Query};
use crate::tenants;

/// Change a project.
#[utoipa::path(
    patch,
    path = "/v1/admin/projects/{id}",
    tag = "admin",
    params(("id" = String, Path, description = "The project's id"), Whose),
    request_body = ChangeProject,
    responses(
        (status = 200, description = "The project as it is now", body = Project),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is none"),
        (status = 409, description = "Somebody else has just changed it"),
    )
)]
pub(crate) async fn update(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(wanted): Query<Whose>,
    Json(body): Json<ChangeProject>,
) -> Result<Json<Project>, ApiError> {
    let tenant = by.tenant(&app, wanted.tenant.as_deref()).await?;
    let seen = find(&app, &tenant, &id).await?;
    let mut changed = seen.clone();
    if let Some(text) = &body.name {
        changed.name = tenants::name(text)?;
    }
    if let Some(wanted) = body.environment {
        changed.environment = environment(wanted)?;
    }
    changed.updated_at = app.clock.utc();
    let mut act = by.actor.act(changed.updated_at, "project.update", &id);
    act.before = Some(recorded(&seen));
    act.after = Some(recorded(&changed));
    let sql = &app.store.sql;
    let done = sql.update_project(&tenant, &seen, &changed, &act).await;
    if !done? {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "project_changed",
            "Somebody else has just changed this project. Look at it and try again.",
        ));
    }
    Ok(Json(shown(changed)))
}
