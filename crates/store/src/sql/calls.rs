//! The table of telephone calls and what was said in them, turn by turn.
//! Written and read by the gateway's telephony.
//! Never ends a call twice, and never writes over a change that it has not seen.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

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

/// Who speaks in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The person on the telephone.
    Caller,
    /// The agent.
    Agent,
}

impl Speaker {
    /// As it is stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
        }
    }
}

/// A turn to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTurn<'a> {
    /// Its number, from 1; one that is there already is not added again.
    pub seq: i64,
    /// Who spoke.
    pub speaker: Speaker,
    /// The conversation's item, `item_…`.
    pub item: &'a str,
    /// Since the call's start, in ms.
    pub started_ms: i64,
    /// Since the call's start, in ms.
    pub ended_ms: i64,
    /// Whether the other one broke in.
    pub interrupted: bool,
    /// Who says what was said: `stt`, `tts` or `model`.
    pub source: &'a str,
    /// What was said.
    pub text: &'a str,
}

/// A turn as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredTurn {
    /// Its number.
    pub seq: i64,
    /// `caller` or `agent`.
    pub role: String,
    /// The conversation's item.
    pub item: String,
    /// Since the call's start, in ms.
    pub started_ms: i64,
    /// Since the call's start, in ms.
    pub ended_ms: i64,
    /// Whether the other one broke in.
    pub interrupted: bool,
    /// Who says what was said.
    pub source: String,
    /// What was said.
    pub content: Vec<u8>,
}

/// Writes every column that changes in a call's life; `$statement` names them from `$3` on.
macro_rules! write_call {
    ($statement:expr, $tenant:expr, $call:expr, $details:expr) => {
        sqlx::query($statement)
            .bind($tenant)
            .bind(&$call.id)
            .bind(&$call.project)
            .bind(&$call.provider)
            .bind(&$call.carrier_call_id)
            .bind(&$call.stream_id)
            .bind(&$call.session)
            .bind(&$call.direction)
            .bind(&$call.state)
            .bind(&$call.carrier_status)
            .bind(&$call.outcome)
            .bind(&$call.hangup_reason)
            .bind(&$call.hangup_by)
            .bind(&$call.answered_by)
            .bind($call.attempt_number)
            .bind(&$call.error_message)
            .bind(&$call.agent)
            .bind(&$call.lead)
            .bind(&$call.business)
            .bind(&$call.consumer)
            .bind(&$call.initiator)
            .bind(&$call.prompt_version)
            .bind(&$call.interest)
            .bind(&$call.summary_status)
            .bind($call.appointment_at)
            .bind($call.quote_micros)
            .bind($call.estimated_micros)
            .bind($call.actual_micros)
            .bind(&$call.cost_parts)
            .bind(&$call.recording_url)
            .bind($details)
            .bind($call.created_at)
            .bind($call.updated_at)
            .bind($call.scheduled_at)
            .bind($call.started_at)
            .bind($call.answered_at)
            .bind($call.ended_at)
            .bind($call.seen_at)
            .bind($call.version)
    };
}

const CREATE: &str = "INSERT INTO calls \
     (tenant, id, project, provider, carrier_call_id, stream_id, session, direction, state, carrier_status, outcome, \
     hangup_reason, hangup_by, answered_by, attempt_number, error_message, agent, lead, business, consumer, initiator, \
     prompt_version, interest, summary_status, appointment_at, quote_micros, estimated_micros, actual_micros, cost_parts, \
     recording_url, details, created_at, updated_at, scheduled_at, started_at, answered_at, ended_at, seen_at, version) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
     $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39) \
     ON CONFLICT DO NOTHING";

const UPDATE: &str = "UPDATE calls SET project = $3, provider = $4, carrier_call_id = $5, stream_id = $6, session = $7, \
     direction = $8, state = $9, carrier_status = $10, outcome = $11, hangup_reason = $12, hangup_by = $13, \
     answered_by = $14, attempt_number = $15, error_message = $16, agent = $17, lead = $18, business = $19, \
     consumer = $20, initiator = $21, prompt_version = $22, interest = $23, summary_status = $24, appointment_at = $25, \
     quote_micros = $26, estimated_micros = $27, actual_micros = $28, cost_parts = $29, recording_url = $30, \
     details = $31, created_at = $32, updated_at = $33, scheduled_at = $34, started_at = $35, answered_at = $36, \
     ended_at = $37, seen_at = $38, version = $39 + 1 \
     WHERE tenant = $1 AND id = $2 AND version = $39";

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

    /// Finally deals with a call: true for the first who asks, whose `effects` are put in; false for everybody after.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn finalize_call(
        &self,
        tenant: &str,
        id: &str,
        effects: &[NewEffect],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        if id.contains(NUL) {
            return Ok(false);
        }
        work!(self, Write, Scope::Tenant(tenant), "end a call", |on| {
            let ended = sqlx::query(
                "UPDATE calls SET finalized_at = $3, updated_at = $3, version = version + 1 \
                 WHERE tenant = $1 AND id = $2 AND finalized_at IS NULL",
            )
            .bind(tenant)
            .bind(id)
            .bind(now)
            .execute(&mut *on)
            .await?;
            if ended.rows_affected() != 1 {
                return Ok(false);
            }
            put_effects!(on, tenant, effects, now);
            Ok(true)
        })
    }

    /// Says that a call is still looked after; false when it was finally dealt with, or is not there.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn touch_call(
        &self,
        tenant: &str,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        work!(self, Write, Scope::Tenant(tenant), "touch a call", |on| {
            sqlx::query(
                "UPDATE calls SET seen_at = $3 WHERE tenant = $1 AND id = $2 AND finalized_at IS NULL",
            )
            .bind(tenant)
            .bind(id)
            .bind(now)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
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

    /// Adds a turn; false when there is one of this number, or no such call.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn add_call_turn(
        &self,
        tenant: &str,
        call: &str,
        turn: &CallTurn<'_>,
    ) -> Result<bool, StoreError> {
        let number = turn.seq.to_string();
        let row = [call, number.as_str()];
        let content = self
            .seal(spot(tenant, "call_turns", &row), turn.text)
            .await?;
        work!(self, Write, Scope::Tenant(tenant), "add a turn", |on| {
            sqlx::query(
                "INSERT INTO call_turns \
                 (tenant, call, seq, role, item, started_ms, ended_ms, interrupted, source, content) \
                 SELECT tenant, id, $3, $4, $5, $6, $7, $8, $9, $10 FROM calls WHERE tenant = $1 AND id = $2 \
                 ON CONFLICT (tenant, call, seq) DO NOTHING",
            )
            .bind(tenant)
            .bind(call)
            .bind(turn.seq)
            .bind(turn.speaker.name())
            .bind(turn.item)
            .bind(turn.started_ms)
            .bind(turn.ended_ms)
            .bind(turn.interrupted)
            .bind(turn.source)
            .bind(&content)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// What was said in a call, in order.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn call_turns(
        &self,
        tenant: &str,
        call: &str,
    ) -> Result<Vec<StoredTurn>, StoreError> {
        let action = "read what was said in a call";
        let mut turns: Vec<StoredTurn> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT seq, role, item, started_ms, ended_ms, interrupted, source, content \
                 FROM call_turns WHERE tenant = $1 AND call = $2 ORDER BY seq",
            )
            .bind(tenant)
            .bind(call)
            .fetch_all(on)
            .await
        })?;
        for turn in &mut turns {
            let number = turn.seq.to_string();
            let row = [call, number.as_str()];
            let stored = std::mem::take(&mut turn.content);
            turn.content = self
                .unseal(spot(tenant, "call_turns", &row), stored)
                .await?;
        }
        Ok(turns)
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
const fn spot<'a>(tenant: &'a str, table: &'static str, row: &'a [&'a str]) -> Spot<'a> {
    Spot { tenant, table, row }
}
