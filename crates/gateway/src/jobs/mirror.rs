//! Writes the rows of voice sessions to a Supabase project as well, where that is wished.
//! Runs in every server; what one has claimed no other writes at the same time.
//! Never writes a row that is not stored here, and never gives up because the project is away for an hour.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};
use store::sql::voice::MIRROR;
use store::{Effect, Retries, VoiceMessage, VoiceSession, VoiceUsage};

use crate::App;
use crate::auth::chain;
use crate::edge::voice::{Supabase, SupabaseError};

/// Between two looks for work.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rows that are claimed at once.
const BATCH: u32 = 32;
/// Whoever has claimed rows has them for so long.
const LEASE: TimeDelta = TimeDelta::minutes(2);
/// About two days, with the longest pause between most of the tries.
const RETRIES: Retries = Retries {
    first: TimeDelta::seconds(2),
    longest: TimeDelta::minutes(30),
    tries: 100,
};
/// What would be refused again is tried so often: somebody may mend the table meanwhile.
const REFUSED_RETRIES: Retries = Retries {
    first: TimeDelta::minutes(1),
    longest: TimeDelta::minutes(30),
    tries: 5,
};

/// Which row an effect is about.
#[derive(Deserialize)]
struct Named {
    table: String,
    id: String,
}

pub(super) async fn run(app: Arc<App>) {
    let Some(supabase) = &app.voice.supabase else {
        return;
    };
    let owner = format!("mirror-{:032x}", app.seed());
    loop {
        let claimed = {
            let now = app.clock.utc();
            let claim = app
                .store
                .sql
                .claim_effects((MIRROR, &owner), now, now + LEASE, BATCH);
            claim.await
        };
        let effects = claimed.unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "cannot look for rows to mirror");
            Vec::new()
        });
        for effect in &effects {
            done(&app, &owner, effect, write(&app, supabase, effect).await).await;
        }
        if effects.is_empty() {
            tokio::select! {
                () = app.lifecycle.soft().cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        } else if app.lifecycle.stopping() {
            return;
        }
    }
}

/// Says what became of an effect.
async fn done(app: &App, owner: &str, effect: &Effect, written: Result<(), SupabaseError>) {
    let (sql, now) = (&app.store.sql, app.clock.utc());
    let noted = match written {
        Ok(()) => sql.effect_done(effect, owner, now).await.map(drop),
        Err(error) => {
            let retries = match error {
                SupabaseError::Unreachable(_) => RETRIES,
                SupabaseError::Refused(_) => REFUSED_RETRIES,
            };
            tracing::warn!(%error, tries = effect.tries, "cannot mirror a row of a voice session");
            let problem = error.to_string();
            sql.effect_failed((effect, owner), &problem, now, retries)
                .await
                .map(drop)
        }
    };
    if let Err(error) = noted {
        tracing::warn!(error = %chain(&error), "cannot note what became of a mirrored row");
    }
}

/// Writes one row.
async fn write(app: &App, supabase: &Supabase, effect: &Effect) -> Result<(), SupabaseError> {
    let unreadable = |reason: String| SupabaseError::Unreachable(reason);
    let named: Named =
        serde_json::from_str(&effect.payload).map_err(|error| unreadable(error.to_string()))?;
    let sql = &app.store.sql;
    let (key, row) = match named.table.as_str() {
        "messages" => {
            let found = sql.voice_message(&effect.tenant, &named.id).await;
            let found = found.map_err(|error| unreadable(chain(&error)))?;
            ("id", found.as_ref().map(message))
        }
        table => {
            let found = sql.voice_session(&effect.tenant, &named.id).await;
            let found = found.map_err(|error| unreadable(chain(&error)))?;
            match (table, found) {
                ("voice_sessions", Some((row, _))) => ("session_id", Some(session(&row))),
                ("usage_logs", Some((_, usage))) => ("id", Some(usage_log(&usage))),
                _ => ("id", None),
            }
        }
    };
    // what was removed here in the meantime is not written there
    let Some(row) = row else { return Ok(()) };
    supabase.write(&named.table, key, &row).await
}

fn dollars(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}

fn message(message: &VoiceMessage) -> Value {
    let metadata: Value = serde_json::from_str(&message.metadata()).unwrap_or_default();
    json!({
        "id": message.id,
        "conversation_id": message.conversation_id,
        "user_id": message.user_id,
        "role": message.role,
        "content": message.content,
        "type": "text",
        "metadata": metadata,
        "created_at": message.created_at,
    })
}

fn session(row: &VoiceSession) -> Value {
    let client: Value = serde_json::from_str(&row.client_info).unwrap_or_default();
    json!({
        "session_id": row.session_id,
        "user_id": row.user_id,
        "conversation_id": row.conversation_id,
        "start_time": row.start_time,
        "end_time": row.end_time,
        "duration_ms": row.duration_ms,
        "status": row.status,
        "stt_requests": row.stt_requests,
        "stt_duration_ms": row.stt_duration_ms,
        "llm_tokens_input": row.llm_tokens_input,
        "llm_tokens_output": row.llm_tokens_output,
        "llm_latency_ms": row.llm_latency_ms,
        "tts_characters": row.tts_characters,
        "tts_latency_ms": row.tts_latency_ms,
        "total_latency_ms": row.total_latency_ms,
        "stt_cost": dollars(row.stt_micros),
        "llm_cost": dollars(row.llm_micros),
        "tts_cost": dollars(row.tts_micros),
        "total_cost": dollars(row.total_micros),
        "estimated_cost": dollars(row.total_micros),
        "error_message": row.error_message,
        "error_count": row.error_count,
        "client_info": client,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    })
}

fn usage_log(usage: &VoiceUsage) -> Value {
    let metadata: Value = serde_json::from_str(&usage.metadata).unwrap_or_default();
    json!({
        // one row a session, however often it is written
        "id": usage.session_id,
        "user_id": usage.user_id,
        "event": "voice_call",
        "feature": "voice_call",
        "tier": usage.tier,
        "tokens_used": usage.tokens_used,
        "estimated_cost": dollars(usage.cost_micros),
        "metadata": metadata,
        "created_at": usage.created_at,
    })
}
