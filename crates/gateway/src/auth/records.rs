//! What is stored of a key and of its tenant: from Redis where it is known there, else from the database.
//! Asked by `api_key` behind the memory of the process; told there of every change of a key.
//! Never lets Redis keep a key's own id, or anything that was read before a change.

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::live::Facts;
use store::live::facts::{Asked, Change, Mark, Subject};
use store::{ApiKey, Sql, Standing, StoreError, Tenant, TenantLimits, TenantStatus};

use crate::observe::{Layer, Metrics};

/// A key as it is known. Its hash is sealed in Redis where there are keys for it.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) tenant: String,
    pub(super) project: String,
    pub(super) scopes: Vec<String>,
    pub(super) hash: String,
    pub(super) last_used_at: Option<DateTime<Utc>>,
    pub(super) revoked_at: Option<DateTime<Utc>>,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

impl Record {
    /// Whether it opens anything at this time.
    fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && !self.has_ended(now)
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl From<ApiKey> for Record {
    fn from(key: ApiKey) -> Self {
        Self {
            tenant: key.tenant,
            project: key.project,
            scopes: key.scopes,
            hash: key.hash,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
            expires_at: key.expires_at,
        }
    }
}

/// A tenant as it is known.
#[derive(Serialize, Deserialize)]
struct TenantRecord {
    status: TenantStatus,
    plan: String,
    limits: TenantLimits,
}

impl From<Tenant> for TenantRecord {
    fn from(tenant: Tenant) -> Self {
        Self {
            status: tenant.status,
            plan: tenant.plan,
            limits: tenant.limits,
        }
    }
}

/// The records.
pub(super) struct Records {
    sql: Sql,
    facts: Facts,
    metrics: Metrics,
    /// Makes the names under which Redis has keys; the same at every server of the installation.
    name_key: hmac::Key,
}

impl Records {
    pub(super) fn new(sql: Sql, facts: Facts, metrics: Metrics, checksum_key: &hmac::Key) -> Self {
        let name_key = hmac::sign(checksum_key, b"names of keys in redis");
        Self {
            sql,
            facts,
            metrics,
            name_key: hmac::Key::new(hmac::HMAC_SHA256, name_key.as_ref()),
        }
    }

    /// Notes that the memory of the process had the answer.
    pub(super) fn in_process(&self) {
        self.metrics.found("key", Layer::Process);
    }

    /// The key with this public id.
    pub(super) async fn key(&self, id: &str) -> Result<Option<Record>, StoreError> {
        let name = self.name(id);
        let subject = Subject::Key(&name);
        let (known, mark) = self.known(subject).await;
        if known.is_some() {
            return Ok(known);
        }
        self.metrics.found("key", Layer::Database);
        let row = self.sql.find_key(id).await?.map(Record::from);
        self.tell(subject, mark, row.as_ref()).await;
        Ok(row)
    }

    /// What the key with this public id and its tenant allow at this time.
    pub(super) async fn standing(
        &self,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Standing>, StoreError> {
        if !self.facts.is_here() {
            self.metrics.found("key", Layer::Database);
            return self.sql.key_standing(id, now).await;
        }
        let Some(key) = self.key(id).await? else {
            return Ok(None);
        };
        let tenant = self.tenant(&key.tenant).await?;
        Ok(tenant.map(|tenant| Standing {
            key_works: key.is_active(now),
            status: tenant.status,
            plan: tenant.plan,
            limits: tenant.limits,
        }))
    }

    async fn tenant(&self, id: &str) -> Result<Option<TenantRecord>, StoreError> {
        let subject = Subject::Tenant(id);
        let (known, mark) = self.known(subject).await;
        if known.is_some() {
            return Ok(known);
        }
        self.metrics.found("tenant", Layer::Database);
        let row = self.sql.find_tenant(id).await?.map(TenantRecord::from);
        self.tell(subject, mark, row.as_ref()).await;
        Ok(row)
    }

    /// Says that a key is about to be changed in the database.
    pub(super) async fn changing(&self, id: &str) -> Change {
        self.facts.changing(Subject::Key(&self.name(id))).await
    }

    /// Says that it was changed, or that it was tried.
    pub(super) async fn changed(&self, id: &str, change: Change) {
        // a Redis that is away is told when it is back; where it is, `/ready` says so
        let _ = self
            .facts
            .changed(Subject::Key(&self.name(id)), change)
            .await;
    }

    async fn known<T: DeserializeOwned>(&self, subject: Subject<'_>) -> (Option<T>, Option<Mark>) {
        let of = match subject {
            Subject::Key(_) => "key",
            Subject::Tenant(_) => "tenant",
        };
        match self.facts.ask(subject).await {
            Asked::Known(text) => {
                // what does not parse was told by another version
                let known = serde_json::from_str(&text).ok();
                if known.is_some() {
                    self.metrics.found(of, Layer::Redis);
                }
                (known, None)
            }
            Asked::Unknown(mark) => (None, mark),
            Asked::Away => (None, None),
        }
    }

    async fn tell<T: Serialize>(&self, subject: Subject<'_>, mark: Option<Mark>, row: Option<&T>) {
        let text = row.and_then(|row| serde_json::to_string(row).ok());
        if let (Some(mark), Some(text)) = (mark, text) {
            self.facts.tell(subject, &mark, &text).await;
        }
    }

    fn name(&self, id: &str) -> String {
        use std::fmt::Write as _;
        let name = hmac::sign(&self.name_key, id.as_bytes());
        name.as_ref().iter().fold(String::new(), |mut text, byte| {
            // writing to a string cannot fail
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
