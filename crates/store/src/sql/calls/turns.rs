//! What was said in a call, turn by turn, as it was said.
//! Written by the gateway's telephony as turns end; read by the summary and the REST routes.
//! Never changes a turn that is there.

use sqlx::FromRow;

use super::spot;
use crate::StoreError;
use crate::sql::{Scope, Sql};

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
    /// Its number, from 1, in later attempts from [`turns_before`] on; one that is there already is not added again.
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

/// Turns of one attempt at most: with each attempt their numbers begin so much higher, so that none meets one of another.
const OF_ATTEMPT: i64 = 1 << 20;

/// The number before the first turn of an attempt.
pub const fn turns_before(attempt: i64) -> i64 {
    if attempt > 1 {
        (attempt - 1) * OF_ATTEMPT
    } else {
        0
    }
}

impl Sql {
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

    /// What was said in a call, in order, in all attempts.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn call_turns(
        &self,
        tenant: &str,
        call: &str,
    ) -> Result<Vec<StoredTurn>, StoreError> {
        self.turns((tenant, call), 0, i64::MAX).await
    }

    /// What was said in one attempt of a call, in order.
    ///
    /// # Errors
    /// As [`Sql::call_turns`].
    pub async fn attempt_turns(
        &self,
        (tenant, call, attempt): (&str, &str, i64),
    ) -> Result<Vec<StoredTurn>, StoreError> {
        let (before, last) = (turns_before(attempt), turns_before(attempt + 1));
        self.turns((tenant, call), before, last).await
    }

    async fn turns(
        &self,
        (tenant, call): (&str, &str),
        before: i64,
        last: i64,
    ) -> Result<Vec<StoredTurn>, StoreError> {
        let action = "read what was said in a call";
        let mut turns: Vec<StoredTurn> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT seq, role, item, started_ms, ended_ms, interrupted, source, content \
                 FROM call_turns WHERE tenant = $1 AND call = $2 AND seq > $3 AND seq <= $4 ORDER BY seq",
            )
            .bind(tenant)
            .bind(call)
            .bind(before)
            .bind(last)
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
}
