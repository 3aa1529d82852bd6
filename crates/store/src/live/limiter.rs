//! Who may have how much: several limits asked at once, of which either all are taken from or none.
//! Asked by the gateway before it works; held in memory, or in Redis for all gateways together.
//! Never refuses because Redis is away: then a limiter of this process decides, at a share of the limits, and says so.
//!
//! All windows of an installation live under one hash tag, so that one call of one script decides on any number of
//! levels, on a cluster as well. Split by tenant, the global level would need a second call and a way back after a
//! refusal: not exact, and two round trips (docs/decisions/0012-one-tag-for-limits.md).

mod memory;
mod redis;

use engine::guard::{Rate, Reserved, Standing};

use self::memory::Memory;
use self::redis::Shared;
use super::link::Link;

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LevelKind {
    /// Of the whole installation.
    Global,
    /// Of one tenant.
    Tenant,
    /// Of one of its projects.
    Project,
    /// Of one API key.
    Key,
    /// Of one network address.
    Ip,
    /// Of one person who uses a tenant's application.
    User,
    /// Of one mailbox that codes are sent to.
    Mailbox,
}

impl LevelKind {
    /// Its name in metrics, logs and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Tenant => "tenant",
            Self::Project => "project",
            Self::Key => "key",
            Self::Ip => "ip",
            Self::User => "user",
            Self::Mailbox => "mailbox",
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Calls and responses.
    Requests,
    /// Tokens of language models.
    Tokens,
    /// Seconds of audio, heard and spoken.
    Audio,
}

impl Measure {
    /// Its name in metrics, logs and headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Audio => "audio",
        }
    }
}

/// The limits of somebody; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Whose.
    pub kind: LevelKind,
    /// Which of them; anything that tells two apart.
    pub id: String,
    /// Requests.
    pub requests: Option<Rate>,
    /// Tokens.
    pub tokens: Option<Rate>,
    /// Seconds of audio.
    pub audio_s: Option<Rate>,
}

/// How much is wanted, or was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// Requests.
    pub requests: u64,
    /// Tokens, as estimated before they are used; see [`Limiter::settle`].
    pub tokens: u64,
    /// Seconds of audio.
    pub audio_s: u64,
}

impl Demand {
    /// One request without tokens.
    pub const REQUEST: Self = Self {
        requests: 1,
        tokens: 0,
        audio_s: 0,
    };

    const fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Requests => self.requests,
            Measure::Tokens => self.tokens,
            Measure::Audio => self.audio_s,
        }
    }
}

/// One window of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Meter {
    kind: LevelKind,
    measure: Measure,
    id: String,
    rate: Rate,
    amount: u64,
}

impl Meter {
    /// What it is kept under.
    fn key(&self) -> String {
        format!("{}:{}:{}", self.kind.name(), self.measure.name(), self.id)
    }
}

fn meters(levels: &[Level], demand: Demand) -> Vec<Meter> {
    let of = |level: &Level, measure, rate: Option<Rate>| {
        Some(Meter {
            kind: level.kind,
            measure,
            id: level.id.clone(),
            rate: rate?,
            amount: demand.of(measure),
        })
    };
    let meters = levels.iter().flat_map(|level| {
        [
            of(level, Measure::Requests, level.requests),
            of(level, Measure::Tokens, level.tokens),
            of(level, Measure::Audio, level.audio_s),
        ]
    });
    meters.flatten().collect()
}

/// How one limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Whose limit.
    pub kind: LevelKind,
    /// Of what.
    pub measure: Measure,
    /// The limit itself.
    pub limit: u64,
    /// What is left of it.
    pub standing: Standing,
}

/// Everything was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Every limit that was asked.
    pub left: Vec<Left>,
    /// For [`Limiter::settle`].
    pub reservation: Reservation,
}

/// Tokens taken in advance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reservation {
    held: Vec<(Meter, Reserved)>,
    /// Whether Redis holds them, or this process.
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Origin {
    #[default]
    Memory,
    Redis,
}

/// Nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Whose limit refuses; of several the one that takes longest.
    pub kind: LevelKind,
    /// Of what.
    pub measure: Measure,
    /// The limit itself.
    pub limit: u64,
    /// What is left of it: less than was asked for.
    pub remaining: u64,
    /// Until everything that was asked for may be had, in ms; `None` when it is more than the limit.
    pub retry_after_ms: Option<u64>,
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decider {
    /// The limiter that holds the limits.
    Ordinary,
    /// A limiter of this process, at a share of the limits, because Redis is away.
    Degraded,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was decided.
    pub outcome: Result<Grant, Refused>,
    /// By whom.
    pub decider: Decider,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Every limit that was asked.
    pub left: Vec<Left>,
    /// By whom.
    pub decider: Decider,
}

/// The limits of an installation; clones share them.
#[derive(Debug, Clone)]
pub enum Limiter {
    /// In this process.
    Memory(Memory),
    /// In Redis, and in this process while Redis is away.
    Redis(Shared),
}

impl Limiter {
    /// Limits of this process alone.
    pub fn memory() -> Self {
        Self::Memory(Memory::default())
    }

    /// Limits in Redis. While it is away this process gives `share_percent` of each.
    pub fn redis(link: Link, share_percent: u64) -> Self {
        Self::Redis(Shared::new(link, share_percent))
    }

    /// Takes what `demand` names from all `levels`, or nothing from any. `now_ms` is Unix time; Redis has its own.
    pub async fn take(&self, levels: &[Level], demand: Demand, now_ms: u64) -> Decision {
        let mut meters = meters(levels, demand);
        // what nothing is asked of cannot refuse
        meters.retain(|meter| meter.amount > 0);
        let (outcome, decider) = match self {
            Self::Memory(memory) => (memory.take(meters, now_ms), Decider::Ordinary),
            Self::Redis(shared) => shared.take(meters, now_ms).await,
        };
        Decision { outcome, decider }
    }

    /// Counts what was `used`, whether or not there was any left, and says how every limit of `levels` stands now. Where
    /// nothing was used it only looks.
    pub async fn count(&self, levels: &[Level], used: Demand, now_ms: u64) -> Tally {
        let meters = meters(levels, used);
        let (left, decider) = match self {
            Self::Memory(memory) => (memory.count(&meters, now_ms), Decider::Ordinary),
            Self::Redis(shared) => shared.count(meters, now_ms).await,
        };
        Tally { left, decider }
    }

    /// Says how many tokens were really used: what was reserved beyond that is given back, what was used beyond the
    /// reservation counts from now on.
    pub async fn settle(&self, reservation: Reservation, used: u64, now_ms: u64) {
        match self {
            Self::Memory(memory) => memory.settle(&reservation, used, now_ms),
            Self::Redis(shared) => shared.settle(&reservation, used, now_ms).await,
        }
    }
}

/// The tokens among `meters`, as reserved at `now_ms`.
fn reservation(meters: Vec<Meter>, origin: Origin, now_ms: u64) -> Reservation {
    let tokens = meters
        .into_iter()
        .filter(|meter| meter.measure == Measure::Tokens);
    let held = tokens.map(|meter| {
        let reserved = Reserved {
            bucket: meter.rate.bucket(now_ms),
            amount: meter.amount,
        };
        (meter, reserved)
    });
    Reservation {
        held: held.collect(),
        origin,
    }
}
