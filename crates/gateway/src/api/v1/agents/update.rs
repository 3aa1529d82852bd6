//! `POST /v1/agents/{name}`.
//! Called by whoever changes an agent; the next session is the changed one's.
//! Never loses a change that somebody else has made meanwhile.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Map, Value};
use url::Url;
use wire::rest::agents::{Agent, AgentSpec};

use super::{shown, spec};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// What an agent is shown with and nobody can set; accepted from clients that write back what they have read.
const SHOWN_ONLY: [&str; 4] = ["object", "source", "created_at", "updated_at"];

/// Change an agent: fields that are sent are replaced, null takes one away, others stay.
#[utoipa::path(
    post,
    path = "/v1/agents/{name}",
    tag = "agents",
    params(("name" = String, Path, description = "The agent's name")),
    request_body = AgentSpec,
    responses(
        (status = 200, description = "The agent as it is now", body = Agent),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "No agent has this name"),
        (status = 409, description = "It was changed by somebody else meanwhile, or is in a file"),
        (status = 500, description = "What is stored of the agent cannot be read; the message says what to do"),
    )
)]
pub(crate) async fn update(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(mut body): Json<Map<String, Value>>,
) -> Result<Json<Agent>, ApiError> {
    body.retain(|field, _| !SHOWN_ONLY.contains(&field.as_str()));
    if body.remove("name").is_some_and(|other| other != *name) {
        let message = format!("Invalid 'name': an agent keeps its name, which is '{name}'.");
        return Err(ApiError::invalid_value("name", message));
    }
    let agent = app.agents.find(by.principal.place(), &name).await?;
    let mut merged = serde_json::to_value(&agent.spec).unwrap_or_default();
    if let Some(merged) = merged.as_object_mut() {
        for (field, value) in body {
            match value {
                Value::Null => drop(merged.remove(&field)),
                value => drop(merged.insert(field, value)),
            }
        }
    }
    let mut changed = spec(merged)?;
    changed.keep_secrets(&agent.spec, same_server);
    app.agents.check(&changed, app.catalog().as_ref())?;
    let act = by.actor.act(app.clock.utc(), "agent.update", &name);
    let place = by.principal.place();
    let agent = app.agents.update(place, &agent, &changed, act).await?;
    Ok(Json(shown(agent)))
}

/// Whether two addresses lead to the same server: scheme, host and port.
fn same_server(one: &str, other: &str) -> bool {
    let origin = |address| Url::parse(address).map(|address| address.origin());
    match (origin(one), origin(other)) {
        (Ok(one), Ok(other)) => one.is_tuple() && one == other,
        _ => false,
    }
}
