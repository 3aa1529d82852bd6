//! `GET /v1/agents/{name}`.
//! Called before an agent is changed.
//! Never shows a secret.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::agents::Agent;

use super::shown;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Show one agent.
#[utoipa::path(
    get,
    path = "/v1/agents/{name}",
    tag = "agents",
    params(("name" = String, Path, description = "The agent's name")),
    responses(
        (status = 200, description = "The agent", body = Agent),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "No agent has this name"),
        (status = 500, description = "What is stored of the agent cannot be read; the message says what to do"),
    )
)]
pub(crate) async fn show(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<Agent>, ApiError> {
    let agent = app.agents.find(by.principal.place(), &name).await?;
    Ok(Json(shown(agent)))
}
