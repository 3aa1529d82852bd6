//! `POST /v1/agents`.
//! Called by whoever sets up an agent.
//! Never replaces one that is there.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use wire::rest::agents::{Agent, AgentSpec, CreateAgent};

use super::{shown, spec};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Make an agent.
#[utoipa::path(
    post,
    path = "/v1/agents",
    tag = "agents",
    request_body(content = AgentSpec, description = "An agent with its `name`"),
    responses(
        (status = 201, description = "The agent", body = Agent),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 409, description = "The name is taken, or there are as many agents as a project may have"),
    )
)]
pub(crate) async fn create(
    by: Administrator,
    State(app): State<Arc<App>>,
    Json(body): Json<CreateAgent>,
) -> Result<(StatusCode, Json<Agent>), ApiError> {
    let spec = spec(body.spec)?;
    app.agents.check(&spec, app.catalog().as_ref())?;
    let act = by.actor.act(app.clock.utc(), "agent.create", &body.name);
    let made = app
        .agents
        .create(by.principal.place(), &body.name, &spec, act)
        .await?;
    Ok((StatusCode::CREATED, Json(shown(made))))
}
