//! Chat rooms: what a client says, what it is told, and how rooms speak to each other over Redis (spec/chat-voice-survey, part B).
//! Used by the gateway's chat edge, the load generator and the fuzzers.
//! Never decides who may say what, and never reads a clock.

mod asyncapi;
mod bus;
mod client;
mod extra;
mod server;

pub(crate) use asyncapi::extend;
pub use bus::{Mark, Published, mark, read};
pub use client::{ChatClientMessage, Refused, Say, decode};
pub use extra::{ChatExtra, ChatExtras};
pub use server::{
    Acked, ChatServerMessage, Delivery, Delta, HandedOver, Joined, Posted, Present, ReadUpTo,
    Sender, Typed, in_room, text,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who speaks, in the words of the original: its `AGENT` is a machine, its `ASSISTANT` a person of the support team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChatRole {
    /// The customer.
    User,
    /// A person of the support team.
    Assistant,
    /// A machine.
    Agent,
    /// A notice.
    System,
}

impl ChatRole {
    /// As clients and backends write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Assistant => "ASSISTANT",
            Self::Agent => "AGENT",
            Self::System => "SYSTEM",
        }
    }

    /// As clients are told.
    pub const fn lower(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Agent => "agent",
            Self::System => "system",
        }
    }

    /// Reads [`Self::name`].
    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::User, Self::Assistant, Self::Agent, Self::System];
        all.into_iter().find(|role| role.name() == name)
    }
}

#[cfg(test)]
mod tests;
