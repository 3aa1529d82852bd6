//! `[plans.NAME]`: how much tenants may have, by the name of their plan.
//! Read where requests and conversations are counted.
//! Never knows a tenant: what one of them has of its own goes over its plan elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::Problem;
use crate::quota::purse::MAX_DAY_CENTS;
use crate::retention::RETENTION_DAYS;

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
    /// Days that conversations are kept, 1 to 3650; 0 is as `conversations.retention_days` says.
    pub retention_days: u32,
    /// What a voice session may cost, in cents of a dollar; as the section `voice` says when not set.
    pub voice_session_budget_cents: Option<u64>,
    /// What the voice sessions of one user may cost within any day, in cents of a dollar; as the section `voice` says when not set.
    pub voice_daily_budget_cents: Option<u64>,
    /// Voice sessions that one user may have at the same time; as the section `voice` says when not set.
    pub voice_sessions_per_user: Option<u64>,
    /// How long a voice session may last, in s; as the section `voice` says when not set.
    pub voice_session_s: Option<u64>,
}

impl Plan {
    /// The plans that need no section.
    pub(super) fn built_in() -> [(&'static str, Self); 3] {
        let free = Self {
            requests_per_minute: 100,
            tokens_per_minute: 100_000,
            concurrent_sessions: 1,
            audio_minutes_per_day: 10,
            retention_days: 30,
            ..Self::default()
        };
        let pro = Self {
            requests_per_minute: 1000,
            tokens_per_minute: 1_000_000,
            concurrent_sessions: 100,
            audio_minutes_per_day: 0,
            retention_days: 90,
            ..Self::default()
        };
        let enterprise = Self {
            retention_days: 365,
            ..Self::default()
        };
        [("free", free), ("pro", pro), ("enterprise", enterprise)]
    }
}

/// The first value of a plan that is not accepted.
pub(super) fn check(plans: &BTreeMap<String, Plan>) -> Result<(), Problem> {
    for (name, plan) in plans {
        for (field, cents) in [
            (
                "voice_session_budget_cents",
                plan.voice_session_budget_cents,
            ),
            ("voice_daily_budget_cents", plan.voice_daily_budget_cents),
        ] {
            if let Some(cents) = cents.filter(|cents| *cents > MAX_DAY_CENTS) {
                return Err(Problem {
                    key: format!("plans.{name}.{field}").into(),
                    value: cents.to_string(),
                    expected: format!("0 to {MAX_DAY_CENTS}").into(),
                });
            }
        }
    }
    let wrong = plans
        .iter()
        .find(|(_, plan)| plan.retention_days > *RETENTION_DAYS.end());
    wrong.map_or(Ok(()), |(name, plan)| {
        Err(Problem {
            key: format!("plans.{name}.retention_days").into(),
            value: plan.retention_days.to_string(),
            expected: format!(
                "0, for conversations.retention_days, to {}",
                RETENTION_DAYS.end()
            )
            .into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_keeps_for_too_long_is_refused() {
        let plan = |retention_days| {
            let plan = Plan {
                retention_days,
                ..Plan::default()
            };
            BTreeMap::from([("gold".to_owned(), plan)])
        };
        assert!(check(&plan(0)).is_ok() && check(&plan(3650)).is_ok());
        let problem = check(&plan(3651)).err().unwrap();
        assert_eq!(problem.key, "plans.gold.retention_days");
        let rich = Plan {
            voice_daily_budget_cents: Some(10_000_001),
            ..Plan::default()
        };
        let plans = BTreeMap::from([("gold".to_owned(), rich)]);
        let problem = check(&plans).err().unwrap();
        assert_eq!(problem.key, "plans.gold.voice_daily_budget_cents");
    }
}
