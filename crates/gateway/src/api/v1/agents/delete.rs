//! `DELETE /v1/agents/{name}`.
//! Called when an agent is not needed any more; sessions that run go on.
//! Never touches a file.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::agents::AgentDeleted;

use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Remove an agent.
#[utoipa::path(
    delete,
    path = "/v1/agents/{name}",
    tag = "agents",
    params(("name" = String, Path, description = "The agent's name")),
    responses(
        (status = 200, description = "It is gone", body = AgentDeleted),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "No agent has this name"),
        (status = 409, description = "It is in a file"),
    )
)]
pub(crate) async fn delete(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<AgentDeleted>, ApiError> {
    let act = by.actor.act(app.clock.utc(), "agent.delete", &name);
    app.agents.delete(by.principal.place(), &name, act).await?;
    Ok(Json(AgentDeleted {
        object: "agent.deleted",
        name,
        deleted: true,
    }))
}
