//! The table of tenants: who is a customer of this installation.
//! Used by `gateway::tenants`, by the `tenants` command and by the conformance suite.
//! Never removes a tenant's row or its audit log: what is deleted stays known as deleted.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::types::Json;

use super::audit::Act;
use super::keys::NewApiKey;
use super::{Scope, Sql};
use crate::{NUL, StoreError};

/// Whether a tenant may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// It may.
    Active,
    /// It may not until somebody says otherwise.
    Suspended,
    /// It is gone.
    Deleted,
}

impl TenantStatus {
    /// As it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

/// A status that no build has written.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no status of a tenant")]
pub struct UnknownStatus(String);

impl TryFrom<String> for TenantStatus {
    type Error = UnknownStatus;

    fn try_from(name: String) -> Result<Self, UnknownStatus> {
        [Self::Active, Self::Suspended, Self::Deleted]
            .into_iter()
            .find(|status| status.name() == name)
            .ok_or(UnknownStatus(name))
    }
}

/// How much a tenant may have; what is absent is as its plan says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantLimits {
    /// Requests within any minute; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens of language models within any minute; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Conversations at the same time; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_sessions: Option<u64>,
    /// Minutes of audio, heard and spoken, within any day; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_minutes_per_day: Option<u64>,
    /// Days that conversations are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// What a voice session may cost, in cents of a dollar; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice_session_budget_cents: Option<u64>,
    /// What the voice sessions of one user may cost within any day, in cents of a dollar; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice_daily_budget_cents: Option<u64>,
    /// Voice sessions that one user may have at the same time; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice_sessions_per_user: Option<u64>,
    /// How long a voice session may last, in s; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice_session_s: Option<u64>,
}

/// A tenant as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Tenant {
    /// Its id, which no other ever has.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The plan whose limits it has.
    pub plan: String,
    /// Whether it may come in.
    #[sqlx(try_from = "String")]
    pub status: TenantStatus,
    /// Why it may not.
    pub reason: Option<String>,
    /// What differs from the plan's limits.
    #[sqlx(json)]
    pub limits: TenantLimits,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a key's tenant allows, as asked for at every use of a key.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Standing {
    /// Whether the key itself has been revoked or has ended.
    pub key_works: bool,
    /// Whether the tenant may come in.
    #[sqlx(try_from = "String")]
    pub status: TenantStatus,
    /// The plan whose limits the tenant has.
    pub plan: String,
    /// What differs from them.
    #[sqlx(json)]
    pub limits: TenantLimits,
}

/// What goes with a tenant; what hangs on these rows goes with them. Its record, its log and its usage stay.
const OF_A_TENANT: [&str; 15] = [
    "DELETE FROM agents WHERE tenant = $1",
    "DELETE FROM projects WHERE tenant = $1",
    "DELETE FROM sessions WHERE tenant = $1",
    "DELETE FROM calls WHERE tenant = $1",
    "DELETE FROM chat_rooms WHERE tenant = $1",
    "DELETE FROM voice_sessions WHERE tenant = $1",
    "DELETE FROM question_sets WHERE tenant = $1",
    "DELETE FROM survey_codes WHERE tenant = $1",
    "DELETE FROM survey_dialogues WHERE tenant = $1",
    "DELETE FROM do_not_call WHERE tenant = $1",
    "DELETE FROM consents WHERE tenant = $1",
    "DELETE FROM phone_numbers WHERE tenant = $1",
    "DELETE FROM webhook_endpoints WHERE tenant = $1",
    "DELETE FROM outbox WHERE tenant = $1",
    "DELETE FROM inbox WHERE tenant = $1",
];

impl Sql {
    /// Stores a tenant with its first project, `default`, and its first key; false when there is or was one of its id.
    ///
    /// # Errors
    /// [`StoreError::Query`], also when the key's id exists; [`StoreError::Unreachable`].
    pub async fn create_tenant(
        &self,
        tenant: &Tenant,
        key: &NewApiKey<'_>,
        act: &Act,
    ) -> Result<bool, StoreError> {
        let scope = Scope::Operator(Some(&tenant.id));
        work!(self, Write, scope, "create a tenant", |on| {
            let made = sqlx::query(
                "INSERT INTO tenants (id, name, plan, status, reason, limits, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
            )
            .bind(&tenant.id)
            .bind(&tenant.name)
            .bind(&tenant.plan)
            .bind(tenant.status.name())
            .bind(&tenant.reason)
            .bind(Json(&tenant.limits))
            .bind(tenant.created_at)
            .bind(tenant.updated_at)
            .execute(&mut *on)
            .await?;
            if made.rows_affected() != 1 {
                return Ok(false);
            }
            sqlx::query(
                "INSERT INTO projects (tenant, id, name, environment, created_at, updated_at) \
                 VALUES ($1, 'default', 'Default', 'production', $2, $2)",
            )
            .bind(&tenant.id)
            .bind(tenant.created_at)
            .execute(&mut *on)
            .await?;
            insert_key!(on, key);
            record!(on, &tenant.id, act);
            Ok(true)
        })
    }

    /// The tenant with this id, deleted or not.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn find_tenant(&self, id: &str) -> Result<Option<Tenant>, StoreError> {
        if id.contains(NUL) {
            return Ok(None);
        }
        work!(self, Read, Scope::Tenant(id), "find a tenant", |on| {
            sqlx::query_as("SELECT * FROM tenants WHERE id = $1")
                .bind(id)
                .fetch_optional(on)
                .await
        })
    }

    /// Up to `limit` tenants in the order of their ids, those after `after`; deleted ones are left out.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn list_tenants(&self, after: &str, limit: u32) -> Result<Vec<Tenant>, StoreError> {
        work!(self, Read, Scope::Operator(None), "list tenants", |on| {
            sqlx::query_as(
                "SELECT * FROM tenants WHERE id > $1 AND status <> 'deleted' ORDER BY id LIMIT $2",
            )
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(on)
            .await
        })
    }

    /// The tenants that have been changed at `since` or later.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn tenants_changed(&self, since: DateTime<Utc>) -> Result<Vec<Tenant>, StoreError> {
        let action = "read the tenants that were changed";
        work!(self, Read, Scope::Operator(None), action, |on| {
            sqlx::query_as("SELECT * FROM tenants WHERE updated_at >= $1")
                .bind(since)
                .fetch_all(on)
                .await
        })
    }

    /// Stores `changed` in the place of `seen`, if that is what is still there. A tenant that becomes deleted loses
    /// its keys, agents, projects, and everything that was said, answered and noted for it.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn update_tenant(
        &self,
        seen: &Tenant,
        changed: &Tenant,
        act: &Act,
    ) -> Result<bool, StoreError> {
        let scope = Scope::Operator(Some(&seen.id));
        work!(self, Write, scope, "change a tenant", |on| {
            let done = sqlx::query(
                "UPDATE tenants SET name = $3, plan = $4, status = $5, reason = $6, limits = $7, updated_at = $8 \
                 WHERE id = $1 AND updated_at = $2 AND status <> 'deleted'",
            )
            .bind(&seen.id)
            .bind(seen.updated_at)
            .bind(&changed.name)
            .bind(&changed.plan)
            .bind(changed.status.name())
            .bind(&changed.reason)
            .bind(Json(&changed.limits))
            .bind(changed.updated_at)
            .execute(&mut *on)
            .await?;
            if done.rows_affected() != 1 {
                return Ok(false);
            }
            if changed.status == TenantStatus::Deleted {
                sqlx::query(
                    "UPDATE api_keys SET revoked_at = $2 WHERE tenant = $1 AND revoked_at IS NULL",
                )
                .bind(&seen.id)
                .bind(changed.updated_at)
                .execute(&mut *on)
                .await?;
                for table in OF_A_TENANT {
                    sqlx::query(table).bind(&seen.id).execute(&mut *on).await?;
                }
            }
            record!(on, &seen.id, act);
            Ok(true)
        })
    }

    /// What the key with this public id and its tenant allow at this time; `None` without such a key, or a tenant.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn key_standing(
        &self,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Standing>, StoreError> {
        work!(self, Read, Scope::Key(id), "check a key", |on| {
            sqlx::query_as(
                "SELECT k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2) AS key_works, \
                 t.status, t.plan, t.limits \
                 FROM api_keys k JOIN tenants t ON t.id = k.tenant WHERE k.id = $1",
            )
            .bind(id)
            .bind(now)
            .fetch_optional(on)
            .await
        })
    }
}
