//! `/v1/agents`: who answers, under a name.
//! Mounted by `api::v1`; takes a key that administers the tenant: an agent says where its callers' words go, and its
//! instructions are not everybody's business.
//! Never shows a secret.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod list;
pub(super) mod show;
pub(super) mod update;

use wire::rest::agents::{Agent as Shown, AgentSpec};

use crate::agents::{Agent, AgentError, Problem};
use crate::http::ApiError;

fn shown(agent: Agent) -> Shown {
    let (created_at, updated_at) = agent.times.unzip();
    Shown {
        object: "agent",
        name: agent.name,
        source: agent.source,
        created_at: created_at.map(|at| at.timestamp()),
        updated_at: updated_at.map(|at| at.timestamp()),
        spec: agent.spec.hidden(),
    }
}

/// What an agent is, from JSON.
fn spec(body: serde_json::Value) -> Result<AgentSpec, ApiError> {
    serde_json::from_value(body)
        .map_err(|error| ApiError::invalid("invalid_value", format!("Invalid agent: {error}.")))
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let message = format!(
            "Invalid '{}': {}.",
            problem.place,
            problem.message.trim_end_matches('.')
        );
        Self::invalid_value(problem.place, message)
    }
}

impl From<AgentError> for ApiError {
    fn from(error: AgentError) -> Self {
        let message = error.sentence();
        let conflict = |code| Self::new(axum::http::StatusCode::CONFLICT, code, message.clone());
        match error {
            AgentError::Unknown { .. } => Self::new(
                axum::http::StatusCode::NOT_FOUND,
                "agent_not_found",
                message,
            ),
            AgentError::Name(_) => Self::invalid_value("name", message),
            AgentError::Taken(_) => conflict("agent_exists"),
            AgentError::TooMany => conflict("too_many_agents"),
            AgentError::Changed(_) => conflict("agent_changed"),
            AgentError::InFile(_) => conflict("agent_in_file"),
            AgentError::Unreadable(_) => Self::new(
                axum::http::StatusCode::INTERNAL_SERVER_ERROR,
                "agent_unreadable",
                message,
            ),
            AgentError::Problem(problem) => problem.into(),
            AgentError::Store(error) if error.is_storage() => error.into(),
            AgentError::Store(error) => {
                tracing::error!(error = %crate::auth::chain(&error), "cannot reach the agents");
                Self::unavailable(
                    "service_unavailable",
                    "The agents cannot be read. Try again.",
                    1,
                )
            }
        }
    }
}
