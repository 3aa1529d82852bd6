//! What happened to a call, in the order in which we were told, and by whom.
//! Written with every news of a call; read by the REST routes.
//! Never changes what was written, and writes what a source tells twice once.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::spot;
use crate::sql::{Scope, Sql};
use crate::{NUL, StoreError};

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewCallEvent<'a> {
    /// Who tells: `carrier`, `dialler`, `edge`, `agent`, `api` or `sweep`.
    pub source: &'a str,
    /// What tells it from others of the source, such as the carrier's sequence number with the attempt's; one that
    /// was told before is not written again. Without it, it always is.
    pub source_key: Option<&'a str>,
    /// What happened, such as `ringing` or `dtmf`.
    pub kind: &'a str,
    /// When.
    pub at: DateTime<Utc>,
    /// More of it as JSON: personal. `{}` when there is no more.
    pub content: &'a str,
}

impl<'a> NewCallEvent<'a> {
    /// One with nothing more to it.
    pub const fn new(source: &'a str, kind: &'a str, at: DateTime<Utc>) -> Self {
        Self {
            source,
            source_key: None,
            kind,
            at,
            content: "{}",
        }
    }
}

/// Something that happened, as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CallEvent {
    /// Its number, from 1.
    pub seq: i64,
    /// Who told.
    pub source: String,
    /// What happened.
    pub kind: String,
    /// When.
    pub at: DateTime<Utc>,
    /// More of it as JSON.
    pub content: Vec<u8>,
}

/// Adds an event in a piece of [`work!`] and gives its number; nothing when it was told before, or there is no such call.
/// The call's row must be held, so that two do not get one number.
macro_rules! add_event {
    ($on:ident, ($tenant:expr, $call:expr), $event:expr, $content:expr) => {{
        let event: $crate::sql::calls::events::NewCallEvent<'_> = $event;
        sqlx::query_scalar::<_, i64>(
            "INSERT INTO call_events (tenant, call, seq, source, source_key, kind, at, content) \
             SELECT tenant, id, (SELECT COALESCE(MAX(seq), 0) + 1 FROM call_events WHERE tenant = $1 AND call = $2), \
             $3, $4, $5, $6, $7 FROM calls WHERE tenant = $1 AND id = $2 \
             ON CONFLICT DO NOTHING RETURNING seq",
        )
        .bind($tenant)
        .bind($call)
        .bind(event.source)
        .bind(event.source_key)
        .bind(event.kind)
        .bind(event.at)
        .bind($content)
        .fetch_optional(&mut *$on)
        .await?
    }};
}

impl Sql {
    /// Adds an event and gives its number; nothing when it was told before, or there is no such call.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn add_call_event(
        &self,
        (tenant, call): (&str, &str),
        event: NewCallEvent<'_>,
    ) -> Result<Option<i64>, StoreError> {
        if call.contains(NUL) {
            return Ok(None);
        }
        let content = self.seal_event(tenant, call, &event).await?;
        work!(self, Write, Scope::Tenant(tenant), "add an event", |on| {
            sqlx::query("UPDATE calls SET version = version WHERE tenant = $1 AND id = $2")
                .bind(tenant)
                .bind(call)
                .execute(&mut *on)
                .await?;
            Ok(add_event!(on, (tenant, call), event, &content))
        })
    }

    /// Up to `limit` events of a call, from the one after `after` on.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn call_events(
        &self,
        (tenant, call): (&str, &str),
        after: i64,
        limit: u32,
    ) -> Result<Vec<CallEvent>, StoreError> {
        if call.contains(NUL) {
            return Ok(Vec::new());
        }
        let action = "read what happened to a call";
        let mut events: Vec<CallEvent> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT seq, source, kind, at, content FROM call_events \
                 WHERE tenant = $1 AND call = $2 AND seq > $3 ORDER BY seq LIMIT $4",
            )
            .bind(tenant)
            .bind(call)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(on)
            .await
        })?;
        for event in &mut events {
            let stored = std::mem::take(&mut event.content);
            event.content = self
                .unseal(spot(tenant, "call_events", &[call]), stored)
                .await?;
        }
        Ok(events)
    }

    /// The content as it is stored. It is bound to its call: its number is known only when it is written.
    pub(super) async fn seal_event(
        &self,
        tenant: &str,
        call: &str,
        event: &NewCallEvent<'_>,
    ) -> Result<Vec<u8>, StoreError> {
        self.seal(spot(tenant, "call_events", &[call]), event.content)
            .await
    }
}
