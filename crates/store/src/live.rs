//! Short-lived state, lost with the process.
//! Used by `gateway::auth` for ephemeral client secrets.
//! Never grows without bound and never reads a clock.

pub mod secrets;

pub use secrets::{ClientSecret, Secrets};

/// Session configurations kept for client secrets, in bytes of JSON: 100,000 ordinary ones of 600 bytes.
const CLIENT_SECRET_BYTES: usize = 64 * 1024 * 1024;

/// Short-lived state in the memory of this process.
#[derive(Debug, Clone)]
pub struct Live {
    /// Ephemeral client secrets.
    pub secrets: Secrets,
}

impl Live {
    /// State of one process; `max_client_secrets` bounds the secrets kept.
    pub fn memory(max_client_secrets: usize) -> Self {
        Self {
            secrets: Secrets::memory(max_client_secrets, CLIENT_SECRET_BYTES),
        }
    }
}
