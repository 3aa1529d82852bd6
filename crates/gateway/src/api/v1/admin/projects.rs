//! `/v1/admin/projects`: a tenant's keys and agents in groups.
//! Mounted by `api::v1`.
//! Never shows another tenant's.

pub(in crate::api::v1) mod create;
pub(in crate::api::v1) mod delete;
pub(in crate::api::v1) mod list;
pub(in crate::api::v1) mod show;
pub(in crate::api::v1) mod update;

use axum::http::StatusCode;
use serde_json::{Value, json};
use store::Project;
use wire::rest::tenants::Project as Shown;

use crate::App;
use crate::http::ApiError;

/// Projects of one tenant.
const MAX_PROJECTS: u32 = 100;

/// What projects are for.
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "development"];

fn shown(project: Project) -> Shown {
    Shown {
        object: "project",
        id: project.id,
        name: project.name,
        environment: project.environment,
        created_at: project.created_at.timestamp(),
        updated_at: project.updated_at.timestamp(),
    }
}

/// A project as the audit log shows it.
fn recorded(project: &Project) -> Value {
    json!({ "name": project.name, "environment": project.environment })
}

async fn find(app: &App, tenant: &str, id: &str) -> Result<Project, ApiError> {
    let found = app.store.sql.find_project(tenant, id).await;
    found?.ok_or_else(|| no_such_project(id))
}

/// 404 `project_not_found`, also for another tenant's.
pub(in crate::api::v1) fn no_such_project(id: &str) -> ApiError {
    let message = format!("No project has the id '{id}'. GET /v1/admin/projects lists them.");
    ApiError::new(StatusCode::NOT_FOUND, "project_not_found", message)
}

fn environment(name: String) -> Result<String, ApiError> {
    if ENVIRONMENTS.contains(&name.as_str()) {
        return Ok(name);
    }
    let known = ENVIRONMENTS.join(", ");
    let message = format!("An environment is one of {known}.");
    Err(ApiError::invalid_value("environment", message))
}
