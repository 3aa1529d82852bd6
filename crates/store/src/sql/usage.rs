//! The table of usage: what providers were made to do, piece by piece, and its sums.
//! Written through the journal (`super::changes`); read by the gateway's metering and its usage routes.
//! Never writes a piece twice, and never holds a word of what was said.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use engine::meter::{Cost, Units};

use super::{Scope, Sql};
use crate::{NUL, StoreError};

/// Pieces of one session that are read: an hour of quick conversation has a fraction of that.
const PIECES: i64 = 20_000;

/// The sums of a group, without what it is a group of.
macro_rules! sums {
    () => {
        "CAST(SUM(audio_ms) AS BIGINT) AS audio_ms, CAST(SUM(characters) AS BIGINT) AS characters, \
         CAST(SUM(speech_ms) AS BIGINT) AS speech_ms, CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, \
         CAST(SUM(cached_tokens) AS BIGINT) AS cached_tokens, CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, \
         CAST(SUM(audio_input_tokens) AS BIGINT) AS audio_input_tokens, \
         CAST(SUM(audio_cached_tokens) AS BIGINT) AS audio_cached_tokens, \
         CAST(SUM(audio_output_tokens) AS BIGINT) AS audio_output_tokens, \
         CAST(SUM(tool_calls) AS BIGINT) AS tool_calls, CAST(SUM(tool_ms) AS BIGINT) AS tool_ms, \
         SUM(CASE WHEN estimated THEN 1 ELSE 0 END) > 0 AS estimated, \
         CASE WHEN COUNT(*) = COUNT(cost_pico) THEN CAST(SUM(cost_pico) AS BIGINT) END AS cost_pico \
         FROM usage"
    };
}

const BY_TENANT: &str = concat!(
    "SELECT tenant, '' AS project, '' AS stage, '' AS provider, '' AS model, ",
    sums!(),
    " WHERE at >= $2 AND at < $3 AND ($1 = '' OR tenant = $1) GROUP BY tenant ORDER BY tenant"
);

const BY_PROJECT: &str = concat!(
    "SELECT tenant, project, '' AS stage, '' AS provider, '' AS model, ",
    sums!(),
    " WHERE tenant = $1 AND at >= $2 AND at < $3 GROUP BY tenant, project ORDER BY project"
);

const BY_MODEL: &str = concat!(
    "SELECT tenant, '' AS project, stage, provider, model, ",
    sums!(),
    " WHERE tenant = $1 AND at >= $2 AND at < $3 \
     GROUP BY tenant, stage, provider, model ORDER BY stage, provider, model"
);

/// A piece of work, on its way to the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// Who counted it: drawn when a process begins to count a session.
    pub run: String,
    /// Counted by that from 1; with `run` it names the piece.
    pub number: u64,
    /// The session's project.
    pub project: String,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// The session's turn, counted from 1.
    pub turn: u32,
    /// `stt`, `llm`, `tts`, `duplex` or `tool`.
    pub stage: String,
    /// Its name in the configuration.
    pub provider: String,
    /// Its model; empty where there is only one.
    pub model: String,
    /// Model name as the session's client asked for it.
    pub wanted: String,
    /// Name of the session's pipeline.
    pub pipeline: String,
    /// Version of the price table.
    pub prices: String,
    /// What was done.
    pub units: Units,
    /// What it costs, in millionths of a micro-dollar; `None` where nobody has told the price.
    pub cost_pico: Option<u64>,
}

#[derive(Debug, Clone, FromRow)]
struct UnitsRow {
    audio_ms: i64,
    characters: i64,
    speech_ms: i64,
    input_tokens: i64,
    cached_tokens: i64,
    output_tokens: i64,
    audio_input_tokens: i64,
    audio_cached_tokens: i64,
    audio_output_tokens: i64,
    tool_calls: i64,
    tool_ms: i64,
    estimated: bool,
    cost_pico: Option<i64>,
}

impl UnitsRow {
    const fn units(&self) -> Units {
        Units {
            audio_ms: self.audio_ms.unsigned_abs(),
            characters: self.characters.unsigned_abs(),
            speech_ms: self.speech_ms.unsigned_abs(),
            input_tokens: self.input_tokens.unsigned_abs(),
            cached_tokens: self.cached_tokens.unsigned_abs(),
            output_tokens: self.output_tokens.unsigned_abs(),
            audio_input_tokens: self.audio_input_tokens.unsigned_abs(),
            audio_cached_tokens: self.audio_cached_tokens.unsigned_abs(),
            audio_output_tokens: self.audio_output_tokens.unsigned_abs(),
            tool_calls: self.tool_calls.unsigned_abs(),
            tool_ms: self.tool_ms.unsigned_abs(),
            estimated: self.estimated,
        }
    }

    fn cost(&self) -> Option<Cost> {
        let pico = self.cost_pico?;
        Some(Cost::from_pico_dollars(pico.unsigned_abs()))
    }
}

#[derive(Debug, Clone, FromRow)]
struct PieceRow {
    run: String,
    at: DateTime<Utc>,
    turn: i64,
    response: Option<String>,
    stage: String,
    provider: String,
    model: String,
    wanted: String,
    pipeline: String,
    prices: String,
    #[sqlx(flatten)]
    work: UnitsRow,
}

/// A piece of work as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPiece {
    /// Who counted it.
    pub run: String,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// The session's turn.
    pub turn: u32,
    /// The response that ended it, where that is known.
    pub response: Option<String>,
    /// `stt`, `llm`, `tts`, `duplex` or `tool`.
    pub stage: String,
    /// Its name in the configuration.
    pub provider: String,
    /// Its model; empty where there is only one.
    pub model: String,
    /// Model name as the session's client asked for it.
    pub wanted: String,
    /// Name of the session's pipeline.
    pub pipeline: String,
    /// Version of the price table.
    pub prices: String,
    /// What was done.
    pub units: Units,
    /// What it costs, where that is known.
    pub cost: Option<Cost>,
}

#[derive(Debug, Clone, FromRow)]
struct SumRow {
    tenant: String,
    project: String,
    stage: String,
    provider: String,
    model: String,
    #[sqlx(flatten)]
    work: UnitsRow,
}

/// What a group of pieces comes to; what it is no group of is empty.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageSum {
    /// Whose.
    pub tenant: String,
    /// Of this project.
    pub project: String,
    /// Of this stage.
    pub stage: String,
    /// Of this provider.
    pub provider: String,
    /// Of this model.
    pub model: String,
    /// What was done.
    pub units: Units,
    /// What it costs; `None` where the price of any part is missing.
    pub cost: Option<Cost>,
}

/// What usage is summed up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageGroup {
    /// Tenants; of one tenant a single sum.
    Tenant,
    /// The projects of a tenant.
    Project,
    /// Stage, provider and model.
    Model,
}

/// From when on, and until when.
pub type Span = (DateTime<Utc>, DateTime<Utc>);

impl Sql {
    /// What a session of `tenant` used, in no order; at most 20,000 pieces.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn session_usage(
        &self,
        tenant: &str,
        session: &str,
    ) -> Result<Vec<StoredPiece>, StoreError> {
        if session.contains(NUL) {
            return Ok(Vec::new());
        }
        let action = "read what a session used";
        let rows: Vec<PieceRow> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT run, at, turn, response, stage, provider, model, wanted, pipeline, prices, \
                 audio_ms, characters, speech_ms, input_tokens, cached_tokens, output_tokens, audio_input_tokens, \
                 audio_cached_tokens, audio_output_tokens, tool_calls, tool_ms, estimated, cost_pico \
                 FROM usage WHERE tenant = $1 AND session = $2 LIMIT $3",
            )
            .bind(tenant)
            .bind(session)
            .bind(PIECES)
            .fetch_all(on)
            .await
        })?;
        let piece = |row: PieceRow| StoredPiece {
            run: row.run,
            at: row.at,
            turn: u32::try_from(row.turn).unwrap_or(u32::MAX),
            response: row.response,
            stage: row.stage,
            provider: row.provider,
            model: row.model,
            wanted: row.wanted,
            pipeline: row.pipeline,
            prices: row.prices,
            units: row.work.units(),
            cost: row.work.cost(),
        };
        Ok(rows.into_iter().map(piece).collect())
    }

    /// What `tenant` used in that time; of all tenants with `None`, which is for [`UsageGroup::Tenant`] alone and gives
    /// nothing with the others.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn usage_sums(
        &self,
        tenant: Option<&str>,
        (from, to): Span,
        group: UsageGroup,
    ) -> Result<Vec<UsageSum>, StoreError> {
        let text = match group {
            UsageGroup::Tenant => BY_TENANT,
            UsageGroup::Project => BY_PROJECT,
            UsageGroup::Model => BY_MODEL,
        };
        let scope = tenant.map_or(Scope::Maintenance, Scope::Tenant);
        let rows: Vec<SumRow> = work!(self, Read, scope, "sum up what was used", |on| {
            sqlx::query_as(text)
                .bind(tenant.unwrap_or_default())
                .bind(from)
                .bind(to)
                .fetch_all(on)
                .await
        })?;
        let sum = |row: SumRow| UsageSum {
            tenant: row.tenant,
            project: row.project,
            stage: row.stage,
            provider: row.provider,
            model: row.model,
            units: row.work.units(),
            cost: row.work.cost(),
        };
        Ok(rows.into_iter().map(sum).collect())
    }
}

/// Binds what a piece has to a query, behind its session.
macro_rules! bind_piece {
    ($query:expr, $session:expr, $piece:expr) => {{
        let piece: &$crate::sql::usage::Piece = $piece;
        let units = &piece.units;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        $query
            .bind($session)
            .bind(&piece.run)
            .bind(count(piece.number))
            .bind(&piece.project)
            .bind(piece.at)
            .bind(i64::from(piece.turn))
            .bind(&piece.stage)
            .bind(&piece.provider)
            .bind(&piece.model)
            .bind(&piece.wanted)
            .bind(&piece.pipeline)
            .bind(&piece.prices)
            .bind(count(units.audio_ms))
            .bind(count(units.characters))
            .bind(count(units.speech_ms))
            .bind(count(units.input_tokens))
            .bind(count(units.cached_tokens))
            .bind(count(units.output_tokens))
            .bind(count(units.audio_input_tokens))
            .bind(count(units.audio_cached_tokens))
            .bind(count(units.audio_output_tokens))
            .bind(count(units.tool_calls))
            .bind(count(units.tool_ms))
            .bind(units.estimated)
            .bind(piece.cost_pico.map(count))
    }};
}
