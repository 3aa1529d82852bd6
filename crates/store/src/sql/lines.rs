//! Telephone numbers of ours: whose a call to one is, who answers it, and over which account of which carrier.
//! Written by the gateway's REST routes; asked by its telephone edge when a call comes in.
//! Never gives a number to two tenants, and never shows one tenant another's list.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Scope, Sql};
use crate::{NUL, StoreError};

/// A number of ours.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Line {
    /// In E.164.
    pub number: String,
    /// Whose it is.
    pub tenant: String,
    /// In which project.
    pub project: String,
    /// Who answers.
    pub agent: String,
    /// The carrier, such as `twilio`.
    pub provider: String,
    /// Which account there, as it is called in the configuration.
    pub account: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Sql {
    /// Stores a number, or changes it where it is the tenant's; false when it is somebody else's.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn put_line(&self, line: &Line) -> Result<bool, StoreError> {
        let scope = Scope::Tenant(&line.tenant);
        work!(self, Write, scope, "store a telephone number", |on| {
            let new = sqlx::query(
                "INSERT INTO phone_numbers \
                 (number, tenant, project, agent, provider, account, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
            )
            .bind(&line.number)
            .bind(&line.tenant)
            .bind(&line.project)
            .bind(&line.agent)
            .bind(&line.provider)
            .bind(&line.account)
            .bind(line.created_at)
            .bind(line.updated_at)
            .execute(&mut *on)
            .await?;
            if new.rows_affected() == 1 {
                return Ok(true);
            }
            // no "on conflict do update": row-level security fails it for a row that is somebody else's
            sqlx::query(
                "UPDATE phone_numbers SET project = $3, agent = $4, provider = $5, account = $6, updated_at = $7 \
                 WHERE number = $1 AND tenant = $2",
            )
            .bind(&line.number)
            .bind(&line.tenant)
            .bind(&line.project)
            .bind(&line.agent)
            .bind(&line.provider)
            .bind(&line.account)
            .bind(line.updated_at)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// The number that a call has come in to, whoever's it is.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn route_call(&self, number: &str) -> Result<Option<Line>, StoreError> {
        self.line(Scope::Line(number), number, None).await
    }

    /// A number of `tenant`.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn find_line(&self, tenant: &str, number: &str) -> Result<Option<Line>, StoreError> {
        self.line(Scope::Tenant(tenant), number, Some(tenant)).await
    }

    async fn line(
        &self,
        scope: Scope<'_>,
        number: &str,
        tenant: Option<&str>,
    ) -> Result<Option<Line>, StoreError> {
        if number.contains(NUL) {
            return Ok(None);
        }
        work!(self, Read, scope, "find a telephone number", |on| {
            sqlx::query_as(
                "SELECT number, tenant, project, agent, provider, account, created_at, updated_at \
                 FROM phone_numbers WHERE number = $1 AND ($2 IS NULL OR tenant = $2)",
            )
            .bind(number)
            .bind(tenant)
            .fetch_optional(on)
            .await
        })
    }

    /// Up to `limit` numbers of `tenant`, from the one after `after` on.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn list_lines(
        &self,
        tenant: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Line>, StoreError> {
        let action = "list telephone numbers";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT number, tenant, project, agent, provider, account, created_at, updated_at \
                 FROM phone_numbers WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT $3",
            )
            .bind(tenant)
            .bind(after.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(on)
            .await
        })
    }

    /// Forgets a number of `tenant`; false when there is none.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn delete_line(&self, tenant: &str, number: &str) -> Result<bool, StoreError> {
        if number.contains(NUL) {
            return Ok(false);
        }
        let action = "forget a telephone number";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query("DELETE FROM phone_numbers WHERE tenant = $1 AND number = $2")
                .bind(tenant)
                .bind(number)
                .execute(on)
                .await
                .map(|done| done.rows_affected() == 1)
        })
    }
}
