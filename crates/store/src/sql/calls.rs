//! Telephone calls, a row each: made, read, listed, changed by one at a time. The folder has the rest of their life.
//! Written and read by the gateway's telephony, its dialler and its REST routes.
//! Never writes over a change that it has not seen.
//!
//! | what | where |
//! |---|---|
//! | waiting, being taken, being dialled once | [`queue`] |
//! | news of carriers and of our own, calling off, ending once | [`progress`] |
//! | what happened, in order | [`events`] |
//! | what was said | [`turns`] |
//! | what becomes known of a call while it lasts | [`notes`] |
//! | where its recordings are | [`recordings`] |

#[macro_use]
mod columns;
#[macro_use]
pub mod events;
pub mod notes;
pub mod progress;
pub mod queue;
pub mod recordings;
pub mod turns;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use self::columns::{CREATE, UPDATE};
use super::outbox::NewEffect;
use super::{Scope, Sql};
use crate::seal::Spot;
use crate::{NUL, StoreError};

/// A call as stored.
#[derive(Debug, Clone, PartialEq, Default, FromRow)]
pub struct StoredCall {
    /// Names it among the tenant's.
    pub id: String,
    /// Its project.
    pub project: String,
    /// The carrier, such as `twilio`.
    pub provider: String,
    /// What the carrier calls it, once it does.
    pub carrier_call_id: Option<String>,
    /// What the carrier calls its stream of audio.
    pub stream_id: Option<String>,
    /// Its conversation, `sess_…`, once there is one.
    pub session: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Where it is, such as `queued`, `live` or `ended`.
    pub state: String,
    /// The same in the carrier's own word.
    pub carrier_status: Option<String>,
    /// What came of it, such as `goal_achieved` or `no_answer`.
    pub outcome: Option<String>,
    /// Why it ended.
    pub hangup_reason: Option<String>,
    /// Who ended it.
    pub hangup_by: Option<String>,
    /// `human` or `machine`, where the carrier tells.
    pub answered_by: Option<String>,
    /// What the asker called it: a second call of that name is the first.
    pub request_key: Option<String>,
    /// What kind of call it is, such as `confirm_appointment`.
    pub call_type: Option<String>,
    /// The carrier account that places it, as it is called in the configuration.
    pub account: String,
    /// What stands for the called number; see [`Sql::callee`].
    pub callee: Option<String>,
    /// Of calls that are due, those with a lower one are placed first; 3 unless there is a reason.
    pub priority: i64,
    /// The rule that forbids it, such as `blocked_dnc`.
    pub blocked_by: Option<String>,
    /// When it was said that a machine speaks, in ms after the answer.
    pub disclosed_ms: Option<i64>,
    /// When it may be placed; nothing once it was.
    pub due_at: Option<DateTime<Utc>>,
    /// Which attempt at reaching somebody it is, from 1.
    pub attempt_number: i64,
    /// What went wrong.
    pub error_message: Option<String>,
    /// Name of the agent that speaks.
    pub agent: Option<String>,
    /// Id of the lead it is about.
    pub lead: Option<String>,
    /// Id of the business it is for.
    pub business: Option<String>,
    /// Id of the person that is called.
    pub consumer: Option<String>,
    /// Id of whoever asked for it.
    pub initiator: Option<String>,
    /// Which wording of the instructions it had.
    pub prompt_version: Option<String>,
    /// `high`, `medium`, `low` or `none`, as the summary says.
    pub interest: Option<String>,
    /// Whether there is a summary: `waiting`, `done` or `failed`.
    pub summary_status: Option<String>,
    /// What was agreed on.
    pub appointment_at: Option<DateTime<Utc>>,
    /// A price that was named, in millionths of the currency.
    pub quote_micros: Option<i64>,
    /// What it was expected to cost, in micro-dollars.
    pub estimated_micros: Option<i64>,
    /// What it cost, in micro-dollars.
    pub actual_micros: Option<i64>,
    /// What that is made of, as JSON.
    pub cost_parts: Option<String>,
    /// Where the recording is.
    pub recording_url: Option<String>,
    /// Telephone numbers, objective, instructions, summary: personal, as JSON. Stored sealed.
    pub details: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// When it is to be placed.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// When it was placed, or came in.
    pub started_at: Option<DateTime<Utc>>,
    /// When somebody took it.
    pub answered_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// When whoever looks after it was last heard of.
    pub seen_at: Option<DateTime<Utc>>,
    /// When it was finally dealt with, which happens once.
    pub finalized_at: Option<DateTime<Utc>>,
    /// Counts its changes.
    pub version: i64,
}

/// Which calls are listed; what is absent lets everything through.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallFilter<'a> {
    /// Of this project.
    pub project: Option<&'a str>,
    /// In this state.
    pub state: Option<&'a str>,
    /// With this outcome.
    pub outcome: Option<&'a str>,
    /// `inbound` or `outbound`.
    pub direction: Option<&'a str>,
    /// With this agent.
    pub agent: Option<&'a str>,
    /// About this lead.
    pub lead: Option<&'a str>,
    /// To the number behind this print; see [`Sql::callee`].
    pub callee: Option<&'a str>,
    /// Made at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Made before this time.
    pub until: Option<DateTime<Utc>>,
}

/// The text of a list. Who asks for one lead or one called number gets a text that says so plainly: of a condition that may
/// be absent no database makes use of an index.
macro_rules! list {
    ($lead:literal, $callee:literal) => {
        concat!(
            "SELECT * FROM calls WHERE tenant = $1 AND ($2 IS NULL OR project = $2) \
             AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR outcome = $4) AND ($5 IS NULL OR direction = $5) \
             AND ($6 IS NULL OR agent = $6) AND ",
            $lead,
            " AND ",
            $callee,
            " AND ($9 IS NULL OR created_at >= $9) AND ($10 IS NULL OR created_at < $10) \
             AND ($11 IS NULL OR (created_at, id) < ($11, $12)) \
             ORDER BY created_at DESC, id DESC LIMIT $13"
        )
    };
}

const LIST: &str = list!("$7 IS NULL", "$8 IS NULL");
const LIST_OF_LEAD: &str = list!("lead = $7", "($8 IS NULL OR callee = $8)");
const LIST_OF_CALLEE: &str = list!("$7 IS NULL", "callee = $8");

impl Sql {
    /// Stores a call that begins, and what that makes to be done; false when there is one of its id, or of the carrier's.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn create_call(
        &self,
        tenant: &str,
        call: &StoredCall,
        effects: &[NewEffect],
    ) -> Result<bool, StoreError> {
        let details = self.seal_details(tenant, call).await?;
        work!(self, Write, Scope::Tenant(tenant), "store a call", |on| {
            let created = write_call!(CREATE, tenant, call, &details);
            if created.execute(&mut *on).await?.rows_affected() != 1 {
                return Ok(false);
            }
            put_effects!(on, tenant, effects, call.created_at);
            Ok(true)
        })
    }

    /// Stores `call` as it is now, if nobody has changed it since it was read, and what that makes to be done. Its
    /// version goes up by one; `finalized_at` stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn update_call(
        &self,
        tenant: &str,
        call: &StoredCall,
        effects: &[NewEffect],
    ) -> Result<bool, StoreError> {
        let details = self.seal_details(tenant, call).await?;
        work!(self, Write, Scope::Tenant(tenant), "change a call", |on| {
            let changed = write_call!(UPDATE, tenant, call, &details);
            if changed.execute(&mut *on).await?.rows_affected() != 1 {
                return Ok(false);
            }
            put_effects!(on, tenant, effects, call.updated_at);
            Ok(true)
        })
    }

    /// The call with this id.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn find_call(
        &self,
        tenant: &str,
        id: &str,
    ) -> Result<Option<StoredCall>, StoreError> {
        if id.contains(NUL) {
            return Ok(None);
        }
        let found = work!(self, Read, Scope::Tenant(tenant), "find a call", |on| {
            sqlx::query_as("SELECT * FROM calls WHERE tenant = $1 AND id = $2")
                .bind(tenant)
                .bind(id)
                .fetch_optional(on)
                .await
        })?;
        self.opened(tenant, found).await
    }

    /// The call that the carrier calls so.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn find_carrier_call(
        &self,
        tenant: &str,
        (provider, carrier_call_id): (&str, &str),
    ) -> Result<Option<StoredCall>, StoreError> {
        if carrier_call_id.contains(NUL) {
            return Ok(None);
        }
        let found = work!(self, Read, Scope::Tenant(tenant), "find a call", |on| {
            sqlx::query_as(
                "SELECT * FROM calls WHERE tenant = $1 AND provider = $2 AND carrier_call_id = $3",
            )
            .bind(tenant)
            .bind(provider)
            .bind(carrier_call_id)
            .fetch_optional(on)
            .await
        })?;
        self.opened(tenant, found).await
    }

    /// Up to `limit` calls of `tenant` that `filter` lets through, the newest first, from the one after `after` on.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn list_calls(
        &self,
        tenant: &str,
        filter: &CallFilter<'_>,
        after: Option<(DateTime<Utc>, &str)>,
        limit: u32,
    ) -> Result<Vec<StoredCall>, StoreError> {
        let (before, last) = after.unzip();
        let text = match (filter.lead, filter.callee) {
            (Some(_), _) => LIST_OF_LEAD,
            (None, Some(_)) => LIST_OF_CALLEE,
            (None, None) => LIST,
        };
        let found: Vec<StoredCall> =
            work!(self, Read, Scope::Tenant(tenant), "list calls", |on| {
                sqlx::query_as(text)
                    .bind(tenant)
                    .bind(filter.project)
                    .bind(filter.state)
                    .bind(filter.outcome)
                    .bind(filter.direction)
                    .bind(filter.agent)
                    .bind(filter.lead)
                    .bind(filter.callee)
                    .bind(filter.from)
                    .bind(filter.until)
                    .bind(before)
                    .bind(last)
                    .bind(i64::from(limit))
                    .fetch_all(on)
                    .await
            })?;
        let mut calls = Vec::with_capacity(found.len());
        for call in found {
            calls.extend(self.opened(tenant, Some(call)).await?);
        }
        Ok(calls)
    }

    async fn seal_details(&self, tenant: &str, call: &StoredCall) -> Result<Vec<u8>, StoreError> {
        // JSON, so it is text
        let details = String::from_utf8_lossy(&call.details);
        self.seal(spot(tenant, "calls", &[&call.id]), &details)
            .await
    }

    async fn opened(
        &self,
        tenant: &str,
        found: Option<StoredCall>,
    ) -> Result<Option<StoredCall>, StoreError> {
        let Some(mut call) = found else {
            return Ok(None);
        };
        let stored = std::mem::take(&mut call.details);
        call.details = self
            .unseal(spot(tenant, "calls", &[&call.id]), stored)
            .await?;
        Ok(Some(call))
    }
}

/// Where something sealed lies.
pub(in crate::sql) const fn spot<'a>(
    tenant: &'a str,
    table: &'static str,
    row: &'a [&'a str],
) -> Spot<'a> {
    Spot { tenant, table, row }
}
