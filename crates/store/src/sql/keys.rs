//! The table of API keys.
//! Used by `gateway::auth`, by the `keys` command and by the conformance suite.
//! Never holds a secret: only its Argon2id hash.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::types::Json;

use super::{Sql, query};
use crate::StoreError;

/// A key as stored.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct ApiKey {
    /// Public id: the part of the key that may be shown and logged.
    pub id: String,
    /// Whose key it is.
    pub tenant: String,
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
}

impl std::fmt::Debug for ApiKey {
    /// Leaves out the hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey")
            .field("id", &self.id)
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("created_at", &self.created_at)
            .field("last_used_at", &self.last_used_at)
            .field("revoked_at", &self.revoked_at)
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
    /// What its owner calls it.
    pub name: &'a str,
    /// What it may do.
    pub scopes: &'a [String],
    /// Argon2id string of the secret part.
    pub hash: &'a str,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Sql {
    /// Stores a key.
    ///
    /// # Errors
    /// [`StoreError::Query`], also when the id exists.
    pub async fn create_key(&self, key: &NewApiKey<'_>) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO api_keys (id, tenant, name, scopes, hash, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(key.id)
        .bind(key.tenant)
        .bind(key.name)
        .bind(Json(key.scopes))
        .bind(key.hash)
        .bind(key.created_at)
        .execute(&self.writer)
        .await
        .map(drop)
        .map_err(query("create a key"))
    }

    /// All keys of `tenant`, revoked ones included, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn list_keys(&self, tenant: &str) -> Result<Vec<ApiKey>, StoreError> {
        sqlx::query_as("SELECT * FROM api_keys WHERE tenant = $1 ORDER BY created_at, id")
            .bind(tenant)
            .fetch_all(&self.reader)
            .await
            .map_err(query("list keys"))
    }

    /// The key with this public id, revoked or not.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn find_key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        sqlx::query_as("SELECT * FROM api_keys WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.reader)
            .await
            .map_err(query("find a key"))
    }

    /// Whether this key exists and has not been revoked.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn key_is_active(&self, id: &str) -> Result<bool, StoreError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM api_keys WHERE id = $1 AND revoked_at IS NULL")
                .bind(id)
                .fetch_optional(&self.reader)
                .await
                .map_err(query("check a key"))?;
        Ok(found.is_some())
    }

    /// Revokes a key of `tenant`; false when there is no such active key.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn revoke_key(
        &self,
        tenant: &str,
        id: &str,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        sqlx::query(
            "UPDATE api_keys SET revoked_at = $3 \
             WHERE tenant = $1 AND id = $2 AND revoked_at IS NULL",
        )
        .bind(tenant)
        .bind(id)
        .bind(at)
        .execute(&self.writer)
        .await
        .map(|done| done.rows_affected() == 1)
        .map_err(query("revoke a key"))
    }

    /// Notes that a key was used.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn touch_key(&self, id: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query("UPDATE api_keys SET last_used_at = $2 WHERE id = $1")
            .bind(id)
            .bind(at)
            .execute(&self.writer)
            .await
            .map(drop)
            .map_err(query("note the use of a key"))
    }
}
