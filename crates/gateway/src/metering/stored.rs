//! Usage on its way to the database and back: pieces of work through the journal, and what a session used of all that.
//! Written by [`super::Meter`]; read by `GET /v1/sessions/{id}/usage`.
//! Never waits for the disk or the database where work is counted.

use chrono::{DateTime, Utc};
use engine::meter::Cost;
use store::{Change, Entry, Journal, Piece, SessionKey, StoreError, StoredPiece};
use wire::rest::usage::SessionUsage;

use super::Used;
use super::ledger::{Counter, Ledger, Opening};
use crate::App;
use crate::auth::key_text;
use crate::clock::Clock;

/// Random characters in the name of a count.
const RUN: usize = 16;

/// Where pieces of work are handed in.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    journal: Journal,
    clock: Clock,
}

impl Desk {
    pub(super) const fn new(journal: Journal, clock: Clock) -> Self {
        Self { journal, clock }
    }

    /// A count that no other process has.
    pub(super) fn counter(&self) -> Counter {
        let drawn = key_text::random_text(RUN);
        // without the system's randomness the clock keeps counts of one session apart
        let run = drawn.unwrap_or_else(|_| self.clock.utc().timestamp_micros().to_string());
        Counter { run, number: 0 }
    }

    /// The next piece of a session.
    pub(super) fn piece(
        &self,
        ledger: &mut Ledger,
        used: &Used<'_>,
        cost: Option<Cost>,
        prices: &str,
    ) -> Entry {
        ledger.counter.number += 1;
        let piece = Piece {
            run: ledger.counter.run.clone(),
            number: ledger.counter.number,
            project: ledger.opening.project.clone(),
            at: self.clock.utc(),
            turn: used.turn,
            stage: used.stage.to_owned(),
            provider: used.provider.to_owned(),
            model: used.model.to_owned(),
            wanted: ledger.opening.model.clone(),
            pipeline: ledger.opening.pipeline.clone(),
            prices: prices.to_owned(),
            units: used.units,
            cost_pico: cost.map(Cost::pico_dollars),
        };
        entry(ledger, used.session, Change::Used(Box::new(piece)))
    }

    /// A turn of a session and the response that ended it.
    pub(super) fn answered(ledger: &Ledger, session: &str, turn: u32, response: &str) -> Entry {
        let change = Change::Answered {
            run: ledger.counter.run.clone(),
            turn,
            response: response.to_owned(),
        };
        entry(ledger, session, change)
    }

    pub(super) fn post(&self, entry: &Entry) {
        self.journal.post(entry);
    }
}

fn entry(ledger: &Ledger, session: &str, change: Change) -> Entry {
    let opening = &ledger.opening;
    Entry {
        session: SessionKey::new(&opening.tenant, session, since(opening.started_at)),
        // a piece of work has its own number
        revision: 0,
        change,
    }
}

fn since(unix_s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(unix_s, 0).unwrap_or_default()
}

/// What a session of `tenant` used, wherever it was counted; `None` when there is no such session. A database that is
/// away hides only what others counted of a session that this process knows.
///
/// # Errors
/// [`StoreError`] for a session that this process does not know.
pub(crate) async fn session_usage(
    app: &App,
    tenant: &str,
    session: &str,
) -> Result<Option<SessionUsage>, StoreError> {
    let known = app.meter.ledger(tenant, session);
    let mut pieces = match app.store.sql.session_usage(tenant, session).await {
        Ok(pieces) => pieces,
        Err(error) if known.is_some() => {
            tracing::warn!(%error, "cannot read what a session used elsewhere");
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    let mut prices = app.meter.0.prices.version.clone();
    let mut ledger = if let Some(known) = known {
        known
    } else {
        let Some(opening) = opening(app, (tenant, session), &pieces).await? else {
            return Ok(None);
        };
        if let Some(piece) = pieces.first() {
            prices.clone_from(&piece.prices);
        }
        Ledger::new(opening)
    };
    // what this process counted is in its ledger already
    pieces.retain(|piece| piece.run != ledger.counter.run);
    pieces.sort_by_key(|piece| piece.turn);
    for piece in &pieces {
        ledger.enter(&used(session, piece), piece.cost);
        if let Some(response) = &piece.response {
            ledger.name_turn(piece.turn, response);
        }
    }
    Ok(Some(ledger.show(session, &prices)))
}

/// How a session began that this process does not know.
async fn opening(
    app: &App,
    (tenant, session): (&str, &str),
    pieces: &[StoredPiece],
) -> Result<Option<Opening>, StoreError> {
    let stored = app.store.sql.find_session(tenant, session).await?;
    let first = pieces.iter().min_by_key(|piece| piece.at);
    let started_at = stored.as_ref().map(|stored| stored.started_at);
    let Some(started_at) = started_at.or(first.map(|piece| piece.at)) else {
        return Ok(None);
    };
    let wanted = first.map(|piece| piece.wanted.clone());
    Ok(Some(Opening {
        tenant: tenant.to_owned(),
        project: String::new(),
        model: wanted
            .or(stored.map(|stored| stored.model))
            .unwrap_or_default(),
        pipeline: first.map_or_else(String::new, |piece| piece.pipeline.clone()),
        started_at: started_at.timestamp(),
    }))
}

fn used<'a>(session: &'a str, piece: &'a StoredPiece) -> Used<'a> {
    let stages = ["stt", "llm", "tts", "duplex", "tool"];
    let stage = stages.into_iter().find(|stage| *stage == piece.stage);
    Used {
        session,
        turn: piece.turn,
        // written by a later build
        stage: stage.unwrap_or("other"),
        provider: &piece.provider,
        model: &piece.model,
        units: piece.units,
    }
}
