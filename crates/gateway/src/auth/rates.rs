//! How often somebody may ask: the rate limits of `[rate_limits]`, asked once per REST call and per socket.
//! Called by the extractors and by the realtime edge once it is known who asks.
//! Never counts audio, never asks anybody where no limit is set, and never refuses because Redis is away.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::http::request::Parts;
use engine::guard::Rate;
use store::live::limiter::{Decider, Demand, Level, LevelKind, Refused};

use super::{Credential, Principal};
use crate::App;
use crate::http::ApiError;
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
    let who = super::admit(app, credential, &parts.headers).await?;
    count(app, &who, parts).await?;
    Ok(who)
}

/// Counts one request of `who`.
///
/// # Errors
/// 429 `rate_limit_exceeded` when any of the limits is used up; nothing is counted then.
pub(crate) async fn count(app: &App, who: &Principal, parts: &Parts) -> Result<(), ApiError> {
    let levels = levels(app, who, parts);
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

/// The limits that are set and concern `who`.
fn levels(app: &App, who: &Principal, parts: &Parts) -> Vec<Level> {
    let rates = &app.config.rate_limits;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let ip = peer.map(|ConnectInfo(peer)| network(peer.ip()).to_string());
    let levels = [
        (
            LevelKind::Global,
            Some("all".to_owned()),
            rates.requests_per_minute,
        ),
        (
            LevelKind::Tenant,
            Some(who.tenant.clone()),
            rates.tenant_requests_per_minute,
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
        })
    };
    levels.into_iter().filter_map(level).collect()
}

/// What counts as one address: whoever has an IPv6 address has all with the same first 64 bits.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn refusal(refused: Refused) -> ApiError {
    let whose = match refused.kind {
        LevelKind::Global => "this server",
        LevelKind::Tenant => "this tenant",
        LevelKind::Project => "this project",
        LevelKind::Key => "this API key",
        LevelKind::Ip => "this network address",
    };
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
    fn an_ipv6_network_counts_as_one_address() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::1"));
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }
}
