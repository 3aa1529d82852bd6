//! News of calls: where each is now, that it is looked after, that it is called off, that it is over.
//! Told by carriers through the gateway, by its telephone edge and by its dialler; swept by its daily work.
//! Never goes back: news that come late, twice or in the wrong order change nothing but are written down as events.

use chrono::{DateTime, Utc};
use engine::call::state::{CallState, HangupReason, Outcome, Party, Progress, Step};
use sqlx::FromRow;

use super::events::NewCallEvent;
use crate::sql::outbox::NewEffect;
use crate::sql::{Scope, Sql};
use crate::{NUL, StoreError};

/// News of a call.
#[derive(Debug, Clone, Copy)]
pub struct CallNews<'a> {
    /// What changes by it.
    pub step: Step,
    /// As it is written down.
    pub event: NewCallEvent<'a>,
    /// The carrier's own word.
    pub carrier_status: Option<&'a str>,
    /// What the carrier calls the call, where the news says so.
    pub carrier_call_id: Option<&'a str>,
    /// What went wrong.
    pub error: Option<&'a str>,
    /// The rule that forbids the call.
    pub blocked_by: Option<&'a str>,
    /// When the next attempt may be made, where `step` begins one.
    pub due_at: Option<DateTime<Utc>>,
}

impl<'a> CallNews<'a> {
    /// News that say no more than `step`.
    pub const fn of(step: Step, event: NewCallEvent<'a>) -> Self {
        Self {
            step,
            event,
            carrier_status: None,
            carrier_call_id: None,
            error: None,
            blocked_by: None,
            due_at: None,
        }
    }
}

/// What became of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The call stands so now; what was to follow was put in.
    Changed(Progress),
    /// It changed nothing; the call stands so.
    Stale(Progress),
    /// The same news had come before.
    Known,
    /// There is no such call.
    Missing,
}

/// Whether a call was called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallingOff {
    /// It will not be placed.
    Done,
    /// It has been placed, or is over: to end it is a hang-up.
    TooLate(CallState),
    /// There is no such call.
    Missing,
}

/// Where a call stands, as its row says it.
#[derive(FromRow)]
struct Standing {
    state: String,
    attempt_number: i64,
    outcome: Option<String>,
    hangup_reason: Option<String>,
    hangup_by: Option<String>,
    finalized_at: Option<DateTime<Utc>>,
}

impl Standing {
    fn progress(&self) -> Progress {
        let reason = self.hangup_reason.as_deref().and_then(HangupReason::parse);
        let by = self.hangup_by.as_deref().and_then(Party::parse);
        Progress {
            attempt: u32::try_from(self.attempt_number).unwrap_or(1),
            // a word that this version does not know is one that nothing may follow
            state: CallState::parse(&self.state).unwrap_or(CallState::Cancelled),
            outcome: self.outcome.as_deref().and_then(Outcome::parse),
            ended_by: reason.zip(by),
        }
    }
}

/// Reads where a call stands and keeps everybody else from changing it until the transaction is over. An update: what
/// locks a row in PostgreSQL and is understood by SQLite.
macro_rules! stand {
    ($on:ident, $tenant:expr, $id:expr) => {
        sqlx::query_as::<_, Standing>(
            "UPDATE calls SET version = version WHERE tenant = $1 AND id = $2 \
             RETURNING state, attempt_number, outcome, hangup_reason, hangup_by, finalized_at",
        )
        .bind($tenant)
        .bind($id)
        .fetch_optional(&mut *$on)
        .await?
    };
}

/// What belongs to one attempt does not outlive it: the next begins with none of it.
const CHANGE: &str = "UPDATE calls SET attempt_number = $3, state = $4, outcome = $5, hangup_reason = $6, \
     hangup_by = $7, updated_at = $8, version = version + 1, \
     carrier_status = COALESCE($9, CASE WHEN attempt_number = $3 THEN carrier_status END), \
     carrier_call_id = COALESCE($10, CASE WHEN attempt_number = $3 THEN carrier_call_id END), \
     error_message = COALESCE($11, CASE WHEN attempt_number = $3 THEN error_message END), \
     blocked_by = COALESCE($12, CASE WHEN attempt_number = $3 THEN blocked_by END), \
     stream_id = CASE WHEN attempt_number = $3 THEN stream_id END, \
     session = CASE WHEN attempt_number = $3 THEN session END, \
     answered_by = CASE WHEN attempt_number = $3 THEN answered_by END, \
     disclosed_ms = CASE WHEN attempt_number = $3 THEN disclosed_ms END, \
     recording_url = CASE WHEN attempt_number = $3 THEN recording_url END, \
     started_at = CASE WHEN attempt_number = $3 THEN started_at END, \
     due_at = CASE WHEN $4 IN ('queued', 'scheduled') THEN COALESCE($13, $8) ELSE NULL END, \
     owner = NULL, lease_until = NULL, \
     seen_at = CASE WHEN $4 IN ('queued', 'scheduled') THEN NULL ELSE $8 END, \
     answered_at = CASE WHEN attempt_number <> $3 THEN NULL \
         WHEN $4 = 'live' THEN COALESCE(answered_at, $8) ELSE answered_at END, \
     ended_at = CASE WHEN $4 IN ('ended', 'cancelled', 'blocked') THEN $8 ELSE NULL END \
     WHERE tenant = $1 AND id = $2";

const CHANGE_ATTEMPT: &str = "UPDATE call_attempts SET state = $4, outcome = $5, hangup_reason = $6, hangup_by = $7, \
     carrier_call_id = COALESCE($9, carrier_call_id), \
     answered_at = CASE WHEN $4 = 'live' THEN COALESCE(answered_at, $8) ELSE answered_at END, \
     ended_at = CASE WHEN $4 = 'ended' THEN COALESCE(ended_at, $8) ELSE ended_at END \
     WHERE tenant = $1 AND call = $2 AND attempt = $3";

const NAME: &str = "UPDATE calls SET carrier_call_id = $3, version = version + 1 \
     WHERE tenant = $1 AND id = $2 AND attempt_number = $4 AND carrier_call_id IS NULL AND $3 IS NOT NULL";

const NAME_ATTEMPT: &str = "UPDATE call_attempts SET carrier_call_id = $3 \
     WHERE tenant = $1 AND call = $2 AND attempt = $4 AND carrier_call_id IS NULL AND $3 IS NOT NULL";

impl Sql {
    /// Takes in news of a call. When it changes something, or says once more what is so already, `effects` are put in with
    /// it; in either case it is written down as an event, once.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn tell_call(
        &self,
        (tenant, id): (&str, &str),
        news: &CallNews<'_>,
        effects: &[NewEffect],
    ) -> Result<Told, StoreError> {
        if id.contains(NUL) {
            return Ok(Told::Missing);
        }
        let now = news.event.at;
        let content = self.seal_event(tenant, id, &news.event).await?;
        work!(
            self,
            Write,
            Scope::Tenant(tenant),
            "note news of a call",
            |on| {
                let Some(standing) = stand!(on, tenant, id) else {
                    return Ok(Told::Missing);
                };
                let before = standing.progress();
                if add_event!(on, (tenant, id), news.event, &content).is_none() {
                    return Ok(Told::Known);
                }
                // what was finally dealt with is not begun again
                let open = standing.finalized_at.is_none().then_some(before);
                let Some(after) = open.and_then(|before| before.after(news.step)) else {
                    // the carrier's name of the call may come with news that are late: the answer to "place this call"
                    // mostly does
                    // what tells of a state is put in once, by whoever says first that the call is there
                    if (news.step.attempt, news.step.state) == (before.attempt, before.state) {
                        put_effects!(on, tenant, effects, now);
                    }
                    for statement in [NAME, NAME_ATTEMPT] {
                        sqlx::query(statement)
                            .bind(tenant)
                            .bind(id)
                            .bind(news.carrier_call_id)
                            .bind(i64::from(news.step.attempt))
                            .execute(&mut *on)
                            .await?;
                    }
                    return Ok(Told::Stale(before));
                };
                let (reason, by) = after.ended_by.unzip();
                for (statement, whole) in [(CHANGE, true), (CHANGE_ATTEMPT, false)] {
                    let change = sqlx::query(statement)
                        .bind(tenant)
                        .bind(id)
                        .bind(i64::from(after.attempt))
                        .bind(after.state.name())
                        .bind(after.outcome.map(Outcome::name))
                        .bind(reason.map(HangupReason::name))
                        .bind(by.map(Party::name))
                        .bind(now);
                    let change = if whole {
                        change
                            .bind(news.carrier_status)
                            .bind(news.carrier_call_id)
                            .bind(news.error)
                            .bind(news.blocked_by)
                            .bind(news.due_at)
                    } else {
                        change.bind(news.carrier_call_id)
                    };
                    change.execute(&mut *on).await?;
                }
                put_effects!(on, tenant, effects, now);
                Ok(Told::Changed(after))
            }
        )
    }

    /// Calls a call off that was not placed yet; with that `effects` are put in.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn cancel_call(
        &self,
        (tenant, id): (&str, &str),
        effects: &[NewEffect],
        now: DateTime<Utc>,
    ) -> Result<CallingOff, StoreError> {
        let Some(call) = self.find_call(tenant, id).await? else {
            return Ok(CallingOff::Missing);
        };
        let attempt = u32::try_from(call.attempt_number).unwrap_or(1);
        let event = NewCallEvent::new("api", "cancelled", now);
        let news = CallNews::of(Step::to(attempt, CallState::Cancelled), event);
        Ok(match self.tell_call((tenant, id), &news, effects).await? {
            Told::Changed(_) => CallingOff::Done,
            Told::Stale(now) => CallingOff::TooLate(now.state),
            Told::Known | Told::Missing => CallingOff::Missing,
        })
    }

    /// Finally deals with a call of a tenant while it is at `attempt`: true for the first who asks, whose `effects` are put
    /// in; false for everybody after, and for whoever comes late from an attempt that another one has followed.
    /// A call that had not ended has ended then, and its attempt with it; `outcome` counts unless one is known.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn finalize_call(
        &self,
        (tenant, id, attempt): (&str, &str, i64),
        outcome: Option<Outcome>,
        effects: &[NewEffect],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        if id.contains(NUL) {
            return Ok(false);
        }
        work!(self, Write, Scope::Tenant(tenant), "end a call", |on| {
            let outcome = outcome.map(Outcome::name);
            let ended = sqlx::query(
                "UPDATE calls SET finalized_at = $3, updated_at = $3, version = version + 1, \
                 ended_at = COALESCE(ended_at, $3), outcome = COALESCE(outcome, $4), due_at = NULL, \
                 owner = NULL, lease_until = NULL, \
                 state = CASE WHEN state IN ('cancelled', 'blocked') THEN state ELSE 'ended' END \
                 WHERE tenant = $1 AND id = $2 AND attempt_number = $5 AND finalized_at IS NULL",
            )
            .bind(tenant)
            .bind(id)
            .bind(now)
            .bind(outcome)
            .bind(attempt)
            .execute(&mut *on)
            .await?;
            if ended.rows_affected() != 1 {
                return Ok(false);
            }
            sqlx::query(
                "UPDATE call_attempts SET state = 'ended', ended_at = COALESCE(ended_at, $3), \
                 outcome = COALESCE(outcome, $4) WHERE tenant = $1 AND call = $2 AND attempt = $5",
            )
            .bind(tenant)
            .bind(id)
            .bind(now)
            .bind(outcome)
            .bind(attempt)
            .execute(&mut *on)
            .await?;
            put_effects!(on, tenant, effects, now);
            Ok(true)
        })
    }

    /// Says that `attempt` of a call of a tenant is still looked after; false when the call was finally dealt with, waits for
    /// another attempt, or is not there.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn touch_call(
        &self,
        (tenant, id, attempt): (&str, &str, i64),
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        work!(self, Write, Scope::Tenant(tenant), "touch a call", |on| {
            sqlx::query(
                "UPDATE calls SET seen_at = $3, version = version + 1 WHERE tenant = $1 AND id = $2 \
                 AND attempt_number = $4 AND state NOT IN ('queued', 'scheduled') AND finalized_at IS NULL",
            )
            .bind(tenant)
            .bind(id)
            .bind(now)
            .bind(attempt)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// Has the sweeps look at a call later than at others, because nothing can be done about it now.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn look_later(
        &self,
        (tenant, id): (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let action = "put off looking at a call";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "UPDATE calls SET seen_at = $3, version = version + 1 \
                 WHERE tenant = $1 AND id = $2 AND finalized_at IS NULL AND seen_at < $3",
            )
            .bind(tenant)
            .bind(id)
            .bind(now)
            .execute(on)
            .await
            .map(drop)
        })
    }

    /// Up to `limit` calls of all tenants, as tenant and id, that began and that nobody has touched since `before`.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn orphaned_calls(
        &self,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let action = "find calls that nobody looks after";
        work!(self, Read, Scope::Maintenance, action, |on| {
            sqlx::query_as(
                "SELECT tenant, id FROM calls WHERE finalized_at IS NULL AND seen_at < $1 \
                 ORDER BY seen_at, tenant, id LIMIT $2",
            )
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(on)
            .await
        })
    }
}
