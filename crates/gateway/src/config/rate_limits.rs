//! `[rate_limits]`: how much anybody may have, whoever pays for it.
//! Read where requests, tokens, audio and conversations are counted.
//! Never knows a plan: what that says goes over what is said here of tenants.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `[rate_limits]`: how much anybody may have, over all servers together; 0 is no limit. Requests are calls over REST and
/// sockets opened. What is refused gets 429 and is told when to come back. Those of a tenant count where its plan and its
/// own limits say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Of the whole installation.
    pub requests_per_minute: u64,
    /// Of each tenant.
    pub tenant_requests_per_minute: u64,
    /// Of each project.
    pub project_requests_per_minute: u64,
    /// Of each API key. A client secret counts when it is made, not when it opens its socket.
    pub key_requests_per_minute: u64,
    /// Of each network address; of IPv6 the first 64 bits count as one.
    pub ip_requests_per_minute: u64,
    /// Tokens of language models, of the whole installation.
    pub tokens_per_minute: u64,
    /// Of each tenant.
    pub tenant_tokens_per_minute: u64,
    /// Of each project.
    pub project_tokens_per_minute: u64,
    /// Of each API key.
    pub key_tokens_per_minute: u64,
    /// Minutes of audio, heard and spoken, of each tenant within any day.
    pub tenant_audio_minutes_per_day: u64,
    /// Conversations at the same time, of the whole installation.
    pub concurrent_sessions: u64,
    /// Of each tenant.
    pub tenant_concurrent_sessions: u64,
    /// Of each project.
    pub project_concurrent_sessions: u64,
    /// Of each API key.
    pub key_concurrent_sessions: u64,
}
