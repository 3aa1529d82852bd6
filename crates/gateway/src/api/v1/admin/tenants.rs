//! `/v1/admin/tenants`: the customers of this installation.
//! Mounted by `api::v1`.
//! Never tells one tenant of another: to whoever is no operator there is only the own one.

pub(in crate::api::v1) mod activate;
pub(in crate::api::v1) mod create;
pub(in crate::api::v1) mod delete;
pub(in crate::api::v1) mod list;
pub(in crate::api::v1) mod show;
pub(in crate::api::v1) mod suspend;
pub(in crate::api::v1) mod update;

use std::sync::Arc;

use axum::http::StatusCode;
use engine::guard::window::LIMIT_MAX;
use store::{Tenant, TenantLimits, TenantStatus};
use wire::rest::tenants::{Limits, Tenant as Shown};

use super::to_the_end;
use crate::App;
use crate::auth::extract::no_such_tenant;
use crate::auth::{Administrator, DEFAULT_TENANT, Scope};
use crate::http::ApiError;
use crate::jobs::closing;
use crate::retention::RETENTION_DAYS;
use crate::tenants::{self, TenantError};

/// Largest limit of minutes of audio within a day.
const MAX_AUDIO_MINUTES: u64 = 1_000_000;
/// The largest limit of the voice door.
const MAX_VOICE: u64 = 1_000_000;

fn shown(tenant: Tenant) -> Shown {
    let limits = tenant.limits;
    Shown {
        object: "tenant",
        id: tenant.id,
        name: tenant.name,
        plan: tenant.plan,
        status: tenant.status.name(),
        reason: tenant.reason,
        limits: Limits {
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            concurrent_sessions: limits.concurrent_sessions,
            audio_minutes_per_day: limits.audio_minutes_per_day,
            retention_days: limits.retention_days,
            voice_session_budget_cents: limits.voice_session_budget_cents,
            voice_daily_budget_cents: limits.voice_daily_budget_cents,
            voice_sessions_per_user: limits.voice_sessions_per_user,
            voice_session_s: limits.voice_session_s,
        },
        created_at: tenant.created_at.timestamp(),
        updated_at: tenant.updated_at.timestamp(),
    }
}

/// Whether whoever asks may do what only an operator may.
fn operator(by: &Administrator) -> Result<(), ApiError> {
    if by.principal.is_operator() {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "operator_required",
        format!(
            "Only a key of the tenant '{DEFAULT_TENANT}' with the scope {} may do this.",
            Scope::TenantAdmin.name()
        ),
    ))
}

/// The tenant with this id, if whoever asks may see it.
async fn find(app: &App, by: &Administrator, id: &str) -> Result<Tenant, ApiError> {
    let id = by.tenant(app, Some(id)).await?;
    let found = app.store.sql.find_tenant(&id).await;
    found?.ok_or_else(|| no_such_tenant(&id))
}

fn plan(app: &App, name: String) -> Result<String, ApiError> {
    if app.config.plan(&name).is_some() {
        return Ok(name);
    }
    let known = app.config.plan_names().join(", ");
    let message = format!("There is no plan '{name}'; there are {known}.");
    Err(ApiError::invalid_value("plan", message))
}

fn limits(wanted: Limits) -> Result<TenantLimits, ApiError> {
    for (field, value, max) in [
        ("requests_per_minute", wanted.requests_per_minute, LIMIT_MAX),
        ("tokens_per_minute", wanted.tokens_per_minute, LIMIT_MAX),
        ("concurrent_sessions", wanted.concurrent_sessions, LIMIT_MAX),
        (
            "audio_minutes_per_day",
            wanted.audio_minutes_per_day,
            MAX_AUDIO_MINUTES,
        ),
        (
            "voice_session_budget_cents",
            wanted.voice_session_budget_cents,
            MAX_VOICE,
        ),
        (
            "voice_daily_budget_cents",
            wanted.voice_daily_budget_cents,
            MAX_VOICE,
        ),
        (
            "voice_sessions_per_user",
            wanted.voice_sessions_per_user,
            MAX_VOICE,
        ),
        ("voice_session_s", wanted.voice_session_s, MAX_VOICE),
    ] {
        if value.is_some_and(|value| value > max) {
            let message = format!("This limit is 0, for none, to {max}.");
            return Err(ApiError::invalid_value(format!("limits.{field}"), message));
        }
    }
    let days = wanted.retention_days;
    if days.is_some_and(|days| !RETENTION_DAYS.contains(&days)) {
        let (first, last) = RETENTION_DAYS.into_inner();
        let message = format!("Conversations are kept for {first} to {last} days.");
        return Err(ApiError::invalid_value("limits.retention_days", message));
    }
    Ok(TenantLimits {
        requests_per_minute: wanted.requests_per_minute,
        tokens_per_minute: wanted.tokens_per_minute,
        concurrent_sessions: wanted.concurrent_sessions,
        audio_minutes_per_day: wanted.audio_minutes_per_day,
        retention_days: wanted.retention_days,
        voice_session_budget_cents: wanted.voice_session_budget_cents,
        voice_daily_budget_cents: wanted.voice_daily_budget_cents,
        voice_sessions_per_user: wanted.voice_sessions_per_user,
        voice_session_s: wanted.voice_session_s,
    })
}

/// A tenant with another status.
async fn turn(
    app: &Arc<App>,
    by: &Administrator,
    id: &str,
    status: (TenantStatus, Option<String>),
) -> Result<Tenant, ApiError> {
    operator(by)?;
    let turning = {
        let (app, id, actor) = (Arc::clone(app), id.to_owned(), by.actor.clone());
        async move { tenants::turn(&app.store, &id, status, &actor, app.clock.utc()).await }
    };
    let tenant = to_the_end(app, turning).await??;
    if tenant.status != TenantStatus::Active {
        // here at once; the other servers see it within seconds
        app.sessions.close(&tenant.id);
    }
    if tenant.status == TenantStatus::Deleted {
        closing::forget(app, &tenant.id).await;
    }
    Ok(tenant)
}

impl From<TenantError> for ApiError {
    fn from(error: TenantError) -> Self {
        let conflict = |code| {
            let mut message = error.to_string();
            message.push('.');
            Self::new(StatusCode::CONFLICT, code, sentence(message))
        };
        match error {
            TenantError::Taken(_) => Self {
                param: Some("id".to_owned()),
                ..conflict("tenant_exists")
            },
            TenantError::Changed => conflict("tenant_changed"),
            TenantError::OperatorsOwn => conflict("operators_tenant"),
            TenantError::Missing(id) => no_such_tenant(&id),
            TenantError::Name => Self {
                status: StatusCode::BAD_REQUEST,
                param: Some("name".to_owned()),
                ..conflict("invalid_value")
            },
            TenantError::Store(error) => error.into(),
            TenantError::Key(error) => error.into(),
        }
    }
}

/// An error's text, which begins small, as a sentence.
fn sentence(mut text: String) -> String {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
