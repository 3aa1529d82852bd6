//! What is removed of the outbox, the inbox, the calls, the voice sessions, the chat rooms and the surveys once its time is over, in small steps.
//! Called by the gateway's daily job.
//! Never removes what is still to be done, and never holds a table for longer than a page of rows takes.

use chrono::{DateTime, Utc};

use super::retention::Retention;
use super::{Scope, Sql};
use crate::StoreError;

/// Rows removed in one transaction.
const PAGE: u64 = 500;

const CHAT_MESSAGES: &str = "DELETE FROM chat_messages WHERE tenant = $1 AND (chat, id) IN \
     (SELECT chat, id FROM chat_messages WHERE tenant = $1 AND created_at < $2 ORDER BY created_at LIMIT $3)";
/// Rooms in which nothing was said since.
const CHAT_ROOMS: &str = "DELETE FROM chat_rooms WHERE tenant = $1 AND id IN \
     (SELECT id FROM chat_rooms WHERE tenant = $1 AND updated_at < $2 ORDER BY updated_at LIMIT $3)";
const RESPONSES: &str = "DELETE FROM survey_responses WHERE tenant = $1 AND (question_set, id) IN \
     (SELECT question_set, id FROM survey_responses WHERE tenant = $1 AND completed_at < $2 \
      ORDER BY completed_at LIMIT $3)";

/// What is old enough to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cuts {
    /// Effects that were done before this.
    pub outbox_done: DateTime<Utc>,
    /// Effects that were given up before this.
    pub outbox_dead: DateTime<Utc>,
    /// Requests that came before this and that nobody is working on.
    pub inbox: DateTime<Utc>,
    /// Rows that are removed at most; turns of calls go with their calls and do not count.
    pub rows: u64,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Effects.
    pub outbox: u64,
    /// Requests.
    pub inbox: u64,
    /// Calls, with their turns.
    pub calls: u64,
    /// Voice sessions, with what was said in them.
    pub voice: u64,
    /// Messages of chat rooms.
    pub chat_messages: u64,
    /// Chat rooms.
    pub chat_rooms: u64,
    /// Responses to surveys, with their answers.
    pub responses: u64,
    /// Rows that could have been removed beside those; 0 when there may be more to remove.
    pub left: u64,
}

/// Rows whose time is over.
#[derive(Clone, Copy)]
enum Old<'a> {
    Outbox(&'a Cuts),
    Inbox(&'a str, DateTime<Utc>),
    Calls(&'a str, DateTime<Utc>),
    Voice(&'a str, DateTime<Utc>),
    ChatMessages(&'a str, DateTime<Utc>),
    ChatRooms(&'a str, DateTime<Utc>),
    Responses(&'a str, DateTime<Utc>),
}

impl Sql {
    /// Removes what is older than `cuts`, and the calls of each tenant that `retention` names when their time is over, as
    /// for its conversations.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn sweep(
        &self,
        retention: &Retention,
        cuts: &Cuts,
        now: DateTime<Utc>,
    ) -> Result<Swept, StoreError> {
        let mut swept = Swept {
            left: cuts.rows,
            ..Swept::default()
        };
        let left = &mut swept.left;
        swept.outbox = self.sweep_pages(Old::Outbox(cuts), left).await?;
        for tenant in retention.tenants.keys() {
            let old = Old::Inbox(tenant, cuts.inbox);
            swept.inbox += self.sweep_pages(old, left).await?;
            let old = Old::Calls(tenant, retention.cut(tenant, now));
            swept.calls += self.sweep_pages(old, left).await?;
            let old = Old::Voice(tenant, retention.cut(tenant, now));
            swept.voice += self.sweep_pages(old, left).await?;
            let old = Old::ChatMessages(tenant, retention.cut(tenant, now));
            swept.chat_messages += self.sweep_pages(old, left).await?;
            let old = Old::ChatRooms(tenant, retention.cut(tenant, now));
            swept.chat_rooms += self.sweep_pages(old, left).await?;
            let old = Old::Responses(tenant, retention.cut(tenant, now));
            swept.responses += self.sweep_pages(old, left).await?;
        }
        Ok(swept)
    }

    /// Removes page by page, until nothing is found or `left` is used up.
    async fn sweep_pages(&self, old: Old<'_>, left: &mut u64) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let page = PAGE.min(*left);
            if page == 0 {
                return Ok(all);
            }
            let rows = i64::try_from(page).unwrap_or(i64::MAX);
            let removed = match old {
                Old::Outbox(cuts) => self.sweep_outbox(cuts, rows).await?,
                Old::Inbox(tenant, before) => self.sweep_inbox(tenant, before, rows).await?,
                Old::Calls(tenant, before) => self.sweep_calls(tenant, before, rows).await?,
                Old::Voice(tenant, before) => self.sweep_voice(tenant, before, rows).await?,
                Old::ChatMessages(tenant, before) => {
                    self.sweep_of(CHAT_MESSAGES, tenant, before, rows).await?
                }
                Old::ChatRooms(tenant, before) => {
                    self.sweep_of(CHAT_ROOMS, tenant, before, rows).await?
                }
                Old::Responses(tenant, before) => {
                    self.sweep_of(RESPONSES, tenant, before, rows).await?
                }
            };
            *left = left.saturating_sub(removed);
            all += removed;
            if removed < page {
                return Ok(all);
            }
        }
    }

    async fn sweep_outbox(&self, cuts: &Cuts, rows: i64) -> Result<u64, StoreError> {
        let action = "forget work that is over";
        work!(self, Write, Scope::Outbox, action, |on| {
            sqlx::query(
                "DELETE FROM outbox WHERE (tenant, id) IN (SELECT tenant, id FROM outbox \
                 WHERE state <> 'waiting' \
                 AND (state = 'done' AND ended_at < $1 OR state = 'dead' AND ended_at < $2) \
                 ORDER BY ended_at LIMIT $3) AND state <> 'waiting'",
            )
            .bind(cuts.outbox_done)
            .bind(cuts.outbox_dead)
            .bind(rows)
            .execute(on)
            .await
            .map(|done| done.rows_affected())
        })
    }

    async fn sweep_inbox(
        &self,
        tenant: &str,
        before: DateTime<Utc>,
        rows: i64,
    ) -> Result<u64, StoreError> {
        let action = "forget requests";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "DELETE FROM inbox WHERE tenant = $1 AND (source, key) IN (SELECT source, key FROM inbox \
                 WHERE tenant = $1 AND created_at < $2 AND (answer IS NOT NULL OR due_at < $2) \
                 ORDER BY created_at LIMIT $3) AND (answer IS NOT NULL OR due_at < $2)",
            )
            .bind(tenant)
            .bind(before)
            .bind(rows)
            .execute(on)
            .await
            .map(|done| done.rows_affected())
        })
    }

    async fn sweep_of(
        &self,
        query: &'static str,
        tenant: &str,
        before: DateTime<Utc>,
        rows: i64,
    ) -> Result<u64, StoreError> {
        let action = "remove what was said in chat rooms and surveys and has outlived its time";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(query)
                .bind(tenant)
                .bind(before)
                .bind(rows)
                .execute(on)
                .await
                .map(|done| done.rows_affected())
        })
    }

    async fn sweep_calls(
        &self,
        tenant: &str,
        before: DateTime<Utc>,
        rows: i64,
    ) -> Result<u64, StoreError> {
        let action = "remove calls that have outlived their time";
        // their turns go with them: they refer to them
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "DELETE FROM calls WHERE tenant = $1 AND id IN (SELECT id FROM calls \
                 WHERE tenant = $1 AND created_at < $2 AND finalized_at IS NOT NULL \
                 ORDER BY created_at, id LIMIT $3)",
            )
            .bind(tenant)
            .bind(before)
            .bind(rows)
            .execute(on)
            .await
            .map(|done| done.rows_affected())
        })
    }

    async fn sweep_voice(
        &self,
        tenant: &str,
        before: DateTime<Utc>,
        rows: i64,
    ) -> Result<u64, StoreError> {
        let action = "remove voice sessions that have outlived their time";
        // what was said and used in them goes with them: it refers to them
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "DELETE FROM voice_sessions WHERE tenant = $1 AND session_id IN (SELECT session_id FROM voice_sessions \
                 WHERE tenant = $1 AND created_at < $2 AND end_time IS NOT NULL \
                 ORDER BY created_at, session_id LIMIT $3)",
            )
            .bind(tenant)
            .bind(before)
            .bind(rows)
            .execute(on)
            .await
            .map(|done| done.rows_affected())
        })
    }
}
