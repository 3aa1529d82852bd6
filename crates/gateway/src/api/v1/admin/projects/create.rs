//! `POST /v1/admin/projects`.
//! Called by whoever keeps two things of a tenant apart.
//! Never replaces one that is there.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use store::Project;
use wire::rest::tenants::{NewProject, Project as Shown};

use super::super::Whose;
use super::super::id;
use super::{MAX_PROJECTS, environment, recorded, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json, Query};
use crate::tenants::{self, fresh_id};

/// The environment of a project of which nothing else was said.
const FIRST_ENVIRONMENT: &str = "development";

/// Make a project.
#[utoipa::path(
    post,
    path = "/v1/admin/projects",
    tag = "admin",
    params(Whose),
    request_body = NewProject,
    responses(
        (status = 201, description = "The project", body = Shown),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is no such tenant"),
        (status = 409, description = "The id is taken, or there are as many projects as a tenant may have"),
    )
)]
pub(crate) async fn create(
    by: Administrator,
    State(app): State<Arc<App>>,
    Query(wanted): Query<Whose>,
    Json(body): Json<NewProject>,
) -> Result<(StatusCode, Json<Shown>), ApiError> {
    let tenant = by.tenant(&app, wanted.tenant.as_deref()).await?;
    let now = app.clock.utc();
    let wanted = body.environment;
    let project = Project {
        id: match body.id {
            Some(chosen) => id(chosen)?,
            None => fresh_id("p")?,
        },
        name: tenants::name(&body.name)?,
        environment: environment(wanted.unwrap_or_else(|| FIRST_ENVIRONMENT.to_owned()))?,
        created_at: now,
        updated_at: now,
    };
    let mut act = by.actor.act(now, "project.create", &project.id);
    act.after = Some(recorded(&project));
    let sql = &app.store.sql;
    let made = sql.create_project(&tenant, &project, MAX_PROJECTS, &act);
    if !made.await? {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "project_exists",
            format!(
                "There is a project with the id '{}', or there are {MAX_PROJECTS} already.",
                project.id
            ),
        ));
    }
    tracing::info!(
        tenant,
        by = act.actor,
        project = project.id,
        "a project was made"
    );
    Ok((StatusCode::CREATED, Json(shown(project))))
}
