//! How often somebody may ask: the rate limits of `[rate_limits]`, asked once per REST call and per socket.
//! Called by the extractors and by the realtime edge once it is known who asks.
//! Never counts audio, never asks anybody where no limit is set, and never refuses because Redis is away.

use std::net::IpAddr;

use axum::http::StatusCode;
use axum::http::request::Parts;
use engine::guard::Rate;
use store::live::limiter::{Decider, Demand, Level, LevelKind, Refused};

use super::lockout::network;
use super::{Allowance, Credential, Principal};
use crate::App;
use crate::config::{Config, Plan};
use crate::http::{ApiError, client_ip};
use crate::observe::Event;

/// Lets a socket in that shows a server key, and counts it.
///
/// # Errors
/// As [`super::admit`] and [`count`].
pub(crate) async fn admit(
    app: &App,
    credential: &Credential,
    parts: &Parts,
) -> Result<Principal, ApiError> {
    let who = super::admit(app, credential, parts).await?;
    count(app, &who, parts).await?;
    Ok(who)
}

/// Counts one request of `who`.
///
/// # Errors
/// 429 `rate_limit_exceeded` when any of the limits is used up; nothing is counted then.
pub(crate) async fn count(app: &App, who: &Principal, parts: &Parts) -> Result<(), ApiError> {
    take(app, who, levels(app, who, client_ip(app, parts))).await
}

/// Counts one request that this server makes itself on `who`'s account.
///
/// # Errors
/// As [`count`].
pub(crate) async fn count_own(app: &App, who: &Principal) -> Result<(), ApiError> {
    take(app, who, levels(app, who, None)).await
}

async fn take(app: &App, who: &Principal, levels: Vec<Level>) -> Result<(), ApiError> {
    if levels.is_empty() {
        return Ok(());
    }
    let now_ms = app.clock.utc().timestamp_millis().unsigned_abs();
    let decision = app
        .store
        .live
        .limiter
        .take(&levels, Demand::REQUEST, now_ms)
        .await;
    if decision.decider == Decider::Degraded {
        app.metrics.decided_locally();
    }
    let Err(refused) = decision.outcome else {
        return Ok(());
    };
    app.metrics.emit(&Event::RateLimited {
        level: refused.kind.name(),
        tenant: &who.tenant,
    });
    Err(refusal(refused))
}

/// How much a tenant may have: its own limits over those of its plan. A plan that is not in the configuration any more
/// is taken for the smallest one that always is.
pub(crate) fn allowed(config: &Config, allowance: &Allowance) -> Plan {
    let plan = config.plan(&allowance.plan).or_else(|| config.plan("free"));
    let (plan, own) = (plan.unwrap_or_default(), allowance.limits);
    Plan {
        requests_per_minute: own.requests_per_minute.unwrap_or(plan.requests_per_minute),
        tokens_per_minute: own.tokens_per_minute.unwrap_or(plan.tokens_per_minute),
        concurrent_sessions: own.concurrent_sessions.unwrap_or(plan.concurrent_sessions),
        audio_minutes_per_day: own
            .audio_minutes_per_day
            .unwrap_or(plan.audio_minutes_per_day),
        retention_days: own.retention_days.unwrap_or(plan.retention_days),
        voice_session_budget_cents: own
            .voice_session_budget_cents
            .or(plan.voice_session_budget_cents),
        voice_daily_budget_cents: own
            .voice_daily_budget_cents
            .or(plan.voice_daily_budget_cents),
        voice_sessions_per_user: own.voice_sessions_per_user.or(plan.voice_sessions_per_user),
        voice_session_s: own.voice_session_s.or(plan.voice_session_s),
    }
}

/// The limits that are set and concern `who`.
fn levels(app: &App, who: &Principal, ip: Option<IpAddr>) -> Vec<Level> {
    let rates = &app.config.rate_limits;
    let ip = ip.map(|ip| network(ip).to_string());
    let of_tenant = match allowed(&app.config, &who.allowance).requests_per_minute {
        0 => rates.tenant_requests_per_minute,
        own => own,
    };
    let levels = [
        (
            LevelKind::Global,
            Some("all".to_owned()),
            rates.requests_per_minute,
        ),
        (LevelKind::Tenant, Some(who.tenant.clone()), of_tenant),
        (
            LevelKind::Project,
            Some(project_of(who)),
            rates.project_requests_per_minute,
        ),
        (
            LevelKind::Key,
            Some(who.key_id.clone()),
            rates.key_requests_per_minute,
        ),
        (LevelKind::Ip, ip, rates.ip_requests_per_minute),
    ];
    let level = |(kind, id, limit): (LevelKind, Option<String>, u64)| {
        Some(Level {
            kind,
            id: id.filter(|_| limit > 0)?,
            requests: Some(Rate::per_minute(limit)),
            tokens: None,
            audio_s: None,
        })
    };
    levels.into_iter().filter_map(level).collect()
}

/// A project's name in limits: two tenants may each have one of a name.
pub(crate) fn project_of(who: &Principal) -> String {
    format!("{}/{}", who.tenant, who.project)
}

/// How a limit's owner is called in a refusal.
pub(crate) const fn whose(kind: LevelKind) -> &'static str {
    match kind {
        LevelKind::Global => "this server",
        LevelKind::Tenant => "this tenant",
        LevelKind::Project => "this project",
        LevelKind::Key => "this API key",
        LevelKind::Ip => "this network address",
        LevelKind::User => "this user",
        LevelKind::Mailbox => "this mailbox",
    }
}

fn refusal(refused: Refused) -> ApiError {
    let whose = whose(refused.kind);
    // a whole number of seconds, after which it really is there
    let wait_s = refused
        .retry_after_ms
        .map_or(60, |ms| ms.div_ceil(1000))
        .max(1);
    ApiError {
        retry_after_s: Some(wait_s),
        ..ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            format!(
                "{} requests a minute are the limit of {whose}, and they are used up. Try again in {wait_s} s, or ask the operator for a higher limit.",
                refused.limit
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_limits_go_over_those_of_the_plan() {
        let config = Config::default();
        let of = |plan: &str, requests| {
            let allowance = Allowance {
                plan: plan.to_owned(),
                limits: store::TenantLimits {
                    requests_per_minute: requests,
                    ..Default::default()
                },
            };
            allowed(&config, &allowance)
        };
        assert_eq!(of("enterprise", None).requests_per_minute, 0);
        assert_eq!(of("free", None).requests_per_minute, 100);
        assert_eq!(of("free", Some(7)).requests_per_minute, 7);
        assert_eq!(of("free", Some(0)).requests_per_minute, 0);
        assert_eq!(of("free", Some(7)).concurrent_sessions, 1);
        assert_eq!(of("gone", None), of("free", None));
    }
}
