//! What a user's sessions may cost: a budget of the session and one of the day, in money.
//! Opened by doors that sell by the turn; asked before a language model is, told of work by `metering`.
//! Never lets a turn begin that its budget cannot pay for, and never takes back one that has begun.
//!
//! The day is kept where all limits are, in Redis for all servers: whoever comes back finds it as it was. What a turn will
//! cost is estimated and held until its model has answered (reserve → settle); what it did cost counts as it is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::ask::LlmRequest;
use engine::guard::Rate;
use engine::guard::window::LIMIT_MAX;
use engine::meter::{Cost, Rates, Units};
use store::live::Limiter;
use store::live::limiter::{Demand, Level, LevelKind, Measure, Reservation};
use tokio::runtime::Handle;
use tokio::sync::watch;
use wire::realtime::ErrorBody;

use crate::clock::Clock;
use crate::metering::Used;

/// Code of a response that was refused because of money.
pub(crate) const BUDGET_EXCEEDED: &str = "budget_exceeded";
/// Within which a user's sessions count, in ms: a day.
const DAY_MS: u64 = 86_400_000;
/// In a window counts are whole and limited ([`LIMIT_MAX`]): micro-dollars up to a hundred dollars a day, and beyond that thousands
/// of them, to a hundred thousand dollars.
const COARSE_MICROS: u64 = 1_000;
/// Largest budget of a day, in cents: a hundred thousand dollars.
pub(crate) const MAX_DAY_CENTS: u64 = 10_000_000;
/// Millionths of a dollar in a cent.
const MICROS_PER_CENT: u64 = 10_000;
/// Characters of English text in a token.
const CHARS_PER_TOKEN: u64 = 4;
/// Length of an answer that is estimated where its question does not say, in tokens.
const ANSWER_TOKENS: u64 = 512;

/// What may be spent, and at which prices.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// Whose: tells users of all tenants apart.
    pub(crate) user: String,
    /// Of the session, in cents; 0 is no limit.
    pub(crate) session_cents: u64,
    /// Of the user within any day, in cents; 0 is no limit.
    pub(crate) day_cents: u64,
    /// Of that day, what was spent and the limits have forgotten with their process, in micro-dollars.
    pub(crate) forgotten_micros: u64,
    /// From how much of the session's budget on it is nearly used up, in per cent.
    pub(crate) warn_percent: u64,
    /// What work costs.
    pub(crate) rates: Rates,
    /// Whether what the price table says of a piece of work goes before these rates.
    pub(crate) by_provider: bool,
}

/// What was spent so far, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Spent {
    /// What was done.
    pub(crate) units: Units,
    /// Utterances that were transcribed.
    pub(crate) stt_requests: u64,
    /// What hearing cost.
    pub(crate) stt: Cost,
    /// What thinking cost, tools included.
    pub(crate) llm: Cost,
    /// What speaking cost.
    pub(crate) tts: Cost,
}

impl Spent {
    /// What all of it cost.
    pub(crate) fn total(&self) -> Cost {
        let mut total = self.stt;
        total += self.llm;
        total += self.tts;
        total
    }

    /// The same in dollars.
    pub(crate) fn dollars(&self) -> f64 {
        self.total().exact_micro_dollars() / 1_000_000.0
    }
}

/// How a session's budget stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is enough.
    Plenty,
    /// It is nearly used up.
    Near,
    /// Nothing is left.
    UsedUp,
}

#[derive(Debug, Default)]
struct State {
    spent: Spent,
    /// Of what was spent, what the day does not know of yet, in picodollars.
    untold_pico: u64,
}

#[derive(Debug)]
struct Shared {
    terms: Terms,
    day: Option<Level>,
    /// Micro-dollars in one count of the day.
    unit: u64,
    limiter: Limiter,
    clock: Clock,
    runtime: Handle,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// A budget; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Purse(Arc<Shared>);

impl Purse {
    /// The budget of a session that begins. Called inside a runtime, in which the day is counted.
    pub(crate) fn new(terms: Terms, limiter: Limiter, clock: Clock) -> Self {
        let micros = terms.day_cents * MICROS_PER_CENT;
        let (unit, name) = if micros <= LIMIT_MAX {
            (1, "budget")
        } else {
            (COARSE_MICROS, "large_budget")
        };
        let limit = micros.saturating_sub(terms.forgotten_micros) / unit;
        let day = (micros > 0).then(|| Level {
            kind: LevelKind::User,
            id: format!("{name}:{}", terms.user),
            requests: None,
            tokens: Some(Rate::new(limit, DAY_MS)),
            audio_s: None,
        });
        Self(Arc::new(Shared {
            terms,
            day,
            unit,
            limiter,
            clock,
            runtime: Handle::current(),
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        }))
    }

    /// What was spent so far.
    pub(crate) fn spent(&self) -> Spent {
        self.0.state().spent
    }

    /// Told whenever something was spent.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// How the session's budget stands.
    pub(crate) fn standing(&self) -> Standing {
        let limit = self.0.terms.session_cents * MICROS_PER_CENT;
        if limit == 0 {
            return Standing::Plenty;
        }
        let spent = self.0.state().spent.total().exact_micro_dollars();
        if spent >= limit as f64 {
            Standing::UsedUp
        } else if spent * 100.0 >= (limit * self.0.terms.warn_percent) as f64 {
            Standing::Near
        } else {
            Standing::Plenty
        }
    }

    /// The session's budget, in dollars.
    pub(crate) fn limit_dollars(&self) -> f64 {
        self.0.terms.session_cents as f64 / 100.0
    }

    /// What is left of the user's day, in micro-dollars; `None` where there is no limit.
    pub(crate) async fn left_today(&self) -> Option<u64> {
        let levels = std::slice::from_ref(self.0.day.as_ref()?);
        let now_ms = self.0.now_ms();
        let tally = self
            .0
            .limiter
            .count(levels, Demand::default(), now_ms)
            .await;
        let left = tally
            .left
            .iter()
            .find(|left| left.measure == Measure::Tokens);
        left.map(|left| left.standing.remaining.saturating_mul(self.0.unit))
    }

    /// The user's budget of the day, in micro-dollars; `None` where there is none.
    pub(crate) fn day_micros(&self) -> Option<u64> {
        self.0.day.as_ref()?;
        Some(self.0.terms.day_cents * MICROS_PER_CENT)
    }

    /// Holds what answering `question` may cost, until the result is dropped.
    ///
    /// # Errors
    /// [`BUDGET_EXCEEDED`]; nobody may be asked then.
    pub(crate) async fn reserve(&self, question: &LlmRequest) -> Result<Held, ErrorBody> {
        let estimate = self.0.estimate(question);
        let limit = self.0.terms.session_cents * MICROS_PER_CENT;
        let spent = self.0.state().spent.total();
        let used = spent.exact_micro_dollars().ceil() as u64;
        // a session has one answer at a time: what it holds is this
        let wanted = used.saturating_add(sensible(estimate, limit));
        if limit > 0 && wanted > limit {
            let dollars = spent.exact_micro_dollars() / 1_000_000.0;
            return Err(exceeded("Budget limit exceeded", dollars));
        }
        let held = Held {
            purse: self.clone(),
            reservation: Reservation::default(),
        };
        self.reserve_day(held, estimate).await
    }

    async fn reserve_day(&self, mut held: Held, estimate: u64) -> Result<Held, ErrorBody> {
        let Some(day) = &self.0.day else {
            return Ok(held);
        };
        let limit = self.0.terms.day_cents * MICROS_PER_CENT;
        let demand = Demand {
            tokens: sensible(estimate, limit).div_ceil(self.0.unit),
            ..Demand::default()
        };
        let levels = std::slice::from_ref(day);
        let decision = self.0.limiter.take(levels, demand, self.0.now_ms()).await;
        match decision.outcome {
            Ok(grant) => {
                held.reservation = grant.reservation;
                Ok(held)
            }
            Err(refused) => {
                let remaining = refused.remaining.saturating_mul(self.0.unit);
                let spent = limit.saturating_sub(remaining);
                let dollars = spent as f64 / 1_000_000.0;
                Err(exceeded("Daily budget limit exceeded", dollars))
            }
        }
    }

    /// Takes note of a piece of work; `listed` is what the price table says of it.
    pub(crate) fn note(&self, used: &Used<'_>, listed: Option<Cost>) {
        let of_door = self.0.terms.rates.cost(&used.units);
        let cost = if self.0.terms.by_provider {
            listed.or(of_door)
        } else {
            of_door.or(listed)
        };
        let cost = cost.unwrap_or_default();
        let counts = {
            let mut state = self.0.state();
            let spent = &mut state.spent;
            spent.units += used.units;
            match used.stage {
                "stt" => {
                    spent.stt += cost;
                    spent.stt_requests += 1;
                }
                "tts" => spent.tts += cost,
                _ => spent.llm += cost,
            }
            state.untold_pico += cost.pico_dollars();
            let count_pico = 1_000_000 * self.0.unit;
            let counts = state.untold_pico / count_pico;
            state.untold_pico %= count_pico;
            counts
        };
        self.0.changed.send_replace(());
        if counts > 0 && self.0.day.is_some() {
            let shared = Arc::clone(&self.0);
            self.0.runtime.spawn(async move {
                let used = Demand {
                    tokens: counts,
                    ..Demand::default()
                };
                let levels = shared.day.as_slice();
                shared.limiter.count(levels, used, shared.now_ms()).await;
            });
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.clock.utc().timestamp_millis().unsigned_abs()
    }

    /// What a question and the longest answer to it may cost, spoken, in micro-dollars.
    fn estimate(&self, question: &LlmRequest) -> u64 {
        let answer = question.max_tokens.map_or(ANSWER_TOKENS, u64::from);
        let units = Units {
            input_tokens: question.estimated_tokens().saturating_sub(answer),
            output_tokens: answer,
            characters: answer * CHARS_PER_TOKEN,
            ..Units::default()
        };
        let cost = self.terms.rates.cost(&units).unwrap_or_default();
        cost.micro_dollars()
    }
}

/// What is held for a turn of this `estimate`, in micro-dollars: one beyond the whole budget would keep everybody out, so
/// that such a turn begins where anything is left.
fn sensible(estimate: u64, limit: u64) -> u64 {
    if estimate >= limit {
        1
    } else {
        estimate.max(1)
    }
}

fn exceeded(what: &str, dollars: f64) -> ErrorBody {
    ErrorBody::invalid(BUDGET_EXCEEDED, format!("{what}: ${dollars:.2}"))
}

/// Money held for a question that is being answered.
#[derive(Debug)]
pub(crate) struct Held {
    purse: Purse,
    reservation: Reservation,
}

impl Drop for Held {
    fn drop(&mut self) {
        let reservation = std::mem::take(&mut self.reservation);
        if reservation == Reservation::default() {
            return;
        }
        let shared = Arc::clone(&self.purse.0);
        self.purse.0.runtime.spawn(async move {
            // what it did cost was counted as it was told
            let now_ms = shared.now_ms();
            shared.limiter.settle(reservation, 0, now_ms).await;
        });
    }
}

#[cfg(test)]
mod tests;
