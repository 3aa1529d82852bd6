//! A call with what was said in it, as `GET /v1/calls/{id}` shows it.
//! Written by the gateway's route.
//! Never shows words that nobody heard.

use serde::Serialize;
use utoipa::ToSchema;

use super::Call;
use super::webhook::CallTurn;

/// A call and its turns.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CallWithTurns {
    /// The call.
    #[serde(flatten)]
    pub call: Call,
    /// What was said, in order.
    pub turns: Vec<CallTurn>,
}
