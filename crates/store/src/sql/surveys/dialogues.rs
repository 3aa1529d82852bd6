//! What the text survey knows for minutes, in the database: codes that were mailed, and dialogues whose clients may come back.
//! Used by [`crate::live::Surveys`] where there is no Redis.
//! Never keeps a code or an address: what is kept is a print of it.

use chrono::{DateTime, Utc};

use crate::StoreError;
use crate::live::surveys::{Checked, Mailed, NewCode, Progress};
use crate::sql::calls::spot;
use crate::sql::{Scope, Sql};

/// Codes of a mailbox that count at the same time; one more, and the oldest does not any more.
const CODES: i64 = 3;

impl Sql {
    pub(crate) async fn put_survey_code(
        &self,
        tenant: &str,
        new: &NewCode,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let action = "store a code";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            // what nobody has used goes with the next that comes
            sqlx::query("DELETE FROM survey_codes WHERE tenant = $1 AND expires_at <= $2")
                .bind(tenant)
                .bind(now)
                .execute(&mut *on)
                .await?;
            sqlx::query(
                "INSERT INTO survey_codes (tenant, mailbox, code, tries, created_at, expires_at) \
                 VALUES ($1, $2, $3, 0, $4, $5) ON CONFLICT (tenant, mailbox, code) DO UPDATE \
                 SET tries = 0, created_at = excluded.created_at, expires_at = excluded.expires_at",
            )
            .bind(tenant)
            .bind(&new.mailbox)
            .bind(&new.code)
            .bind(now)
            .bind(new.expires_at)
            .execute(&mut *on)
            .await?;
            sqlx::query(
                "DELETE FROM survey_codes WHERE tenant = $1 AND mailbox = $2 AND code NOT IN \
                 (SELECT code FROM survey_codes WHERE tenant = $1 AND mailbox = $2 \
                  ORDER BY created_at DESC, code LIMIT $3)",
            )
            .bind(tenant)
            .bind(&new.mailbox)
            .bind(CODES)
            .execute(on)
            .await
            .map(drop)
        })
    }

    pub(crate) async fn find_survey_code(
        &self,
        tenant: &str,
        mailbox: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Mailed>, StoreError> {
        let action = "find a code";
        let found: Option<(DateTime<Utc>, DateTime<Utc>)> =
            work!(self, Read, Scope::Tenant(tenant), action, |on| {
                sqlx::query_as(
                    "SELECT created_at, expires_at FROM survey_codes \
                     WHERE tenant = $1 AND mailbox = $2 AND expires_at > $3 \
                     ORDER BY created_at DESC LIMIT 1",
                )
                .bind(tenant)
                .bind(mailbox)
                .bind(now)
                .fetch_optional(on)
                .await
            })?;
        Ok(found.map(|(created_at, expires_at)| Mailed {
            created_at,
            expires_at,
        }))
    }

    pub(crate) async fn check_survey_code(
        &self,
        tenant: &str,
        (mailbox, code): (&str, &str),
        attempts: u32,
        now: DateTime<Utc>,
    ) -> Result<Checked, StoreError> {
        let action = "check a code";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            // changed before it is read: of two who guess at once the second sees what the first has used up
            let tries: Vec<(String, i64)> = sqlx::query_as(
                "UPDATE survey_codes SET tries = tries + 1 \
                 WHERE tenant = $1 AND mailbox = $2 AND expires_at > $3 RETURNING code, tries",
            )
            .bind(tenant)
            .bind(mailbox)
            .bind(now)
            .fetch_all(&mut *on)
            .await?;
            if tries.is_empty() {
                return Ok(Checked::None);
            }
            let is_right = tries.iter().any(|(known, _)| known == code);
            let attempts = i64::from(attempts);
            let gone = if is_right { 0 } else { attempts };
            sqlx::query(
                "DELETE FROM survey_codes WHERE tenant = $1 AND mailbox = $2 AND tries >= $3",
            )
            .bind(tenant)
            .bind(mailbox)
            .bind(gone)
            .execute(on)
            .await?;
            if is_right {
                return Ok(Checked::Right);
            }
            let left = tries.iter().map(|(_, tries)| attempts - tries).max();
            Ok(match u32::try_from(left.unwrap_or_default()) {
                Ok(left) if left > 0 => Checked::Wrong { left },
                _ => Checked::Burned,
            })
        })
    }

    pub(crate) async fn withdraw_survey_code(
        &self,
        tenant: &str,
        (mailbox, code): (&str, &str),
    ) -> Result<(), StoreError> {
        let action = "withdraw a code";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query("DELETE FROM survey_codes WHERE tenant = $1 AND mailbox = $2 AND code = $3")
                .bind(tenant)
                .bind(mailbox)
                .bind(code)
                .execute(on)
                .await
                .map(drop)
        })
    }

    pub(crate) async fn keep_survey_dialogue(
        &self,
        tenant: &str,
        (id, version): (&str, i64),
        content: &str,
        (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<bool, StoreError> {
        let content = self
            .seal(spot(tenant, "survey_dialogues", &[id]), content)
            .await?;
        let action = "keep a dialogue";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            if version == 1 {
                sqlx::query("DELETE FROM survey_dialogues WHERE tenant = $1 AND expires_at <= $2")
                    .bind(tenant)
                    .bind(now)
                    .execute(&mut *on)
                    .await?;
            }
            sqlx::query(
                "INSERT INTO survey_dialogues (tenant, id, version, content, expires_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, id) DO UPDATE \
                 SET content = excluded.content, expires_at = excluded.expires_at \
                 WHERE survey_dialogues.version = excluded.version",
            )
            .bind(tenant)
            .bind(id)
            .bind(version)
            .bind(&content)
            .bind(expires_at)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    pub(crate) async fn take_survey_dialogue(
        &self,
        tenant: &str,
        id: &str,
        (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Option<Progress>, StoreError> {
        let action = "take a dialogue over";
        let found: Option<(i64, Vec<u8>)> =
            work!(self, Write, Scope::Tenant(tenant), action, |on| {
                sqlx::query_as(
                    "UPDATE survey_dialogues SET version = version + 1, expires_at = $4 \
                     WHERE tenant = $1 AND id = $2 AND expires_at > $3 RETURNING version, content",
                )
                .bind(tenant)
                .bind(id)
                .bind(now)
                .bind(expires_at)
                .fetch_optional(on)
                .await
            })?;
        let Some((version, stored)) = found else {
            return Ok(None);
        };
        let content = self
            .unseal(spot(tenant, "survey_dialogues", &[id]), stored)
            .await?;
        Ok(Some(Progress {
            version,
            content: String::from_utf8_lossy(&content).into_owned(),
        }))
    }

    pub(crate) async fn forget_survey_dialogue(
        &self,
        tenant: &str,
        id: &str,
        version: i64,
    ) -> Result<(), StoreError> {
        let action = "forget a dialogue";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "DELETE FROM survey_dialogues WHERE tenant = $1 AND id = $2 AND version = $3",
            )
            .bind(tenant)
            .bind(id)
            .bind(version)
            .execute(on)
            .await
            .map(drop)
        })
    }
}
