//! People on the telephone: whom a tenant must not call, and who has agreed to what.
//! Asked by the gateway before a call is stored and again before it is placed; written by its REST routes and by calls.
//! Never finds a person by a number that lies in a table: they are found by a print of it that only we can make.

use std::sync::Arc;

use aws_lc_rs::{hmac, rand};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tokio::sync::OnceCell;

use super::calls::spot;
use super::{Scope, Sql};
use crate::seal::KeyError;
use crate::{StoreError, hex};

/// Under this name lies the key of prints.
const PRINT_KEY: &str = "telephone_print";

/// The key with which numbers are printed, once it is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Prints(Arc<OnceCell<hmac::Key>>);

/// What stands for a number in the tables: equal for equal numbers, and of no use outside this installation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Callee(String);

impl Callee {
    /// As it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Somebody who must not be called.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DoNotCall {
    /// Their number's print; the cursor of the list.
    pub callee: String,
    /// Who says so: `api`, `call`, a list that was imported.
    pub source: String,
    /// Number and note as JSON: personal.
    pub content: Vec<u8>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Something that somebody has agreed to.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Consent {
    /// Their number's print.
    pub callee: String,
    /// What they agreed to, such as `ai_call` or `recording`.
    pub kind: String,
    /// Where that is from, such as `web_form`.
    pub source: String,
    /// Number and proof as JSON: personal.
    pub content: Vec<u8>,
    /// Since when.
    pub granted_at: DateTime<Utc>,
    /// Until when, if not for good.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was taken back, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Sql {
    /// What stands for `number`, which is in E.164.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`]; [`StoreError::Keys`] when the system gives no random numbers.
    pub async fn callee(&self, number: &str) -> Result<Callee, StoreError> {
        self.print(number).await.map(Callee)
    }

    /// What stands for something personal in the tables. What is no telephone number begins with a word and a colon, so
    /// that no two kinds are mixed up.
    pub(crate) async fn print(&self, text: &str) -> Result<String, StoreError> {
        let key = self.prints.0.get_or_try_init(|| async {
            let mut fresh = [0; 32];
            rand::fill(&mut fresh).map_err(|_| KeyError::NoRandomness)?;
            let bytes = self.installation_value(PRINT_KEY, &fresh).await?;
            Ok::<_, StoreError>(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        });
        let print = hmac::sign(key.await?, text.as_bytes());
        // half of it tells numbers apart well enough: there are fewer than 2^50
        Ok(hex(&print.as_ref()[..16]))
    }

    /// Notes that somebody must not be called; false when that is known.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn add_do_not_call(
        &self,
        tenant: &str,
        callee: &Callee,
        (source, content): (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let row = [callee.as_str()];
        let content = self
            .seal(spot(tenant, "do_not_call", &row), content)
            .await?;
        let action = "note that somebody must not be called";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "INSERT INTO do_not_call (tenant, callee, source, content, created_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, callee) DO NOTHING",
            )
            .bind(tenant)
            .bind(callee.as_str())
            .bind(source)
            .bind(&content)
            .bind(now)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// Lets somebody be called again; false when nothing was against it.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn remove_do_not_call(
        &self,
        tenant: &str,
        callee: &Callee,
    ) -> Result<bool, StoreError> {
        let action = "let somebody be called again";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query("DELETE FROM do_not_call WHERE tenant = $1 AND callee = $2")
                .bind(tenant)
                .bind(callee.as_str())
                .execute(on)
                .await
                .map(|done| done.rows_affected() == 1)
        })
    }

    /// Whether somebody must not be called.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn is_do_not_call(&self, tenant: &str, callee: &Callee) -> Result<bool, StoreError> {
        let action = "see whether somebody may be called";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query("SELECT 1 FROM do_not_call WHERE tenant = $1 AND callee = $2")
                .bind(tenant)
                .bind(callee.as_str())
                .fetch_optional(on)
                .await
                .map(|found| found.is_some())
        })
    }

    /// Up to `limit` people who must not be called, in the order of their prints, from the one after `after` on.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn list_do_not_call(
        &self,
        tenant: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<DoNotCall>, StoreError> {
        let action = "list who must not be called";
        let mut list: Vec<DoNotCall> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT callee, source, content, created_at FROM do_not_call \
                 WHERE tenant = $1 AND callee > $2 ORDER BY callee LIMIT $3",
            )
            .bind(tenant)
            .bind(after.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(on)
            .await
        })?;
        for entry in &mut list {
            let stored = std::mem::take(&mut entry.content);
            let row = [entry.callee.as_str()];
            entry.content = self
                .unseal(spot(tenant, "do_not_call", &row), stored)
                .await?;
        }
        Ok(list)
    }

    /// Notes what somebody has agreed to, in place of what was known of it before; false when it is older than the day on
    /// which they took it back, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn grant_consent(&self, tenant: &str, consent: &Consent) -> Result<bool, StoreError> {
        let row = [consent.callee.as_str(), consent.kind.as_str()];
        let text = String::from_utf8_lossy(&consent.content);
        let sealed = self.seal(spot(tenant, "consents", &row), &text).await?;
        work!(self, Write, Scope::Tenant(tenant), "note a consent", |on| {
            sqlx::query(
                "INSERT INTO consents \
                 (tenant, callee, kind, source, content, granted_at, expires_at, revoked_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, NULL) ON CONFLICT (tenant, callee, kind) DO UPDATE \
                 SET source = excluded.source, content = excluded.content, granted_at = excluded.granted_at, \
                 expires_at = excluded.expires_at, revoked_at = NULL \
                 WHERE consents.revoked_at IS NULL OR excluded.granted_at > consents.revoked_at",
            )
            .bind(tenant)
            .bind(&consent.callee)
            .bind(&consent.kind)
            .bind(&consent.source)
            .bind(&sealed)
            .bind(consent.granted_at)
            .bind(consent.expires_at)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// Takes a consent back; false when there was none in force.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn revoke_consent(
        &self,
        tenant: &str,
        (callee, kind): (&Callee, &str),
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let action = "take a consent back";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "UPDATE consents SET revoked_at = $4 \
                 WHERE tenant = $1 AND callee = $2 AND kind = $3 AND revoked_at IS NULL",
            )
            .bind(tenant)
            .bind(callee.as_str())
            .bind(kind)
            .bind(now)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// What somebody has agreed to, if that is in force at `now`.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn find_consent(
        &self,
        tenant: &str,
        (callee, kind): (&Callee, &str),
        now: DateTime<Utc>,
    ) -> Result<Option<Consent>, StoreError> {
        let action = "see what somebody has agreed to";
        let found: Option<Consent> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT callee, kind, source, content, granted_at, expires_at, revoked_at FROM consents \
                 WHERE tenant = $1 AND callee = $2 AND kind = $3 AND revoked_at IS NULL \
                 AND granted_at <= $4 AND (expires_at IS NULL OR expires_at > $4)",
            )
            .bind(tenant)
            .bind(callee.as_str())
            .bind(kind)
            .bind(now)
            .fetch_optional(on)
            .await
        })?;
        let Some(mut consent) = found else {
            return Ok(None);
        };
        let stored = std::mem::take(&mut consent.content);
        let row = [consent.callee.as_str(), consent.kind.as_str()];
        consent.content = self.unseal(spot(tenant, "consents", &row), stored).await?;
        Ok(Some(consent))
    }
}
