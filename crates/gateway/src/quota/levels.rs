//! Which limits concern somebody: those of the configuration, of the tenant's plan, and its own.
//! Used by [`super`]; what a plan says is found in `auth::rates`.
//! Never names a limit that is not set.

use store::live::leases::Room;
use store::live::limiter::LevelKind;

use crate::auth::rates::{allowed, project_of};
use crate::auth::{Allowance, Principal};
use crate::config::Config;

/// Whose limits count.
#[derive(Debug, Clone)]
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
    fn id(&self, kind: LevelKind) -> String {
        match kind {
            LevelKind::Tenant => self.tenant.clone(),
            LevelKind::Project => self.project.clone(),
            LevelKind::Key => self.key.clone(),
            LevelKind::Global | LevelKind::Ip => "all".to_owned(),
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

/// What a tenant's plan or its own limits say, or else the configuration for all tenants.
const fn own_or(own: u64, all: u64) -> u64 {
    if own > 0 { own } else { all }
}
