//! Model names that requests may use.
//! Mounted by `v1`.
//! Never lists a name that nobody has. Agents are listed by name alone: one that cannot be had says so when asked for.

pub(super) mod list;
pub(super) mod show;

use providers::ModelInfo;
use wire::rest::models::Model;

/// Unix time at which all names became available: this project's first day, 2026-11-21.
const CREATED: i64 = 1_795_219_200;

fn model(info: ModelInfo) -> Model {
    Model::new(info.id, CREATED, info.owned_by)
}

/// An agent as a model name.
fn agent_model(name: &str) -> Model {
    let id = format!("{}{name}", crate::agents::PREFIX);
    Model::new(id, CREATED, "antiphon (agents)".to_owned())
}
