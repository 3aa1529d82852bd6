//! Which limits concern somebody: those of the configuration, of the tenant's plan, and its own.
//! Used by [`super`]; what a plan says is found in `auth::rates`.
//! Never names a limit that is not set.

use engine::guard::Rate;
use store::live::leases::Room;
use store::live::limiter::{Level, LevelKind};

use crate::auth::rates::{allowed, project_of};
use crate::auth::{Allowance, Principal};
use crate::config::Config;

/// Whose limits count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    tenant: String,
    project: String,
    key: String,
    allowance: Allowance,
}

impl From<&Principal> for Who {
    fn from(who: &Principal) -> Self {
        Self {
            tenant: who.tenant.clone(),
            project: project_of(who),
            key: who.key_id.clone(),
            allowance: who.allowance.clone(),
        }
    }
}

impl Who {
    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The same under a plan or limits that have changed.
    pub(super) fn allowed(&self, allowance: &Allowance) -> Self {
        Self {
            allowance: allowance.clone(),
            ..self.clone()
        }
    }

    fn id(&self, kind: LevelKind) -> String {
        match kind {
            LevelKind::Tenant => self.tenant.clone(),
            LevelKind::Project => self.project.clone(),
            LevelKind::Key => self.key.clone(),
            LevelKind::Global | LevelKind::Ip | LevelKind::User | LevelKind::Mailbox => {
                "all".to_owned()
            }
        }
    }
}

/// Conversations that a tenant may have at the same time; 0 is no limit.
pub(super) fn sessions_of_tenant(config: &Config, allowance: &Allowance) -> u64 {
    own_or(
        allowed(config, allowance).concurrent_sessions,
        config.rate_limits.tenant_concurrent_sessions,
    )
}

/// Where a conversation of `who` needs a place.
pub(super) fn rooms(config: &Config, who: &Who) -> Vec<Room> {
    let limits = &config.rate_limits;
    let rooms = [
        (LevelKind::Global, limits.concurrent_sessions),
        (
            LevelKind::Tenant,
            sessions_of_tenant(config, &who.allowance),
        ),
        (LevelKind::Project, limits.project_concurrent_sessions),
        (LevelKind::Key, limits.key_concurrent_sessions),
    ];
    let rooms = rooms.into_iter().filter(|(_, places)| *places > 0);
    let room = |(kind, places)| Room {
        kind,
        id: who.id(kind),
        places,
    };
    rooms.map(room).collect()
}

/// Within which a tenant's audio is counted, in ms: a day.
const DAY_MS: u64 = 86_400_000;

/// What `who` may use while somebody works for it. Requests are among them to tell how they stand.
pub(super) fn levels(config: &Config, who: &Who) -> Vec<Level> {
    let limits = &config.rate_limits;
    let own = allowed(config, &who.allowance);
    let minutes = own_or(
        own.audio_minutes_per_day,
        limits.tenant_audio_minutes_per_day,
    );
    let per_minute = |limit| (limit > 0).then(|| Rate::per_minute(limit));
    let level = |kind, requests, tokens| Level {
        kind,
        id: who.id(kind),
        requests: per_minute(requests),
        tokens: per_minute(tokens),
        audio_s: None,
    };
    let tenant = Level {
        audio_s: (minutes > 0).then(|| Rate::new(minutes.saturating_mul(60), DAY_MS)),
        ..level(
            LevelKind::Tenant,
            own_or(own.requests_per_minute, limits.tenant_requests_per_minute),
            own_or(own.tokens_per_minute, limits.tenant_tokens_per_minute),
        )
    };
    let levels = [
        level(
            LevelKind::Global,
            limits.requests_per_minute,
            limits.tokens_per_minute,
        ),
        tenant,
        level(
            LevelKind::Project,
            limits.project_requests_per_minute,
            limits.project_tokens_per_minute,
        ),
        level(
            LevelKind::Key,
            limits.key_requests_per_minute,
            limits.key_tokens_per_minute,
        ),
    ];
    let is_set = |level: &Level| {
        level.requests.is_some() || level.tokens.is_some() || level.audio_s.is_some()
    };
    levels.into_iter().filter(is_set).collect()
}

/// What a tenant's plan or its own limits say, or else the configuration for all tenants.
const fn own_or(own: u64, all: u64) -> u64 {
    if own > 0 { own } else { all }
}
