//! The queue of calls that are to be placed: put in once, taken when due by one dialler, dialled once an attempt.
//! Put in by the gateway's REST route; worked off by its dialler.
//! Never gives a call to two diallers, and never lets one attempt be dialled twice, not even after a crash.
//!
//! A call's way: [`Sql::enqueue_call`]; [`Sql::claim_calls`] when it is due; then one of [`Sql::defer_call`] (not now),
//! [`Sql::tell_call`] with `blocked` (never), or [`Sql::begin_attempt`], after which, and only then, the carrier is asked.
//! Whoever claims and does not come back loses the call to the next when the lease is over. Whoever began an attempt and does
//! not come back leaves a call that nobody touches: [`Sql::orphaned_calls`] finds it, and the carrier is asked what
//! became of it before anything is dialled again.

use chrono::{DateTime, TimeDelta, Utc};
use engine::call::state::CallState;
use sqlx::FromRow;

use super::StoredCall;
use super::columns::CREATE;
use crate::sql::lease::{Claim, Lease};
use crate::sql::outbox::NewEffect;
use crate::sql::{Scope, Sql};
use crate::{NUL, StoreError};

/// What became of a call that was put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It is there now.
    New,
    /// One was put in under the same key before; this is its id.
    Known(String),
    /// Its id, or what the carrier calls it, is taken.
    Taken,
}

/// How fast one carrier account may be asked for calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// So many calls.
    pub calls: u32,
    /// Within any stretch of time as long as this.
    pub within: TimeDelta,
}

/// A call that was claimed.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ClaimedCall {
    /// Whose.
    pub tenant: String,
    /// Its id.
    pub id: String,
    /// Which attempt is to be made.
    #[sqlx(rename = "attempt_number")]
    pub attempt: i64,
    /// What stands for the called number; see [`Sql::callee`]. A call without it is never dialled.
    pub callee: Option<String>,
}

/// Whether an attempt may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dial {
    /// Yes, by whoever asked and nobody else.
    Go,
    /// It was begun before: somebody has asked the carrier, or was about to.
    Begun,
    /// It is not the asker's: called off, deferred, or claimed by another since.
    NotOurs,
    /// It is the asker's, and must not be dialled now: since it was looked at, its time was moved, the called person asked
    /// not to be called, or was dialled as often as may be in a day. Look at the rules again.
    Forbidden,
}

/// An attempt at reaching somebody, as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CallAttempt {
    /// Which, from 1.
    pub attempt: i64,
    /// Over which account.
    pub account: String,
    /// How far it came.
    pub state: String,
    /// What came of it.
    pub outcome: Option<String>,
    /// Why it ended.
    pub hangup_reason: Option<String>,
    /// What the carrier calls it.
    pub carrier_call_id: Option<String>,
    /// When it was dialled.
    pub dialed_at: DateTime<Utc>,
    /// When somebody, or something, answered.
    pub answered_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether anybody's telephone may have rung; see [`Sql::nobody_was_rung`].
    pub rang: bool,
}

/// The claim. A tenant's calls stand in a row of their own; the first of each come before the second of any, and who
/// had many a moment ago comes later. Of an account no more than its pace allows, those that were claimed a moment ago
/// included; `$7` is that moment.
const CLAIM: Claim = claim!(
    WITH "recent AS MATERIALIZED (SELECT tenant, COUNT(*) AS calls FROM calls \
         WHERE account = $4 AND claimed_at > $7 GROUP BY tenant), \
     room AS MATERIALIZED (SELECT $6 - CAST(COALESCE(SUM(calls), 0) AS BIGINT) AS left_over FROM recent), \
     ranked AS MATERIALIZED (SELECT c.tenant AS tenant, c.id AS id, c.due_at AS due_at, \
         COALESCE(r.calls, 0) + ROW_NUMBER() OVER \
             (PARTITION BY c.tenant ORDER BY c.priority, c.due_at, c.id) AS turn \
         FROM calls c LEFT JOIN recent r ON r.tenant = c.tenant \
         WHERE c.account = $4 AND c.state IN ('queued', 'scheduled') AND c.due_at <= $3 \
         AND (c.lease_until IS NULL OR c.lease_until <= $3)), ",
    "SELECT c.tenant, c.id FROM calls c JOIN ranked r ON r.tenant = c.tenant AND r.id = c.id \
     WHERE c.state IN ('queued', 'scheduled') AND c.due_at <= $3 \
     AND (c.lease_until IS NULL OR c.lease_until <= $3) \
     ORDER BY r.turn, r.due_at, c.tenant, c.id \
     LIMIT (SELECT CASE WHEN left_over < 0 THEN 0 WHEN left_over < $5 THEN left_over ELSE $5 END FROM room)"
        OF " OF c",
    "calls SET owner = $1, lease_until = $2, claimed_at = $3, version = version + 1",
    "tenant, id, attempt_number, callee"
);

/// How far back attempts at a number are counted.
const DAY: TimeDelta = TimeDelta::hours(24);

/// All that an attempt may fail for is in the statement that begins it: nothing can have changed between a look at the
/// rules and the carrier's being asked.
const BEGIN: &str = "UPDATE calls SET state = $5, started_at = $6, seen_at = $6, updated_at = $6, due_at = NULL, \
     version = version + 1, carrier_call_id = NULL, answered_at = NULL, ended_at = NULL \
     WHERE tenant = $1 AND id = $2 AND owner = $3 AND attempt_number = $4 AND lease_until > $6 \
     AND state IN ('queued', 'scheduled') AND due_at <= $6 AND callee = $7 \
     AND NOT EXISTS (SELECT 1 FROM do_not_call d WHERE d.tenant = $1 AND d.callee = $7) \
     AND (SELECT COUNT(*) FROM call_attempts a WHERE a.tenant = $1 AND a.callee = $7 AND a.dialed_at > $8) < $9";

impl Sql {
    /// Puts a call in the queue, with what that makes to be done; or says that it is there already, when one with its
    /// `request_key` was put in before. It is claimed from `due_at` on.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`]; [`StoreError::Nul`] for a key with that
    /// character.
    pub async fn enqueue_call(
        &self,
        tenant: &str,
        call: &StoredCall,
        effects: &[NewEffect],
    ) -> Result<Enqueued, StoreError> {
        if call
            .request_key
            .as_deref()
            .is_some_and(|key| key.contains(NUL))
        {
            return Err(StoreError::Nul);
        }
        let details = self.seal_details(tenant, call).await?;
        work!(self, Write, Scope::Tenant(tenant), "put a call in", |on| {
            let created = write_call!(CREATE, tenant, call, &details);
            if created.execute(&mut *on).await?.rows_affected() == 1 {
                put_effects!(on, tenant, effects, call.created_at);
                return Ok(Enqueued::New);
            }
            let known: Option<String> =
                sqlx::query_scalar("SELECT id FROM calls WHERE tenant = $1 AND request_key = $2")
                    .bind(tenant)
                    .bind(&call.request_key)
                    .fetch_optional(on)
                    .await?;
            Ok(known.map_or(Enqueued::Taken, Enqueued::Known))
        })
    }

    /// The id of the call that `tenant` has asked for under the name `request_key`.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn find_request(
        &self,
        tenant: &str,
        request_key: &str,
    ) -> Result<Option<String>, StoreError> {
        if request_key.contains(NUL) {
            return Ok(None);
        }
        let action = "look for a request by its name";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_scalar("SELECT id FROM calls WHERE tenant = $1 AND request_key = $2")
                .bind(tenant)
                .bind(request_key)
                .fetch_optional(on)
                .await
        })
    }

    /// Takes calls of all tenants that are due on one carrier account, as fast as its `pace` allows. Tenants take turns.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn claim_calls(
        &self,
        account: &str,
        pace: Pace,
        lease: Lease<'_>,
    ) -> Result<Vec<ClaimedCall>, StoreError> {
        let claim = self.claim(&CLAIM);
        work!(self, Write, Scope::Dialler, "claim calls", |on| {
            sqlx::query_as(claim)
                .bind(lease.owner)
                .bind(lease.until)
                .bind(lease.now)
                .bind(account)
                .bind(i64::from(lease.limit))
                .bind(i64::from(pace.calls))
                .bind(lease.now - pace.within)
                .fetch_all(on)
                .await
        })
    }

    /// Puts a claimed call back until `due_at`, because it may not be placed now; false when it is not `owner`'s.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn defer_call(
        &self,
        call: &ClaimedCall,
        owner: &str,
        due_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let scope = Scope::Tenant(&call.tenant);
        work!(self, Write, scope, "put a call off", |on| {
            // it was not placed, so that it does not count against the account's pace
            sqlx::query(
                "UPDATE calls SET state = 'scheduled', due_at = $5, scheduled_at = $5, updated_at = $6, \
                 owner = NULL, lease_until = NULL, claimed_at = NULL, version = version + 1 \
                 WHERE tenant = $1 AND id = $2 AND owner = $3 AND attempt_number = $4 \
                 AND state IN ('queued', 'scheduled')",
            )
            .bind(&call.tenant)
            .bind(&call.id)
            .bind(owner)
            .bind(call.attempt)
            .bind(due_at)
            .bind(now)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// Begins an attempt of a claimed call: from here on the carrier may be asked, by whoever got [`Dial::Go`]. Nobody is
    /// dialled before the call is due, when they must not be called, or more than `attempts_a_day` times within 24 hours,
    /// also when several calls to them begin at the same moment.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn begin_attempt(
        &self,
        call: &ClaimedCall,
        owner: &str,
        now: DateTime<Utc>,
        attempts_a_day: u32,
    ) -> Result<Dial, StoreError> {
        let scope = match &call.callee {
            Some(callee) => Scope::Alone(&call.tenant, callee),
            None => Scope::Tenant(&call.tenant),
        };
        work!(self, Write, scope, "begin an attempt", |on| {
            let ours = sqlx::query(BEGIN)
                .bind(&call.tenant)
                .bind(&call.id)
                .bind(owner)
                .bind(call.attempt)
                .bind(CallState::Dialing.name())
                .bind(now)
                .bind(&call.callee)
                .bind(now - DAY)
                .bind(i64::from(attempts_a_day))
                .execute(&mut *on)
                .await?;
            let begun = sqlx::query(
                "INSERT INTO call_attempts (tenant, call, attempt, account, callee, state, dialed_at) \
                 SELECT tenant, id, attempt_number, account, callee, state, $4 FROM calls \
                 WHERE tenant = $1 AND id = $2 AND attempt_number = $3 AND state = 'dialing' \
                 ON CONFLICT (tenant, call, attempt) DO NOTHING",
            )
            .bind(&call.tenant)
            .bind(&call.id)
            .bind(call.attempt)
            .bind(now)
            .execute(&mut *on)
            .await?;
            if ours.rows_affected() == 1 && begun.rows_affected() == 1 {
                return Ok(Dial::Go);
            }
            let there = sqlx::query(
                "SELECT 1 FROM call_attempts WHERE tenant = $1 AND call = $2 AND attempt = $3",
            )
            .bind(&call.tenant)
            .bind(&call.id)
            .bind(call.attempt)
            .fetch_optional(&mut *on)
            .await?;
            if there.is_some() {
                return Ok(Dial::Begun);
            }
            let still_ours = sqlx::query(
                "SELECT 1 FROM calls WHERE tenant = $1 AND id = $2 AND owner = $3 AND attempt_number = $4 \
                 AND lease_until > $5 AND state IN ('queued', 'scheduled')",
            )
            .bind(&call.tenant)
            .bind(&call.id)
            .bind(owner)
            .bind(call.attempt)
            .bind(now)
            .fetch_optional(on)
            .await?;
            Ok(if still_ours.is_some() {
                Dial::Forbidden
            } else {
                Dial::NotOurs
            })
        })
    }

    /// The attempts of a call, in order.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn call_attempts(
        &self,
        tenant: &str,
        call: &str,
    ) -> Result<Vec<CallAttempt>, StoreError> {
        if call.contains(NUL) {
            return Ok(Vec::new());
        }
        let action = "list the attempts of a call";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT attempt, account, state, outcome, hangup_reason, carrier_call_id, dialed_at, answered_at, \
                 ended_at, callee IS NOT NULL AS rang FROM call_attempts WHERE tenant = $1 AND call = $2 ORDER BY attempt",
            )
            .bind(tenant)
            .bind(call)
            .fetch_all(on)
            .await
        })
    }

    /// Notes that an attempt rang nobody, because the carrier did not take it on: it does not count as a call to anybody.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn nobody_was_rung(
        &self,
        (tenant, call, attempt): (&str, &str, i64),
    ) -> Result<(), StoreError> {
        let action = "note that nobody was rung";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "UPDATE call_attempts SET callee = NULL WHERE tenant = $1 AND call = $2 AND attempt = $3",
            )
            .bind(tenant)
            .bind(call)
            .bind(attempt)
            .execute(on)
            .await
            .map(drop)
        })
    }

    /// Notes who answered an attempt, as the carrier judges it; false when the call is at another attempt, or is not there.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn note_answered_by(
        &self,
        (tenant, call, attempt): (&str, &str, i64),
        answered_by: &str,
    ) -> Result<bool, StoreError> {
        let action = "note who answered a call";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "UPDATE calls SET answered_by = $4, version = version + 1 \
                 WHERE tenant = $1 AND id = $2 AND attempt_number = $3",
            )
            .bind(tenant)
            .bind(call)
            .bind(attempt)
            .bind(answered_by)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// Up to `limit` calls of all tenants, as tenant and id, that were to be placed, are not dealt with, and of which nothing
    /// was heard since `before`: dialled, ringing or hung up before anybody answered and nobody told what became of it, or over
    /// and nobody did what follows.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn silent_calls(
        &self,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let action = "find calls of which nothing is heard";
        work!(self, Read, Scope::Maintenance, action, |on| {
            sqlx::query_as(
                "SELECT tenant, id FROM calls WHERE finalized_at IS NULL AND seen_at < $1 \
                 AND direction = 'outbound' \
                 AND (state IN ('dialing', 'ringing', 'ended', 'blocked', 'cancelled') \
                 OR (state = 'ending' AND answered_at IS NULL AND session IS NULL)) \
                 ORDER BY seen_at, tenant, id LIMIT $2",
            )
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(on)
            .await
        })
    }

    /// How often `tenant` has dialled the number behind `callee` since `since`, in all calls to it.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn attempts_since(
        &self,
        tenant: &str,
        callee: &str,
        since: DateTime<Utc>,
    ) -> Result<u32, StoreError> {
        let action = "count calls to a number";
        let count: i64 = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_scalar(
                "SELECT COUNT(*) FROM call_attempts WHERE tenant = $1 AND callee = $2 AND dialed_at > $3",
            )
            .bind(tenant)
            .bind(callee)
            .bind(since)
            .fetch_one(on)
            .await
        })?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
