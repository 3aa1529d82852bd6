//! The audit log: what administrators did, each entry chained to the one before it.
//! Written by the functions that change what administrators change, in the same transaction; read by `/v1/admin/audit`
//! and by the `audit` command.
//! Never changes or removes an entry.

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;

use super::{Scope, Sql};
use crate::{StoreError, hex};

/// Entries read at a time while a chain is checked.
const PAGE: i64 = 1000;

/// An administrative action, to be written down with what it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: tenant and public id of the key, or the command line.
    pub actor: String,
    /// What, for example `key.create`.
    pub action: &'static str,
    /// To which key, agent, project or tenant.
    pub resource: String,
    /// How it was, without secrets; nothing where it is new.
    pub before: Option<Value>,
    /// How it is now, without secrets; nothing where it is gone.
    pub after: Option<Value>,
    /// Network address of whoever asked.
    pub ip: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
}

/// An entry as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AuditEntry {
    /// Whose log it is in.
    pub tenant: String,
    /// 1, 2, 3 … within the tenant.
    pub seq: i64,
    /// When, to the microsecond.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub resource: String,
    /// JSON: how it was.
    pub before_state: Option<String>,
    /// JSON: how it is now.
    pub after_state: Option<String>,
    /// From where.
    pub ip: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// Hash of the entry before; empty for the first.
    pub previous: String,
    /// SHA-256 over everything above, in hexadecimal.
    pub hash: String,
}

impl AuditEntry {
    pub(super) fn of(act: &Act, tenant: &str, seq: i64, previous: String) -> Self {
        // PostgreSQL keeps microseconds, and what is hashed must be what is read back
        let at = DateTime::from_timestamp_micros(act.at.timestamp_micros()).unwrap_or(act.at);
        let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        let mut entry = Self {
            tenant: tenant.to_owned(),
            seq,
            at,
            actor: act.actor.clone(),
            action: act.action.to_owned(),
            resource: act.resource.clone(),
            before_state: text(&act.before),
            after_state: text(&act.after),
            ip: act.ip.clone(),
            request_id: act.request_id.clone(),
            previous,
            hash: String::new(),
        };
        entry.hash = entry.digest();
        entry
    }

    /// What its hash should be.
    fn digest(&self) -> String {
        // a JSON array keeps fields apart whatever is in them
        let fields = serde_json::json!([
            self.tenant,
            self.seq,
            self.at.timestamp_micros(),
            self.actor,
            self.action,
            self.resource,
            self.before_state,
            self.after_state,
            self.ip,
            self.request_id,
            self.previous,
        ]);
        hex(digest::digest(&digest::SHA256, fields.to_string().as_bytes()).as_ref())
    }
}

/// Where a chain is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The entry is not there; those after it are.
    Missing(i64),
    /// The entry is not what was written.
    Changed(i64),
    /// Entries after this one have been cut off, or the record of how many there are has been changed.
    Cut(i64),
}

/// What was found of a tenant's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Entries that are as they were written.
    pub entries: i64,
    /// Hash of the last of them: kept elsewhere, it shows a chain that was written anew from the beginning.
    pub head: String,
    /// The first fault.
    pub fault: Option<Fault>,
}

/// Writes `$act` into `$tenant`'s log, in the transaction of a piece of [`work!`].
macro_rules! record {
    ($on:ident, $tenant:expr, $act:expr) => {{
        let tenant: &str = $tenant;
        // takes the head's row: entries of one tenant are written one after the other
        let (seq, previous): (i64, String) = sqlx::query_as(
            "INSERT INTO audit_heads (tenant, seq, hash) VALUES ($1, 0, '') \
             ON CONFLICT (tenant) DO UPDATE SET seq = audit_heads.seq RETURNING seq, hash",
        )
        .bind(tenant)
        .fetch_one(&mut *$on)
        .await?;
        let entry = $crate::sql::audit::AuditEntry::of($act, tenant, seq + 1, previous);
        sqlx::query(
            "INSERT INTO audit_log (tenant, seq, at, actor, action, resource, before_state, after_state, \
             ip, request_id, previous, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(&entry.tenant)
        .bind(entry.seq)
        .bind(entry.at)
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.resource)
        .bind(&entry.before_state)
        .bind(&entry.after_state)
        .bind(&entry.ip)
        .bind(&entry.request_id)
        .bind(&entry.previous)
        .bind(&entry.hash)
        .execute(&mut *$on)
        .await?;
        sqlx::query("UPDATE audit_heads SET seq = $2, hash = $3 WHERE tenant = $1")
            .bind(tenant)
            .bind(entry.seq)
            .bind(&entry.hash)
            .execute(&mut *$on)
            .await?;
    }};
}

impl Sql {
    /// Up to `limit` entries of `tenant`'s log, newest first, older than number `before`.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn audit_entries(
        &self,
        tenant: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let action = "read the audit log";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT * FROM audit_log WHERE tenant = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
            )
            .bind(tenant)
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(on)
            .await
        })
    }

    /// Every tenant, deleted ones too, and whoever has a log.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn audited_tenants(&self) -> Result<Vec<String>, StoreError> {
        let action = "list the audit logs";
        work!(self, Read, Scope::Operator(None), action, |on| {
            sqlx::query_scalar(
                "SELECT id FROM tenants UNION SELECT tenant FROM audit_heads ORDER BY 1",
            )
            .fetch_all(on)
            .await
        })
    }

    /// Checks `tenant`'s log from the first entry to the last.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn verify_audit(&self, tenant: &str) -> Result<Chain, StoreError> {
        let mut chain = Chain {
            entries: 0,
            head: String::new(),
            fault: None,
        };
        // what is written meanwhile comes after this head
        let head = self.audit_head(tenant).await?;
        loop {
            let page = self.audit_page(tenant, chain.entries).await?;
            let is_last = page.len() < PAGE as usize;
            for entry in page {
                let expected = chain.entries + 1;
                if entry.seq != expected {
                    chain.fault = Some(Fault::Missing(expected));
                } else if entry.hash != entry.digest() || entry.previous != chain.head {
                    chain.fault = Some(Fault::Changed(expected));
                }
                if chain.fault.is_some() {
                    return Ok(chain);
                }
                chain.entries = entry.seq;
                chain.head = entry.hash;
                if head
                    .as_ref()
                    .is_some_and(|(seq, hash)| *seq == chain.entries && *hash != chain.head)
                {
                    chain.fault = Some(Fault::Changed(expected));
                    return Ok(chain);
                }
            }
            if is_last {
                break;
            }
        }
        let known = head.map_or(0, |(seq, _)| seq);
        if chain.entries < known || (known == 0 && chain.entries > 0) {
            chain.fault = Some(Fault::Cut(chain.entries));
        }
        Ok(chain)
    }

    async fn audit_head(&self, tenant: &str) -> Result<Option<(i64, String)>, StoreError> {
        let action = "read the head of the audit log";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as("SELECT seq, hash FROM audit_heads WHERE tenant = $1")
                .bind(tenant)
                .fetch_optional(on)
                .await
        })
    }

    async fn audit_page(&self, tenant: &str, after: i64) -> Result<Vec<AuditEntry>, StoreError> {
        let action = "read the audit log";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT * FROM audit_log WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            )
            .bind(tenant)
            .bind(after)
            .bind(PAGE)
            .fetch_all(on)
            .await
        })
    }
}
