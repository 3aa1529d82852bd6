//! One session's usage: in all, by provider, and turn by turn.
//! Kept by [`super::Meter`] while the session runs and for a while after.
//! Never grows without bound: the oldest turns are forgotten, their sum is not.

use std::collections::{BTreeMap, VecDeque};

use engine::meter::{Cost, Units};
use providers::guarded::Stage;
use wire::rest::usage::{ProviderUsage, SessionUsage, TurnUsage, UsedUnits};

use super::Used;

/// Turns that are shown one by one; an hour of quick conversation.
const TURNS: usize = 500;
/// Providers and models shown one by one; what comes after is in the sum only.
const LINES: usize = 64;

/// What is known when a session begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Whose it is.
    pub tenant: String,
    /// The tenant's project.
    pub project: String,
    /// Model name as the client asked for it.
    pub model: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Unix seconds.
    pub started_at: i64,
}

/// Units with what they cost.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    units: Units,
    cost: Cost,
    /// Part of it has no price.
    unpriced: bool,
}

impl Sum {
    fn add(&mut self, units: Units, cost: Option<Cost>) {
        self.units += units;
        match cost {
            Some(cost) => self.cost += cost,
            None => self.unpriced = true,
        }
    }

    fn micro_dollars(&self) -> Option<u64> {
        (!self.unpriced).then(|| self.cost.micro_dollars())
    }
}

/// Names the pieces of work that one process counts of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    /// Drawn when the ledger is opened.
    pub(super) run: String,
    /// The last number.
    pub(super) number: u64,
}

#[derive(Debug, Clone)]
struct Turn {
    number: u32,
    response: Option<String>,
    sum: Sum,
}

/// The ledger of one session.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) opening: Opening,
    /// What pieces of work are numbered by, where they are stored.
    pub(super) counter: Counter,
    total: Sum,
    lines: BTreeMap<(&'static str, String, String), Sum>,
    turns: VecDeque<Turn>,
}

impl Ledger {
    pub(super) fn new(opening: Opening) -> Self {
        Self {
            opening,
            counter: Counter::default(),
            total: Sum::default(),
            lines: BTreeMap::new(),
            turns: VecDeque::new(),
        }
    }

    pub(super) fn tenant(&self) -> &str {
        &self.opening.tenant
    }

    pub(super) fn enter(&mut self, used: &Used<'_>, cost: Option<Cost>) {
        self.total.add(used.units, cost);
        let line = (used.stage, used.provider.to_owned(), used.model.to_owned());
        if self.lines.len() < LINES || self.lines.contains_key(&line) {
            self.lines.entry(line).or_default().add(used.units, cost);
        }
        if let Some(turn) = self.turn(used.turn) {
            turn.sum.add(used.units, cost);
        }
    }

    pub(super) fn name_turn(&mut self, number: u32, response: &str) {
        // responses beside the conversation belong to a turn without ending it
        if let Some(turn) = self.turn(number)
            && turn.response.is_none()
        {
            turn.response = Some(response.to_owned());
        }
    }

    /// The response that has ended a turn, where it has.
    pub(super) fn response(&self, number: u32) -> Option<&str> {
        let turn = self.turns.iter().rev().find(|turn| turn.number == number)?;
        turn.response.as_deref()
    }

    /// The turn with this number, in order; `None` when it has been forgotten.
    fn turn(&mut self, number: u32) -> Option<&mut Turn> {
        let at = self.turns.partition_point(|turn| turn.number < number);
        let known = self.turns.get(at).is_some_and(|turn| turn.number == number);
        if !known {
            if at == 0 && self.turns.len() >= TURNS {
                return None;
            }
            let turn = Turn {
                number,
                response: None,
                sum: Sum::default(),
            };
            self.turns.insert(at, turn);
            if self.turns.len() > TURNS {
                self.turns.pop_front();
                return self.turns.get_mut(at.checked_sub(1)?);
            }
        }
        self.turns.get_mut(at)
    }

    pub(super) fn micro_dollars(&self) -> Option<u64> {
        self.total.micro_dollars()
    }

    pub(super) fn show(&self, session: &str, prices: &str) -> SessionUsage {
        let line = |((stage, provider, model), sum): (&(&'static str, String, String), &Sum)| {
            ProviderUsage {
                stage: (*stage).to_owned(),
                provider: provider.clone(),
                model: (!model.is_empty()).then(|| model.clone()),
                units: shown(&sum.units),
                cost_micro_dollars: sum.micro_dollars(),
            }
        };
        let turn = |turn: &Turn| TurnUsage {
            turn: turn.number,
            response_id: turn.response.clone(),
            units: shown(&turn.sum.units),
            cost_micro_dollars: turn.sum.micro_dollars(),
        };
        SessionUsage {
            object: "session.usage",
            id: session.to_owned(),
            model: self.opening.model.clone(),
            pipeline: self.opening.pipeline.clone(),
            started_at: self.opening.started_at,
            prices: prices.to_owned(),
            units: shown(&self.total.units),
            cost_micro_dollars: self.micro_dollars(),
            providers: self.lines.iter().map(line).collect(),
            turns: self.turns.iter().map(turn).collect(),
        }
    }
}

/// Units as they are shown.
pub(crate) fn shown(units: &Units) -> UsedUnits {
    UsedUnits {
        audio_ms: units.audio_ms,
        characters: units.characters,
        speech_ms: units.speech_ms,
        input_tokens: units.input_tokens,
        cached_tokens: units.cached_tokens,
        output_tokens: units.output_tokens,
        audio_input_tokens: units.audio_input_tokens,
        audio_cached_tokens: units.audio_cached_tokens,
        audio_output_tokens: units.audio_output_tokens,
        tool_calls: units.tool_calls,
        tool_ms: units.tool_ms,
        estimated: units.estimated,
    }
}

/// One of each unit that a stage uses: what a price list must know to price it.
pub(super) fn sample(stage: Stage) -> Units {
    match stage {
        Stage::Stt => Units {
            audio_ms: 1,
            ..Units::default()
        },
        Stage::Llm => Units {
            input_tokens: 1,
            output_tokens: 1,
            ..Units::default()
        },
        Stage::Duplex => Units {
            input_tokens: 1,
            output_tokens: 1,
            audio_input_tokens: 1,
            audio_output_tokens: 1,
            ..Units::default()
        },
        Stage::Tts => Units {
            characters: 1,
            speech_ms: 1,
            ..Units::default()
        },
    }
}
