//! `[plans.NAME]`: how much tenants may have, by the name of their plan.
//! Read where requests and conversations are counted.
//! Never knows a tenant: what one of them has of its own goes over its plan elsewhere.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `[plans.NAME]`: how much a tenant of this plan may have; 0 is no limit. `free`, `pro` and `enterprise` (no limits)
/// need no section; one of their names replaces them. A tenant's own limits go over its plan (`PATCH
/// /v1/admin/tenants/ID`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// REST calls and sockets opened within any minute.
    pub requests_per_minute: u64,
    /// Tokens of language models within any minute.
    pub tokens_per_minute: u64,
    /// Conversations at the same time.
    pub concurrent_sessions: u64,
    /// Minutes of audio, heard and spoken, within any day.
    pub audio_minutes_per_day: u64,
}

impl Plan {
    /// The plans that need no section.
    pub(super) fn built_in() -> [(&'static str, Self); 3] {
        let free = Self {
            requests_per_minute: 100,
            tokens_per_minute: 100_000,
            concurrent_sessions: 1,
            audio_minutes_per_day: 10,
        };
        let pro = Self {
            requests_per_minute: 1000,
            tokens_per_minute: 1_000_000,
            concurrent_sessions: 100,
            audio_minutes_per_day: 0,
        };
        [
            ("free", free),
            ("pro", pro),
            ("enterprise", Self::default()),
        ]
    }
}
