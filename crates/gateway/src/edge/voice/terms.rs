//! What one user of a tenant may have of this door: its own limits, over those of its plan, over `[voice]`.
//! Asked by `begin`.
//! Never counts anything.

use crate::auth::rates::allowed;
use crate::auth::{Allowance, Principal};
use crate::config::{Config, VoicePrices};
use crate::quota::purse;

/// Limits of one user's sessions; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) session_cents: u64,
    pub(super) day_cents: u64,
    pub(super) sessions: u64,
    /// Longest session, in s.
    pub(super) session_s: u64,
}

impl Terms {
    pub(super) fn of(config: &Config, allowance: &Allowance) -> Self {
        let (voice, plan) = (&config.voice, allowed(config, allowance));
        // no session lasts for ever: where a tenant has no limit the server's own holds
        let longest = |own: u64| {
            if own == 0 {
                config.sessions.max_duration_s
            } else {
                own
            }
        };
        Self {
            session_cents: plan
                .voice_session_budget_cents
                .unwrap_or(voice.session_budget_cents),
            day_cents: plan
                .voice_daily_budget_cents
                .unwrap_or(voice.daily_budget_cents),
            sessions: plan
                .voice_sessions_per_user
                .unwrap_or(voice.sessions_per_user),
            session_s: longest(plan.voice_session_s.unwrap_or(voice.max_session_s))
                .min(config.sessions.max_duration_s),
        }
    }

    /// The budget of one session.
    pub(super) fn purse(&self, config: &Config, who: &Principal, user: &str) -> purse::Terms {
        purse::Terms {
            user: of_tenant(who, user),
            session_cents: self.session_cents,
            day_cents: self.day_cents.min(purse::MAX_DAY_CENTS),
            forgotten_micros: 0,
            warn_percent: config.voice.warn_percent,
            rates: config.voice.rates(),
            by_provider: config.voice.prices == VoicePrices::Providers,
        }
    }
}

/// A user's name among those of all tenants.
pub(super) fn of_tenant(who: &Principal, user: &str) -> String {
    format!("{}/{user}", who.tenant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::TenantLimits;

    #[test]
    fn a_tenant_s_own_limits_go_first() {
        let mut config = Config::default();
        let mut allowance = Allowance {
            plan: "pro".to_owned(),
            limits: TenantLimits::default(),
        };
        let of_door = Terms::of(&config, &allowance);
        assert_eq!((of_door.session_cents, of_door.sessions), (500, 3));
        assert_eq!((of_door.day_cents, of_door.session_s), (2000, 1800));
        let plan = crate::config::Plan {
            voice_session_budget_cents: Some(100),
            voice_session_s: Some(60),
            ..config.plan("pro").unwrap()
        };
        config.plans.insert("pro".to_owned(), plan);
        allowance.limits.voice_session_budget_cents = Some(0);
        allowance.limits.voice_sessions_per_user = Some(7);
        let own = Terms::of(&config, &allowance);
        assert_eq!((own.session_cents, own.sessions, own.session_s), (0, 7, 60));
        allowance.limits.voice_session_s = Some(0);
        let longest = Terms::of(&config, &allowance).session_s;
        assert_eq!(longest, config.sessions.max_duration_s);
    }
}
