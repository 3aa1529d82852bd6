//! `DELETE /v1/admin/projects/{id}`.
//! Called when nothing is left in a project.
//! Never takes a key or an agent away with it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use store::{Place, Removal};
use wire::rest::tenants::ProjectDeleted;

use super::super::Whose;
use super::{find, no_such_project, recorded};
use crate::App;
use crate::auth::{Administrator, DEFAULT_PROJECT};
use crate::http::{ApiError, Json, Query};

/// Delete a project.
#[utoipa::path(
    delete,
    path = "/v1/admin/projects/{id}",
    tag = "admin",
    params(("id" = String, Path, description = "The project's id"), Whose),
    responses(
        (status = 200, description = "It is gone", body = ProjectDeleted),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is none"),
        (status = 409, description = "Keys that work or agents are in it, or it is the tenant's first"),
    )
)]
pub(crate) async fn delete(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(wanted): Query<Whose>,
) -> Result<Json<ProjectDeleted>, ApiError> {
    let tenant = by.tenant(&app, wanted.tenant.as_deref()).await?;
    let in_use = |message: &str| ApiError::new(StatusCode::CONFLICT, "project_in_use", message);
    if id == DEFAULT_PROJECT {
        return Err(in_use("The project 'default' is always there."));
    }
    let seen = find(&app, &tenant, &id).await?;
    let mut act = by.actor.act(app.clock.utc(), "project.delete", &id);
    act.before = Some(recorded(&seen));
    let place = Place {
        tenant: &tenant,
        project: &id,
    };
    let removal = app.store.sql.delete_project(place, &act).await;
    match removal? {
        Removal::Done => Ok(Json(ProjectDeleted {
            object: "project.deleted",
            id,
            deleted: true,
        })),
        Removal::Missing => Err(no_such_project(&id)),
        Removal::InUse => Err(in_use(
            "Keys that work or agents are in this project. Revoke and delete them first.",
        )),
    }
}
