//! Why a session ends that its client would go on with, and what the client is told.
//! Used by the session's task, which waits for the answer that is being spoken.
//! Never decides that a session ends.

use std::time::Instant;

use crate::observe::Outcome;

/// Close code for a server that is going away (RFC 6455 §7.4.1).
pub(super) const GOING_AWAY: u16 = 1001;
/// Close code of a tenant that may not come in any more (spec/platform §3.6).
const SUSPENDED: u16 = 4003;

/// Why.
#[derive(Clone, Copy)]
pub(super) enum Farewell {
    /// The server stops.
    Shutdown,
    /// The tenant may not come in any more; the answer that is being spoken has until then.
    Suspended(Instant),
}

impl Farewell {
    /// When there is no more waiting for an answer; without it, the stop of the server says so.
    pub(super) const fn waits_until(self) -> Option<Instant> {
        match self {
            Self::Suspended(until) => Some(until),
            Self::Shutdown => None,
        }
    }

    /// The close code, the error's code and message, and the outcome.
    pub(super) const fn words(self) -> (u16, &'static str, &'static str, Outcome) {
        match self {
            Self::Shutdown => (
                GOING_AWAY,
                "server_shutting_down",
                "This server is shutting down: connect again, another one will answer.",
                Outcome::Shutdown,
            ),
            Self::Suspended(_) => (
                SUSPENDED,
                "tenant_suspended",
                "The account of this conversation is suspended. Ask whoever runs this server.",
                Outcome::Suspended,
            ),
        }
    }
}
