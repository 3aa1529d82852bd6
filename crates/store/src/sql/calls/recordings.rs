//! Recordings of calls: rows that say where each is.
//! Written by the gateway when a recording is complete; read by its REST routes.
//! Never holds audio.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::spot;
use crate::sql::{Scope, Sql};
use crate::{NUL, StoreError};

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Recording {
    /// Names it among the tenant's.
    pub id: String,
    /// Its call.
    pub call: String,
    /// Such as `audio/wav`.
    pub content_type: String,
    /// 2 when the two sides are apart.
    pub channels: i64,
    /// How long it is.
    pub duration_ms: i64,
    /// How large it is.
    pub bytes: i64,
    /// Where it is: personal. Stored sealed.
    pub location: Vec<u8>,
    /// When it was complete.
    pub created_at: DateTime<Utc>,
    /// When it is to be removed, if it is.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Sql {
    /// Stores a recording's row; false when there is one of its id, or no such call.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn add_recording(&self, tenant: &str, new: &Recording) -> Result<bool, StoreError> {
        let location = String::from_utf8_lossy(&new.location);
        let location = self
            .seal(spot(tenant, "recordings", &[&new.id]), &location)
            .await?;
        work!(
            self,
            Write,
            Scope::Tenant(tenant),
            "store a recording",
            |on| {
                sqlx::query(
                "INSERT INTO recordings \
                 (tenant, id, call, content_type, channels, duration_ms, bytes, location, created_at, expires_at) \
                 SELECT tenant, $3, id, $4, $5, $6, $7, $8, $9, $10 FROM calls WHERE tenant = $1 AND id = $2 \
                 ON CONFLICT (tenant, id) DO NOTHING",
            )
            .bind(tenant)
            .bind(&new.call)
            .bind(&new.id)
            .bind(&new.content_type)
            .bind(new.channels)
            .bind(new.duration_ms)
            .bind(new.bytes)
            .bind(&location)
            .bind(new.created_at)
            .bind(new.expires_at)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
            }
        )
    }

    /// The recordings of a call, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn call_recordings(
        &self,
        tenant: &str,
        call: &str,
    ) -> Result<Vec<Recording>, StoreError> {
        if call.contains(NUL) {
            return Ok(Vec::new());
        }
        let action = "list recordings";
        let mut found: Vec<Recording> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT id, call, content_type, channels, duration_ms, bytes, location, created_at, expires_at \
                 FROM recordings WHERE tenant = $1 AND call = $2 ORDER BY created_at, id",
            )
            .bind(tenant)
            .bind(call)
            .fetch_all(on)
            .await
        })?;
        for recording in &mut found {
            let stored = std::mem::take(&mut recording.location);
            let row = [recording.id.as_str()];
            recording.location = self
                .unseal(spot(tenant, "recordings", &row), stored)
                .await?;
        }
        Ok(found)
    }

    /// Forgets a recording's row and gives it back, so that its file can be removed; nothing when there is none.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn delete_recording(
        &self,
        tenant: &str,
        id: &str,
    ) -> Result<Option<Recording>, StoreError> {
        if id.contains(NUL) {
            return Ok(None);
        }
        let action = "forget a recording";
        let gone: Option<Recording> = work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "DELETE FROM recordings WHERE tenant = $1 AND id = $2 RETURNING \
                 id, call, content_type, channels, duration_ms, bytes, location, created_at, expires_at",
            )
            .bind(tenant)
            .bind(id)
            .fetch_optional(on)
            .await
        })?;
        let Some(mut recording) = gone else {
            return Ok(None);
        };
        let stored = std::mem::take(&mut recording.location);
        recording.location = self
            .unseal(spot(tenant, "recordings", &[id]), stored)
            .await?;
        Ok(Some(recording))
    }
}
