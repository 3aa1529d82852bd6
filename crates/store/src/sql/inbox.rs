//! The inbox: what has come from outside, and what it was answered.
//! Asked by whoever takes requests that may come twice: webhooks, and calls with an idempotency key.
//! Never lets two do the work of one request at the same time, and never changes an answer that was given.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Scope, Sql};
use crate::{NUL, StoreError};

/// Which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// To whom it came.
    pub tenant: &'a str,
    /// Who sends it, such as `stripe` or `POST /v1/calls`.
    pub source: &'a str,
    /// What the sender calls it.
    pub key: &'a str,
    /// A digest of what it asks for: the same key with something else is a mistake.
    pub print: &'a str,
}

/// What is to be done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// It is new, or whoever had it has not come back: do it, then answer.
    Fresh,
    /// Somebody is doing it; the sender may ask again a little later.
    Running,
    /// It was done; this is what it was answered.
    Answered(String),
    /// The key was used for something else.
    Different,
}

#[derive(FromRow)]
struct Row {
    print: String,
    answer: Option<String>,
}

impl Sql {
    /// Takes a request in for `owner`, who has until `lease_until` to answer it.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Nul`].
    pub async fn receive(
        &self,
        request: Request<'_>,
        owner: &str,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Receipt, StoreError> {
        let Request {
            tenant,
            source,
            key,
            print,
        } = request;
        if key.contains(NUL) || source.contains(NUL) || print.contains(NUL) {
            return Err(StoreError::Nul);
        }
        work!(
            self,
            Write,
            Scope::Tenant(tenant),
            "take a request in",
            |on| {
                let taken = sqlx::query(
                    "INSERT INTO inbox (tenant, source, key, print, owner, due_at, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) \
                 ON CONFLICT (tenant, source, key) DO UPDATE \
                 SET owner = excluded.owner, due_at = excluded.due_at \
                 WHERE inbox.answer IS NULL AND inbox.due_at <= excluded.created_at \
                 AND inbox.print = excluded.print",
                )
                .bind(tenant)
                .bind(source)
                .bind(key)
                .bind(print)
                .bind(owner)
                .bind(lease_until)
                .bind(now)
                .execute(&mut *on)
                .await?;
                if taken.rows_affected() == 1 {
                    return Ok(Receipt::Fresh);
                }
                let row: Option<Row> = sqlx::query_as(
                "SELECT print, answer FROM inbox WHERE tenant = $1 AND source = $2 AND key = $3",
            )
            .bind(tenant)
            .bind(source)
            .bind(key)
            .fetch_optional(&mut *on)
            .await?;
                Ok(match row {
                    Some(row) if row.print != print => Receipt::Different,
                    Some(Row {
                        answer: Some(answer),
                        ..
                    }) => Receipt::Answered(answer),
                    // removed between the two statements: whoever sends it again begins anew
                    Some(_) | None => Receipt::Running,
                })
            }
        )
    }

    /// Keeps what a request was answered; false when it is no longer `owner`'s, or was answered before.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn answer(
        &self,
        request: Request<'_>,
        owner: &str,
        answer: &str,
    ) -> Result<bool, StoreError> {
        let scope = Scope::Tenant(request.tenant);
        work!(self, Write, scope, "keep an answer", |on| {
            sqlx::query(
                "UPDATE inbox SET answer = $5 \
                 WHERE tenant = $1 AND source = $2 AND key = $3 AND owner = $4 AND answer IS NULL",
            )
            .bind(request.tenant)
            .bind(request.source)
            .bind(request.key)
            .bind(owner)
            .bind(answer)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// Gives a request back that `owner` could not do, so that the sender's next try is a new one.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn give_back(&self, request: Request<'_>, owner: &str) -> Result<bool, StoreError> {
        let scope = Scope::Tenant(request.tenant);
        work!(self, Write, scope, "give a request back", |on| {
            sqlx::query(
                "DELETE FROM inbox \
                 WHERE tenant = $1 AND source = $2 AND key = $3 AND owner = $4 AND answer IS NULL",
            )
            .bind(request.tenant)
            .bind(request.source)
            .bind(request.key)
            .bind(owner)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }
}
