//! What somebody uses of tokens and audio: reserved before a model is asked, counted once it is known.
//! Opened for every conversation and for every request to a provider; told of work by `metering`.
//! Never waits for Redis where no limit is set, and never makes a conversation wait for what is counted afterwards: what a
//! server has not counted when it stops is not counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::edge::Sender;
use engine::ask::LlmRequest;
use engine::guard::{Rate, Standing};
use engine::meter::Cost;
use engine::session::{Input, Limit, Limits};
use store::live::Limiter;
use store::live::limiter::{Decider, Demand, Left, Level, Measure, Refused, Reservation};
use tokio::runtime::Handle;
use wire::realtime::ErrorBody;

use super::levels::Who;
use super::purse::{Held, Purse};
use crate::clock::Clock;
use crate::metering::Used;
use crate::observe::{Event, Metrics};

/// What a vendor counts a second of its own speech as, in tokens: one for every 50 ms.
const SPOKEN_MS_PER_TOKEN: u64 = 50;

/// Where limits are kept, and who is told of them.
#[derive(Debug, Clone)]
pub(super) struct House {
    pub(super) limiter: Limiter,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) runtime: Handle,
}

/// A tab; clones are the same one.
#[derive(Debug, Clone)]
pub struct Tab {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    house: House,
    pub(super) who: Who,
    /// Number of the conversation's place; see [`store::live::Leases::amend`].
    pub(super) lease: Option<u64>,
    state: Mutex<State>,
    tokens: AtomicU64,
    audio_ms: AtomicU64,
    /// Whether a task is counting.
    counting: AtomicBool,
    /// What the conversation may cost, where it has a budget.
    purse: OnceLock<Purse>,
    /// The conversation, while it lives: it is told how its limits stand.
    listener: Mutex<Option<Sender<Input>>>,
}

#[derive(Debug, Default)]
struct State {
    levels: Arc<[Level]>,
    limits: Limits,
}

impl Tab {
    pub(super) fn new(house: House, who: Who, levels: Vec<Level>, lease: Option<u64>) -> Self {
        let state = State {
            levels: levels.into(),
            limits: Limits::default(),
        };
        let shared = Shared {
            house,
            who,
            lease,
            state: Mutex::new(state),
            tokens: AtomicU64::new(0),
            audio_ms: AtomicU64::new(0),
            counting: AtomicBool::new(false),
            purse: OnceLock::new(),
            listener: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The tab of somebody without limits. Called inside a runtime.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        let house = House {
            limiter: Limiter::memory(),
            clock: Clock::default(),
            metrics: Metrics::default(),
            runtime: Handle::current(),
        };
        Self::new(house, Who::default(), Vec::new(), None)
    }

    /// From now on `conversation` is told how its limits stand.
    pub(crate) fn listen(&self, conversation: Sender<Input>) {
        // a tab belongs to one conversation
        self.shared.listener().get_or_insert(conversation);
        self.look();
    }

    /// Nobody is told any more: the conversation has ended, and what is counted late must not keep its queue.
    pub(crate) fn hush(&self) {
        let listener = self.shared.listener().take();
        drop(listener);
    }

    /// Tokens for one question, reserved; given back when the result is dropped, and counted as they were used.
    ///
    /// # Errors
    /// [`Refused`]: whoever pays has used them up.
    pub(crate) async fn reserve(&self, tokens: u64) -> Result<Option<Reserved>, Refused> {
        let levels = self.shared.state().levels.clone();
        let limits = levels.iter().filter_map(|level| level.tokens);
        let Some(least) = limits.map(Rate::limit).min() else {
            return Ok(None);
        };
        let demand = Demand {
            // an estimate beyond the limit would keep somebody out for ever
            tokens: tokens.clamp(1, least),
            ..Demand::default()
        };
        let house = &self.shared.house;
        let decision = house.limiter.take(&levels, demand, house.now_ms()).await;
        house.note(decision.decider);
        let grant = decision.outcome.inspect_err(|refused| {
            house.metrics.emit(&Event::LimitReached {
                level: refused.kind.name(),
                measure: refused.measure.name(),
                tenant: self.shared.who.tenant(),
            });
            self.look();
        })?;
        Ok(Some(Reserved {
            tab: self.clone(),
            reservation: grant.reservation,
        }))
    }

    /// From now on the conversation pays from `purse`; one that has a purse keeps it.
    pub(crate) fn pay_from(&self, purse: Purse) {
        self.shared.purse.get_or_init(|| purse);
    }

    /// Money for one question, where the conversation has a budget; given back when the result is dropped.
    ///
    /// # Errors
    /// The budget is used up: nobody may be asked.
    pub(crate) async fn hold(&self, question: &LlmRequest) -> Result<Option<Held>, ErrorBody> {
        match self.shared.purse.get() {
            Some(purse) => purse.reserve(question).await.map(Some),
            None => Ok(None),
        }
    }

    /// Counts what a provider did; `cost` is what the price table says of it.
    pub(crate) fn note(&self, used: &Used<'_>, cost: Option<Cost>) {
        let (shared, units) = (&self.shared, &used.units);
        if let Some(purse) = shared.purse.get() {
            purse.note(used, cost);
        }
        let levels = shared.state().levels.clone();
        let tokens = units.input_tokens
            + units.output_tokens
            + units.audio_input_tokens
            + units.audio_output_tokens;
        // what a speech-to-speech model heard is counted anew with every answer: only what it said is known
        let spoken_ms = units.audio_output_tokens * SPOKEN_MS_PER_TOKEN;
        let audio_ms = units.audio_ms + units.speech_ms + spoken_ms;
        let counts_tokens = levels.iter().any(|level| level.tokens.is_some());
        let counts_audio = levels.iter().any(|level| level.audio_s.is_some());
        if counts_tokens {
            shared.tokens.fetch_add(tokens, Ordering::AcqRel);
        }
        if counts_audio {
            shared.audio_ms.fetch_add(audio_ms, Ordering::AcqRel);
        }
        if (counts_tokens && tokens > 0) || (counts_audio && audio_ms > 0) {
            self.count();
        }
    }

    /// The limits are others now.
    pub(super) fn change(&self, levels: Vec<Level>) {
        {
            let mut state = self.shared.state();
            if *state.levels == *levels {
                return;
            }
            state.levels = levels.into();
            state.limits = Limits::default();
            if state.levels.is_empty() {
                self.shared.tell(state.limits);
            }
        }
        self.look();
    }

    /// Finds out how the limits stand, where there are any, and tells the conversation.
    fn look(&self) {
        if !self.shared.state().levels.is_empty() {
            let shared = Arc::clone(&self.shared);
            self.shared.house.runtime.spawn(async move {
                shared.count(Demand::default()).await;
            });
        }
    }

    /// Counts what is not counted yet, in a task of its own; there is one at a time.
    fn count(&self) {
        if self.shared.counting.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.shared.house.runtime.spawn(async move {
            loop {
                let used = shared.uncounted();
                if used != Demand::default() {
                    shared.count(used).await;
                    continue;
                }
                shared.counting.store(false, Ordering::Release);
                // what came since the last look and found the task still running
                if !shared.has_uncounted() || shared.counting.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        });
    }
}

impl House {
    pub(super) fn now_ms(&self) -> u64 {
        self.clock.utc().timestamp_millis().unsigned_abs()
    }

    pub(super) fn note(&self, decider: Decider) {
        if decider == Decider::Degraded {
            self.metrics.decided_locally();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listener(&self) -> MutexGuard<'_, Option<Sender<Input>>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_uncounted(&self) -> bool {
        self.tokens.load(Ordering::Acquire) > 0 || self.audio_ms.load(Ordering::Acquire) >= 1000
    }

    /// Takes what is not counted yet; parts of a second stay.
    fn uncounted(&self) -> Demand {
        let rest = |ms: u64| Some(ms % 1000);
        let audio = self
            .audio_ms
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, rest);
        Demand {
            requests: 0,
            tokens: self.tokens.swap(0, Ordering::AcqRel),
            audio_s: audio.unwrap_or_else(|ms| ms) / 1000,
        }
    }

    async fn count(&self, used: Demand) {
        let levels = self.state().levels.clone();
        let house = &self.house;
        let tally = house.limiter.count(&levels, used, house.now_ms()).await;
        house.note(tally.decider);
        let mut state = self.state();
        if !Arc::ptr_eq(&state.levels, &levels) {
            // the limits have changed meanwhile, and whoever changed them looks again
            return;
        }
        let before = std::mem::replace(&mut state.limits, limits(&tally.left));
        let now = state.limits;
        drop(state);
        // of all who count, the one whose audio was the last below 80 % warns
        let without = Limits {
            audio_s: now.audio_s.map(|audio| with(audio, used.audio_s)),
            ..now
        };
        if before.audio_band() == 0
            && without.audio_band() == 0
            && now.audio_band() > 0
            && let Some(audio) = now.audio_s
        {
            house.metrics.emit(&Event::QuotaNear {
                tenant: self.who.tenant(),
                minutes: audio.limit / 60,
            });
        }
        self.tell(now);
    }

    fn tell(&self, limits: Limits) {
        if let Some(listener) = &*self.listener() {
            // a conversation that is busy hears of it the next time
            let _ = listener.try_send(Input::Limits(Box::new(limits)));
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let rest_ms = *self.audio_ms.get_mut();
        if rest_ms < 500 {
            return;
        }
        // the last half second makes a whole one
        let (house, levels) = (self.house.clone(), self.state().levels.clone());
        let used = Demand {
            audio_s: rest_ms.div_ceil(1000),
            ..Demand::default()
        };
        self.house.runtime.spawn(async move {
            house.limiter.count(&levels, used, house.now_ms()).await;
        });
    }
}

/// A limit as it stood before `used` was counted.
fn with(limit: Limit, used: u64) -> Limit {
    let remaining = limit.standing.remaining.saturating_add(used);
    Limit {
        standing: Standing {
            remaining,
            ..limit.standing
        },
        ..limit
    }
}

/// Of several limits on one measure, the tightest.
fn limits(left: &[Left]) -> Limits {
    let tightest = |measure| {
        let of_measure = left.iter().filter(|left| left.measure == measure);
        let order = |left: &&Left| {
            let standing = left.standing;
            (
                standing.remaining,
                std::cmp::Reverse(standing.wait_ms.max(standing.reset_ms)),
            )
        };
        of_measure.min_by_key(order).map(|left| Limit {
            limit: left.limit,
            standing: left.standing,
        })
    };
    Limits {
        requests: tightest(Measure::Requests),
        tokens: tightest(Measure::Tokens),
        audio_s: tightest(Measure::Audio),
    }
}

/// Tokens reserved for a question that is being answered.
#[derive(Debug)]
pub(crate) struct Reserved {
    tab: Tab,
    reservation: Reservation,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.tab.shared);
        let reservation = std::mem::take(&mut self.reservation);
        self.tab.shared.house.runtime.spawn(async move {
            let house = &shared.house;
            let used = shared.tokens.swap(0, Ordering::AcqRel);
            house
                .limiter
                .settle(reservation, used, house.now_ms())
                .await;
            shared.count(Demand::default()).await;
        });
    }
}

/// What a conversation is told when its question was refused.
pub(crate) fn told(refused: &Refused) -> ErrorBody {
    let message = format!(
        "{} tokens a minute are the limit of {}, and they are used up. Try again in {} s; rate_limits.updated tells how the limits stand.",
        refused.limit,
        crate::auth::rates::whose(refused.kind),
        wait_s(refused),
    );
    ErrorBody::invalid("rate_limit_exceeded", message)
}

/// A whole number of seconds, after which it really is there.
pub(super) fn wait_s(refused: &Refused) -> u64 {
    let wait_s = refused.retry_after_ms.map_or(60, |ms| ms.div_ceil(1000));
    wait_s.max(1)
}
