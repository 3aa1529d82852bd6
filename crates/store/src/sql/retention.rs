//! How long conversations and usage are kept: months made ahead, and what has outlived its time removed.
//! Called by the gateway's daily job, and by the writer for a month that is not there.
//! Never removes anything before its tenant's time.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Access, Db, Scope, Sql};
use crate::StoreError;

/// Sessions looked at in one go.
const PAGE: i64 = 500;
/// Pieces of work removed in one go.
const USAGE_PAGE: i64 = 5000;

/// For how many days conversations are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Of tenants that are not named.
    pub days: u32,
    /// Of these tenants.
    pub tenants: BTreeMap<String, u32>,
}

impl Retention {
    /// What began before this has outlived its time.
    pub(super) fn cut(&self, tenant: &str, now: DateTime<Utc>) -> DateTime<Utc> {
        back(now, self.tenants.get(tenant).copied().unwrap_or(self.days))
    }

    fn longest(&self) -> u32 {
        self.tenants.values().copied().fold(self.days, u32::max)
    }

    fn shortest(&self) -> u32 {
        self.tenants.values().copied().fold(self.days, u32::min)
    }
}

fn back(now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    now.checked_sub_signed(TimeDelta::days(i64::from(days)))
        .unwrap_or(DateTime::UNIX_EPOCH)
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Sessions.
    pub sessions: u64,
    /// Partitions of PostgreSQL; there are eight a month.
    pub partitions: u32,
}

/// What was removed of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrunedUsage {
    /// Pieces of work of months that are not over.
    pub pieces: u64,
    /// Partitions of PostgreSQL; there are eight a month.
    pub partitions: u32,
}

type Found = (DateTime<Utc>, String, String);

impl Sql {
    /// Makes room for the month of `at` and so many after it (at most 24), and says how many partitions were made.
    /// SQLite has none.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn make_months(&self, at: DateTime<Utc>, ahead: u16) -> Result<u32, StoreError> {
        self.make("SELECT antiphon_make_months($1, $2)", at, ahead)
            .await
    }

    /// The same for usage.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn make_usage_months(
        &self,
        at: DateTime<Utc>,
        ahead: u16,
    ) -> Result<u32, StoreError> {
        self.make("SELECT antiphon_make_usage_months($1, $2)", at, ahead)
            .await
    }

    async fn make(
        &self,
        text: &'static str,
        at: DateTime<Utc>,
        ahead: u16,
    ) -> Result<u32, StoreError> {
        let Db::Postgres(server) = &self.db else {
            return Ok(0);
        };
        let made = async {
            let mut transaction = server.begin(Access::Write, Scope::Installation).await?;
            let made: i32 = sqlx::query_scalar(text)
                .bind(at)
                .bind(i32::from(ahead))
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(made.unsigned_abs())
        };
        server.within("make room for a month", made).await
    }

    /// Removes what `retention` no longer keeps: whole months where it can, else session by session.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn prune(
        &self,
        retention: &Retention,
        now: DateTime<Utc>,
    ) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned {
            partitions: self
                .drop_months(back(now, retention.longest()), now)
                .await?,
            ..Pruned::default()
        };
        let latest = back(now, retention.shortest());
        let mut last: Found = (DateTime::UNIX_EPOCH, String::new(), String::new());
        loop {
            let page = self.sessions_before(latest, &last).await?;
            let Some(end) = page.last().cloned() else {
                break;
            };
            for (started_at, tenant, id) in page {
                if started_at < retention.cut(&tenant, now) {
                    pruned.sessions += u64::from(self.delete_session(&tenant, &id).await?);
                }
            }
            last = end;
        }
        // months that the rows have left empty
        pruned.partitions += self
            .drop_months(back(now, retention.longest()), now)
            .await?;
        Ok(pruned)
    }

    /// Sessions of all tenants that began before `latest`, from the one after `last` on.
    async fn sessions_before(
        &self,
        latest: DateTime<Utc>,
        last: &Found,
    ) -> Result<Vec<Found>, StoreError> {
        let action = "find sessions that have outlived their time";
        work!(self, Read, Scope::Maintenance, action, |on| {
            sqlx::query_as(
                "SELECT started_at, tenant, id FROM sessions \
                 WHERE started_at < $1 AND (started_at, tenant, id) > ($2, $3, $4) \
                 ORDER BY started_at, tenant, id LIMIT $5",
            )
            .bind(latest)
            .bind(last.0)
            .bind(&last.1)
            .bind(&last.2)
            .bind(PAGE)
            .fetch_all(on)
            .await
        })
    }

    async fn drop_months(
        &self,
        expired: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<u32, StoreError> {
        let Db::Postgres(server) = &self.db else {
            return Ok(0);
        };
        let dropped = async {
            let mut transaction = server.begin(Access::Write, Scope::Installation).await?;
            let dropped: i32 = sqlx::query_scalar("SELECT antiphon_drop_months($1, $2)")
                .bind(expired)
                .bind(now)
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(dropped.unsigned_abs())
        };
        server.within("drop months that are over", dropped).await
    }

    /// Removes what was used before `before`, of all tenants: whole months where it can, else piece by piece.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn prune_usage(&self, before: DateTime<Utc>) -> Result<PrunedUsage, StoreError> {
        let mut pruned = PrunedUsage {
            partitions: self.drop_usage_months(before).await?,
            ..PrunedUsage::default()
        };
        let action = "find usage that has outlived its time";
        let tenants: Vec<String> = work!(self, Read, Scope::Maintenance, action, |on| {
            sqlx::query_scalar("SELECT DISTINCT tenant FROM usage WHERE at < $1")
                .bind(before)
                .fetch_all(on)
                .await
        })?;
        for tenant in tenants {
            pruned.pieces += self.remove_usage(&tenant, before).await?;
        }
        Ok(pruned)
    }

    /// Page by page: a month of a large tenant would hold others up for minutes.
    async fn remove_usage(&self, tenant: &str, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let (action, mut removed) = ("remove usage that has outlived its time", 0);
        loop {
            let page = work!(self, Write, Scope::Tenant(tenant), action, |on| {
                sqlx::query(
                    "DELETE FROM usage WHERE tenant = $1 AND at < $2 AND (session, run, number) IN \
                     (SELECT session, run, number FROM usage WHERE tenant = $1 AND at < $2 \
                      ORDER BY at LIMIT $3)",
                )
                .bind(tenant)
                .bind(before)
                .bind(USAGE_PAGE)
                .execute(on)
                .await
                .map(|done| done.rows_affected())
            })?;
            removed += page;
            if page < USAGE_PAGE.unsigned_abs() {
                return Ok(removed);
            }
        }
    }

    async fn drop_usage_months(&self, expired: DateTime<Utc>) -> Result<u32, StoreError> {
        let Db::Postgres(server) = &self.db else {
            return Ok(0);
        };
        let dropped = async {
            let mut transaction = server.begin(Access::Write, Scope::Installation).await?;
            let dropped: i32 = sqlx::query_scalar("SELECT antiphon_drop_usage_months($1)")
                .bind(expired)
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(dropped.unsigned_abs())
        };
        server
            .within("drop months of usage that are over", dropped)
            .await
    }
}
