//! Whether the values of a configuration are ones that the server can work with.
//! Called once all layers are on top of each other.
//! Never opens anything and never shows a secret.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;

use engine::guard::window::LIMIT_MAX;
use store::live::Link;
use store::live::facts::CHANGE_MS;
use store::sql::check_address;

use crate::retention::RETENTION_DAYS;

use super::{
    Config, Database, Secret, chat, conversations, dialling, leadflip, listeners, named, plans,
    recordings, survey, telephony, voice,
};

/// Shortest accepted bootstrap key, in characters (DESIGN §2).
const BOOTSTRAP_KEY_MIN: usize = 16;

/// A value that no key of its kind may have.
pub(super) struct Problem {
    /// Dotted.
    pub(super) key: Cow<'static, str>,
    /// As given.
    pub(super) value: String,
    /// What would be accepted.
    pub(super) expected: Cow<'static, str>,
}

/// The first value that is not accepted.
pub(super) fn check(config: &Config) -> Result<(), Problem> {
    check_places(config)?;
    listeners::check(&config.listeners)?;
    named::check(config)?;
    chat::check(&config.chat)?;
    plans::check(&config.plans)?;
    check_rates(config)?;
    conversations::check(&config.conversations, &config.retention, &config.encryption)?;
    within(
        "metering.retention_days",
        config.metering.retention_days,
        RETENTION_DAYS,
    )?;
    let further = config.listeners.iter().map(|it| it.address.as_str());
    let listen: Vec<&str> = further.chain([config.server.listen.as_str()]).collect();
    voice::check(&config.voice, &listen)?;
    check_worker(config)?;
    survey::check(config)?;
    telephony::check(config)?;
    dialling::check(config)?;
    leadflip::check(config)?;
    recordings::check(config)?;
    check_ranges(config)
}

fn check_places(config: &Config) -> Result<(), Problem> {
    let problem = |key: &'static str, value: &str, expected: &'static str| {
        Err(Problem {
            key: key.into(),
            value: value.to_owned(),
            expected: expected.into(),
        })
    };
    for (key, listen, expected) in [
        (
            "server.listen",
            &config.server.listen,
            "an address and a port such as 127.0.0.1:8080",
        ),
        (
            "worker.listen",
            &config.worker.listen,
            "an address and a port such as 127.0.0.1:8090",
        ),
    ] {
        if listen.parse::<std::net::SocketAddr>().is_err() {
            return problem(key, listen, expected);
        }
    }
    if let Some(key) = &config.auth.bootstrap_api_key
        && key.reveal().chars().count() < BOOTSTRAP_KEY_MIN
    {
        let length = key.reveal().chars().count();
        return problem(
            "auth.bootstrap_api_key",
            &format!("{length} characters long"),
            "at least 16 characters",
        );
    }
    if let Err((key, expected)) = check_database(&config.database) {
        return problem(key, Secret::HIDDEN, expected);
    }
    if let Some(Err(error)) = config
        .redis
        .url
        .as_ref()
        .map(|url| Link::check(url.reveal()))
    {
        return Err(Problem {
            key: "redis.url".into(),
            value: Secret::HIDDEN.to_owned(),
            expected: error.to_string().into(),
        });
    }
    let namespace = &config.redis.namespace;
    if namespace.is_empty() || namespace.contains(['{', '}']) {
        return problem(
            "redis.namespace",
            namespace,
            "a name without braces such as antiphon",
        );
    }
    if let Some(base) = &config.llm.base_url
        && !url::Url::parse(base).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
    {
        return problem(
            "llm.base_url",
            base,
            "an http or https address such as http://127.0.0.1:11434/v1",
        );
    }
    if crate::observe::logging::filter(&config.log.level).is_err() {
        return problem(
            "log.level",
            &config.log.level,
            "error, warn, info, debug, trace or directives such as info,gateway=debug",
        );
    }
    Ok(())
}

/// The key whose address cannot be opened, and what is expected of it.
fn check_database(database: &Database) -> Result<(), (&'static str, &'static str)> {
    let checked = |key, url: &Option<Secret>| match url {
        Some(url) => check_address(url.reveal()).map_err(|expected| (key, expected)),
        None => Ok(()),
    };
    checked("database.url", &database.url)?;
    checked("database.owner_url", &database.owner_url)?;
    let of_postgres = |url: &Option<Secret>| {
        let url = url.as_ref().map_or("", Secret::reveal);
        !url.is_empty() && !url.starts_with("sqlite:")
    };
    if database.owner_url.is_some()
        && !(of_postgres(&database.url) && of_postgres(&database.owner_url))
    {
        return Err((
            "database.owner_url",
            "no value without a postgres:// address in database.url, and a postgres:// address with it",
        ));
    }
    Ok(())
}

fn check_rates(config: &Config) -> Result<(), Problem> {
    within(
        "redis.local_share_percent",
        config.redis.local_share_percent,
        1..=100,
    )?;
    within(
        "auth.lockout_failures",
        config.auth.lockout_failures,
        0..=LIMIT_MAX,
    )?;
    within("auth.lockout_s", config.auth.lockout_s, 1..=86_400)?;
    within(
        "server.connections_per_second",
        config.server.connections_per_second,
        0..=LIMIT_MAX,
    )?;
    let rates = &config.rate_limits;
    for (key, limit) in [
        ("rate_limits.requests_per_minute", rates.requests_per_minute),
        (
            "rate_limits.tenant_requests_per_minute",
            rates.tenant_requests_per_minute,
        ),
        (
            "rate_limits.key_requests_per_minute",
            rates.key_requests_per_minute,
        ),
        (
            "rate_limits.ip_requests_per_minute",
            rates.ip_requests_per_minute,
        ),
    ] {
        within(key, limit, 0..=LIMIT_MAX)?;
    }
    Ok(())
}

fn check_worker(config: &Config) -> Result<(), Problem> {
    for (key, concurrency) in [
        ("worker.stt_concurrency", config.worker.stt_concurrency),
        ("worker.tts_concurrency", config.worker.tts_concurrency),
        ("worker.llm_concurrency", config.worker.llm_concurrency),
    ] {
        within(key, concurrency, 1..=256)?;
    }
    Ok(())
}

fn check_ranges(config: &Config) -> Result<(), Problem> {
    let (server, sessions, limits) = (&config.server, &config.sessions, &config.limits);
    within(
        "server.max_connections",
        server.max_connections,
        1..=1_000_000,
    )?;
    within(
        "server.header_timeout_ms",
        server.header_timeout_ms,
        100..=300_000,
    )?;
    within("server.drain_s", server.drain_s, 0..=3600)?;
    within(
        "auth.max_client_secrets",
        config.auth.max_client_secrets,
        1..=10_000_000,
    )?;
    within(
        "sessions.max_duration_s",
        sessions.max_duration_s,
        1..=86_400,
    )?;
    within(
        "sessions.retained_audio_bytes",
        sessions.retained_audio_bytes,
        4800..=1 << 30,
    )?;
    let database = &config.database;
    within(
        "database.max_connections",
        database.max_connections,
        1..=10_000,
    )?;
    within(
        "database.acquire_timeout_ms",
        database.acquire_timeout_ms,
        10..=600_000,
    )?;
    within(
        "database.statement_timeout_ms",
        database.statement_timeout_ms,
        10..=3_600_000,
    )?;
    check_changes(config)?;
    within("sessions.max_items", sessions.max_items, 1..=1_000_000)?;
    within(
        "sessions.max_sessions",
        sessions.max_sessions,
        1..=1_000_000,
    )?;
    within(
        "sessions.send_queue_events",
        sessions.send_queue_events,
        16..=1_000_000,
    )?;
    within(
        "sessions.context_tokens",
        sessions.context_tokens,
        64..=10_000_000,
    )?;
    within("limits.json_bytes", limits.json_bytes, 1024..=1 << 30)?;
    within("limits.upload_bytes", limits.upload_bytes, 1024..=1 << 30)?;
    within(
        "limits.speech_characters",
        limits.speech_characters,
        1..=1_000_000,
    )?;
    within("limits.body_idle_s", limits.body_idle_s, 1..=3600)?;
    within(
        "limits.concurrent_audio_requests",
        limits.concurrent_audio_requests,
        1..=100_000,
    )
}

/// Servers that share Redis trust that a change of a key is in the database, or not, before its announcement has run out.
fn check_changes(config: &Config) -> Result<(), Problem> {
    let database = &config.database;
    let longest = database
        .acquire_timeout_ms
        .saturating_add(database.statement_timeout_ms);
    if config.redis.url.is_none() || longest <= CHANGE_MS * 9 / 10 {
        return Ok(());
    }
    Err(Problem {
        key: "database.statement_timeout_ms".into(),
        value: database.statement_timeout_ms.to_string(),
        expected: format!(
            "at most {} together with database.acquire_timeout_ms while redis.url is set",
            CHANGE_MS * 9 / 10
        )
        .into(),
    })
}

/// Refuses a number outside of `allowed`.
pub(super) fn within<N>(
    key: &'static str,
    value: N,
    allowed: RangeInclusive<N>,
) -> Result<(), Problem>
where
    N: Copy + PartialOrd + Display,
{
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(Problem {
        key: key.into(),
        value: value.to_string(),
        expected: format!("{} to {}", allowed.start(), allowed.end()).into(),
    })
}
