//! Sessions of the app voice socket: what they came to, what was said in them, what they used.
//! Written by the gateway's voice door as sessions go on; read when a conversation goes on and when a user comes back.
//! Never writes a column in dollars: those are made of the others by the database.

mod said;

pub use said::{VoiceLine, VoiceMessage};

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::FromRow;

use super::outbox::NewEffect;
use super::{Scope, Sql};
use crate::StoreError;

/// Topic of rows that are written elsewhere as well.
pub const MIRROR: &str = "voice.mirror";

/// A session as stored; money in micro-dollars.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct VoiceSession {
    /// As the app knows it, a UUID.
    pub session_id: String,
    /// As everything else here knows it, `sess_…`.
    pub session: String,
    /// Its project.
    pub project: String,
    /// Whose it is.
    pub user_id: String,
    /// The user's tier.
    #[sqlx(skip)]
    pub tier: String,
    /// The conversation that it is part of.
    pub conversation_id: Option<String>,
    /// When its connection was opened.
    pub start_time: DateTime<Utc>,
    /// When it was closed.
    pub end_time: Option<DateTime<Utc>>,
    /// How long it was open.
    pub duration_ms: i64,
    /// Where it is, such as `listening` or `ended`.
    pub status: String,
    /// Utterances that were transcribed.
    pub stt_requests: i64,
    /// Sound of the caller's that was transcribed, in ms.
    pub stt_duration_ms: i64,
    /// Tokens read.
    pub llm_tokens_input: i64,
    /// Tokens written.
    pub llm_tokens_output: i64,
    /// From the end of the caller's speech to the first word, on average, in ms.
    pub llm_latency_ms: i64,
    /// Characters spoken.
    pub tts_characters: i64,
    /// From the first word to the first sound, on average, in ms.
    pub tts_latency_ms: i64,
    /// From the end of the caller's speech to the first sound, on average, in ms.
    pub total_latency_ms: i64,
    /// What hearing cost.
    pub stt_micros: i64,
    /// What thinking cost.
    pub llm_micros: i64,
    /// What speaking cost.
    pub tts_micros: i64,
    /// What all of it cost.
    pub total_micros: i64,
    /// What went wrong last.
    pub error_message: Option<String>,
    /// How often something went wrong.
    pub error_count: i64,
    /// What is known of the app, as JSON.
    pub client_info: String,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
}

/// What a session used, as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct VoiceUsage {
    /// The session.
    pub session_id: String,
    /// Whose it is.
    pub user_id: String,
    /// The user's tier.
    pub tier: String,
    /// Tokens read and written.
    pub tokens_used: i64,
    /// What it cost, in micro-dollars.
    pub cost_micros: i64,
    /// What that is made of, as JSON.
    pub metadata: String,
    /// When it was written first.
    pub created_at: DateTime<Utc>,
}

const PUT_SESSION: &str = "INSERT INTO voice_sessions \
     (tenant, session_id, id, session, project, user_id, conversation_id, start_time, end_time, duration_ms, status, \
     stt_requests, stt_duration_ms, llm_tokens_input, llm_tokens_output, llm_latency_ms, tts_characters, tts_latency_ms, \
     total_latency_ms, stt_micros, llm_micros, tts_micros, total_micros, error_message, error_count, client_info, \
     created_at, updated_at) \
     VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
     $24, $25, $26, $27) \
     ON CONFLICT (tenant, session_id) DO UPDATE SET end_time = $8, duration_ms = $9, status = $10, stt_requests = $11, \
     stt_duration_ms = $12, llm_tokens_input = $13, llm_tokens_output = $14, llm_latency_ms = $15, tts_characters = $16, \
     tts_latency_ms = $17, total_latency_ms = $18, stt_micros = $19, llm_micros = $20, tts_micros = $21, \
     total_micros = $22, error_message = $23, error_count = $24, updated_at = $27";

const PUT_USAGE: &str = "INSERT INTO usage_logs \
     (tenant, session_id, user_id, event, feature, tier, tokens_used, cost_micros, metadata, created_at) \
     VALUES ($1, $2, $3, 'voice_call', 'voice_call', $4, $5, $6, $7, $8) \
     ON CONFLICT (tenant, session_id) DO UPDATE SET tokens_used = $5, cost_micros = $6, metadata = $7";

impl Sql {
    /// Stores a session as it stands, with what it used; over what was stored of it before. `mirrored`: once it has ended,
    /// both are put into the outbox under [`MIRROR`], in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn put_voice_session(
        &self,
        tenant: &str,
        row: &VoiceSession,
        mirrored: bool,
    ) -> Result<(), StoreError> {
        let usage = usage_metadata(row);
        let effects = if mirrored && row.end_time.is_some() {
            session_effects(row)
        } else {
            Vec::new()
        };
        let action = "store a voice session";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(PUT_SESSION)
                .bind(tenant)
                .bind(&row.session_id)
                .bind(&row.session)
                .bind(&row.project)
                .bind(&row.user_id)
                .bind(&row.conversation_id)
                .bind(row.start_time)
                .bind(row.end_time)
                .bind(row.duration_ms)
                .bind(&row.status)
                .bind(row.stt_requests)
                .bind(row.stt_duration_ms)
                .bind(row.llm_tokens_input)
                .bind(row.llm_tokens_output)
                .bind(row.llm_latency_ms)
                .bind(row.tts_characters)
                .bind(row.tts_latency_ms)
                .bind(row.total_latency_ms)
                .bind(row.stt_micros)
                .bind(row.llm_micros)
                .bind(row.tts_micros)
                .bind(row.total_micros)
                .bind(&row.error_message)
                .bind(row.error_count)
                .bind(&row.client_info)
                .bind(row.created_at)
                .bind(row.updated_at)
                .execute(&mut *on)
                .await?;
            sqlx::query(PUT_USAGE)
                .bind(tenant)
                .bind(&row.session_id)
                .bind(&row.user_id)
                .bind(&row.tier)
                .bind(row.llm_tokens_input + row.llm_tokens_output)
                .bind(row.total_micros)
                .bind(&usage)
                .bind(row.created_at)
                .execute(&mut *on)
                .await?;
            put_effects!(on, tenant, &effects, row.updated_at);
            Ok(())
        })
    }

    /// A session and what it used.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn voice_session(
        &self,
        tenant: &str,
        session_id: &str,
    ) -> Result<Option<(VoiceSession, VoiceUsage)>, StoreError> {
        let action = "read a voice session";
        let found = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            let session: Option<VoiceSession> = sqlx::query_as(
                "SELECT * FROM voice_sessions WHERE tenant = $1 AND session_id = $2",
            )
            .bind(tenant)
            .bind(session_id)
            .fetch_optional(&mut *on)
            .await?;
            let usage: Option<VoiceUsage> =
                sqlx::query_as("SELECT * FROM usage_logs WHERE tenant = $1 AND session_id = $2")
                    .bind(tenant)
                    .bind(session_id)
                    .fetch_optional(&mut *on)
                    .await?;
            Ok(session.zip(usage))
        })?;
        Ok(found.map(|(mut session, usage)| {
            session.tier.clone_from(&usage.tier);
            (session, usage)
        }))
    }

    /// What a user's sessions have cost that were written after `since`, in micro-dollars.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn voice_spent(
        &self,
        tenant: &str,
        user: &str,
        since: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let action = "read what a user has spent";
        let micros: i64 = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_scalar(
                "SELECT CAST(COALESCE(SUM(total_micros), 0) AS BIGINT) FROM voice_sessions \
                 WHERE tenant = $1 AND user_id = $2 AND updated_at >= $3",
            )
            .bind(tenant)
            .bind(user)
            .bind(since)
            .fetch_one(on)
            .await
        })?;
        Ok(micros.max(0).unsigned_abs())
    }

    /// Ends the sessions of `tenant` that nobody has written since `before`: whoever had them has died. How many.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn end_lost_voice_sessions(
        &self,
        tenant: &str,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let action = "end lost voice sessions";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "UPDATE voice_sessions SET status = 'error', end_time = updated_at, error_count = error_count + 1, \
                 error_message = 'the server that had this session stopped without a word' \
                 WHERE tenant = $1 AND end_time IS NULL AND updated_at < $2",
            )
            .bind(tenant)
            .bind(before)
            .execute(on)
            .await
            .map(|done| done.rows_affected())
        })
    }
}

fn usage_metadata(row: &VoiceSession) -> String {
    json!({
        "session_id": row.session_id,
        "conversation_id": row.conversation_id,
        "stt_duration_ms": row.stt_duration_ms,
        "tts_characters": row.tts_characters,
        "llm_input_tokens": row.llm_tokens_input,
        "llm_output_tokens": row.llm_tokens_output,
        "duration_ms": row.duration_ms,
    })
    .to_string()
}

/// The session and its usage are written elsewhere once it has ended, and again when late work has changed them.
fn session_effects(row: &VoiceSession) -> Vec<NewEffect> {
    let effect = |table: &str| {
        let mut effect = effect(table, &row.session_id, row.updated_at);
        // what was put in before may have been read before this change
        effect.id = format!("{}:{}", effect.id, row.updated_at.timestamp_micros());
        effect
    };
    vec![effect("voice_sessions"), effect("usage_logs")]
}

/// A row that is to be written elsewhere: its name, and not what is in it.
fn effect(table: &str, id: &str, due_at: DateTime<Utc>) -> NewEffect {
    NewEffect {
        id: format!("voice:{table}:{id}"),
        topic: MIRROR.to_owned(),
        payload: json!({ "table": table, "id": id }).to_string(),
        due_at,
    }
}
