//! The table of API keys.
//! Used by `gateway::auth`, by the `keys` command and by the conformance suite.
//! Never holds a secret: only its Argon2id hash.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::audit::Act;
use super::{Scope, Sql};
use crate::{NUL, StoreError};

/// A key as stored.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct ApiKey {
    /// Public id: the part of the key that may be shown and logged.
    pub id: String,
    /// Whose key it is.
    pub tenant: String,
    /// The project it belongs to.
    pub project: String,
    /// What its owner calls it.
    pub name: String,
    /// What it may do, for example `realtime:connect`.
    #[sqlx(json)]
    pub scopes: Vec<String>,
    /// Argon2id string of the secret part.
    pub hash: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last opened a door; at most a minute behind.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Since when it opens nothing.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Whether it opens anything at this time.
    pub fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

impl std::fmt::Debug for ApiKey {
    /// Leaves out the hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey")
            .field("id", &self.id)
            .field("tenant", &self.tenant)
            .field("project", &self.project)
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("created_at", &self.created_at)
            .field("last_used_at", &self.last_used_at)
            .field("revoked_at", &self.revoked_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A key to be stored.
#[derive(Debug)]
pub struct NewApiKey<'a> {
    /// Public id; must be new.
    pub id: &'a str,
    /// Whose key it is.
    pub tenant: &'a str,
    /// The project it belongs to.
    pub project: &'a str,
    /// What its owner calls it.
    pub name: &'a str,
    /// What it may do.
    pub scopes: &'a [String],
    /// Argon2id string of the secret part.
    pub hash: &'a str,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key that takes the place of another.
#[derive(Debug)]
pub struct Rotation<'a> {
    /// Public id of the key that ends.
    pub old: &'a str,
    /// When it ends, unless it ends sooner anyway.
    pub old_ends_at: DateTime<Utc>,
    /// The key that takes its place, made now.
    pub new: NewApiKey<'a>,
}

/// Stores a key, in the transaction of a piece of [`work!`].
macro_rules! insert_key {
    ($on:ident, $key:expr) => {{
        let key: &$crate::sql::keys::NewApiKey<'_> = $key;
        sqlx::query(
            "INSERT INTO api_keys (id, tenant, project, name, scopes, hash, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(key.id)
        .bind(key.tenant)
        .bind(key.project)
        .bind(key.name)
        .bind(sqlx::types::Json(key.scopes))
        .bind(key.hash)
        .bind(key.created_at)
        .bind(key.expires_at)
        .execute(&mut *$on)
        .await?;
    }};
}

impl Sql {
    /// Stores a key.
    ///
    /// # Errors
    /// [`StoreError::Query`], also when the id exists; [`StoreError::Unreachable`].
    pub async fn create_key(&self, key: &NewApiKey<'_>, act: &Act) -> Result<(), StoreError> {
        work!(
            self,
            Write,
            Scope::Tenant(key.tenant),
            "create a key",
            |on| {
                insert_key!(on, key);
                record!(on, key.tenant, act);
                Ok(())
            }
        )
    }

    /// Stores a key in the place of another, which goes on working until `old_ends_at`: both or nothing. False when
    /// the tenant has no such key that works.
    ///
    /// # Errors
    /// [`StoreError::Query`], also when the new id exists; [`StoreError::Unreachable`].
    pub async fn rotate_key(&self, rotation: &Rotation<'_>, act: &Act) -> Result<bool, StoreError> {
        let new = &rotation.new;
        let scope = Scope::Tenant(new.tenant);
        work!(self, Write, scope, "rotate a key", |on| {
            let ended = sqlx::query(
                "UPDATE api_keys SET expires_at = \
                 CASE WHEN expires_at < $4 THEN expires_at ELSE $4 END \
                 WHERE tenant = $1 AND id = $2 AND revoked_at IS NULL \
                 AND (expires_at IS NULL OR expires_at > $3)",
            )
            .bind(new.tenant)
            .bind(rotation.old)
            .bind(new.created_at)
            .bind(rotation.old_ends_at)
            .execute(&mut *on)
            .await?;
            if ended.rows_affected() != 1 {
                return Ok(false);
            }
            insert_key!(on, new);
            record!(on, new.tenant, act);
            Ok(true)
        })
    }

    /// How many keys of `tenant` work at this time.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn count_active_keys(
        &self,
        tenant: &str,
        now: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        work!(self, Read, Scope::Tenant(tenant), "count keys", |on| {
            sqlx::query_scalar(
                "SELECT COUNT(*) FROM api_keys WHERE tenant = $1 AND revoked_at IS NULL \
                 AND (expires_at IS NULL OR expires_at > $2)",
            )
            .bind(tenant)
            .bind(now)
            .fetch_one(on)
            .await
        })
    }

    /// All keys of `tenant`, revoked ones included, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn list_keys(&self, tenant: &str) -> Result<Vec<ApiKey>, StoreError> {
        work!(self, Read, Scope::Tenant(tenant), "list keys", |on| {
            sqlx::query_as("SELECT * FROM api_keys WHERE tenant = $1 ORDER BY created_at, id")
                .bind(tenant)
                .fetch_all(on)
                .await
        })
    }

    /// The key with this public id, revoked or not. Whose it is comes out here, so no tenant goes in.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn find_key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        if id.contains(NUL) {
            return Ok(None);
        }
        work!(self, Read, Scope::Key(id), "find a key", |on| {
            sqlx::query_as("SELECT * FROM api_keys WHERE id = $1")
                .bind(id)
                .fetch_optional(on)
                .await
        })
    }

    /// Revokes a key of `tenant`; false when there is no such active key.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn revoke_key(&self, tenant: &str, id: &str, act: &Act) -> Result<bool, StoreError> {
        if id.contains(NUL) {
            return Ok(false);
        }
        work!(self, Write, Scope::Tenant(tenant), "revoke a key", |on| {
            let done = sqlx::query(
                "UPDATE api_keys SET revoked_at = $3 \
                 WHERE tenant = $1 AND id = $2 AND revoked_at IS NULL",
            )
            .bind(tenant)
            .bind(id)
            .bind(act.at)
            .execute(&mut *on)
            .await?;
            let is_done = done.rows_affected() == 1;
            if is_done {
                record!(on, tenant, act);
            }
            Ok(is_done)
        })
    }

    /// Notes that a key of `tenant` was used.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn touch_key(
        &self,
        tenant: &str,
        id: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let action = "note the use of a key";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query("UPDATE api_keys SET last_used_at = $3 WHERE tenant = $1 AND id = $2")
                .bind(tenant)
                .bind(id)
                .bind(at)
                .execute(on)
                .await
                .map(drop)
        })
    }
}
