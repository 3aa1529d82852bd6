//! `GET /v1/agents`.
//! Called by whoever sets agents up; whom one can talk to is in `/v1/models`, which any key reads.
//! Never lists another tenant's.

use std::sync::Arc;

use axum::extract::State;
use wire::rest::agents::AgentList;

use super::shown;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// List the agents.
#[utoipa::path(
    get,
    path = "/v1/agents",
    tag = "agents",
    responses(
        (status = 200, description = "All agents, in the order of their names", body = AgentList),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
    )
)]
pub(crate) async fn list(
    by: Administrator,
    State(app): State<Arc<App>>,
) -> Result<Json<AgentList>, ApiError> {
    let agents = app.agents.list(by.principal.place()).await?;
    Ok(Json(AgentList {
        object: "list",
        data: agents.into_iter().map(shown).collect(),
    }))
}
