//! The table of sessions: who talked, when, with what settings.
//! Written by [`super::items`] and read by the gateway; the conformance suite reads it too.
//! Never finds a session of another tenant: each function takes the tenant it looks in.

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::{Scope, Sql};
use crate::seal::Spot;
use crate::{NUL, StoreError};

/// Which session. Its start is part of it: that is where its items lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    /// The tenant.
    pub tenant: String,
    /// `sess_…`.
    pub id: String,
    started_at: DateTime<Utc>,
}

impl SessionKey {
    /// The session `id` of `tenant`. Its start is kept to the microsecond, as PostgreSQL does.
    pub fn new(
        tenant: impl Into<String>,
        id: impl Into<String>,
        started_at: DateTime<Utc>,
    ) -> Self {
        Self {
            tenant: tenant.into(),
            id: id.into(),
            started_at: started_at.trunc_subsecs(6),
        }
    }

    /// When it began.
    pub const fn started_at(&self) -> DateTime<Utc> {
        self.started_at
    }
}

/// A session as stored.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct StoredSession {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// The project it belongs to.
    pub project: String,
    /// The model that was asked for.
    pub model: String,
    /// Its settings as last changed, as JSON.
    pub settings: Vec<u8>,
    /// Number of the last change of this row.
    pub revision: i64,
    /// When it ended, if it has.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended, if it has.
    pub outcome: Option<String>,
}

impl Sql {
    /// The session with this id.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn find_session(
        &self,
        tenant: &str,
        id: &str,
    ) -> Result<Option<StoredSession>, StoreError> {
        if id.contains(NUL) {
            return Ok(None);
        }
        let action = "find a session";
        let found: Option<StoredSession> =
            work!(self, Read, Scope::Tenant(tenant), action, |on| {
                sqlx::query_as(
                    "SELECT started_at, project, model, settings, revision, ended_at, outcome \
                 FROM sessions WHERE tenant = $1 AND id = $2",
                )
                .bind(tenant)
                .bind(id)
                .fetch_optional(on)
                .await
            })?;
        let Some(mut session) = found else {
            return Ok(None);
        };
        session.settings = self.unseal(spot(tenant, &[id]), session.settings).await?;
        Ok(Some(session))
    }

    /// Removes every session of `tenant` with its items, and says how many.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn delete_sessions(&self, tenant: &str) -> Result<u64, StoreError> {
        work!(
            self,
            Write,
            Scope::Tenant(tenant),
            "delete sessions",
            |on| {
                sqlx::query("DELETE FROM sessions WHERE tenant = $1")
                    .bind(tenant)
                    .execute(on)
                    .await
                    .map(|done| done.rows_affected())
            }
        )
    }

    /// Removes a session and everything said in it; false when there is none of this id.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn delete_session(&self, tenant: &str, id: &str) -> Result<bool, StoreError> {
        if id.contains(NUL) {
            return Ok(false);
        }
        let action = "delete a session";
        // its items go with it: they refer to it
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query("DELETE FROM sessions WHERE tenant = $1 AND id = $2")
                .bind(tenant)
                .bind(id)
                .execute(on)
                .await
                .map(|done| done.rows_affected() == 1)
        })
    }
}

/// Where the settings of a session lie.
pub(super) const fn spot<'a>(tenant: &'a str, row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        tenant,
        table: "sessions",
        row,
    }
}
