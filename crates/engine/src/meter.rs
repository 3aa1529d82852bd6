//! What providers were made to do, and what that costs.
//! Counted by the providers' guards, summed up by the gateway per turn, session and tenant.
//! Never rounds before the end: a cost is exact until somebody asks for micro-dollars.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// What a provider did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Units {
    /// Caller's audio heard, in ms.
    pub audio_ms: u64,
    /// Characters spoken aloud.
    pub characters: u64,
    /// Speech made of them, in ms.
    pub speech_ms: u64,
    /// Tokens of text read, cached ones included.
    pub input_tokens: u64,
    /// Those of them that were read from a cache.
    pub cached_tokens: u64,
    /// Tokens of text written.
    pub output_tokens: u64,
    /// Tokens of speech heard by a speech-to-speech model, cached ones included.
    pub audio_input_tokens: u64,
    /// Those of them that were read from a cache.
    pub audio_cached_tokens: u64,
    /// Tokens of speech spoken by a speech-to-speech model.
    pub audio_output_tokens: u64,
    /// Tools that the server ran.
    pub tool_calls: u64,
    /// Time that they took, in ms.
    pub tool_ms: u64,
    /// Whether tokens are estimated, because the provider counted none or broke off before it did.
    pub estimated: bool,
}

impl Units {
    /// Whether nothing was done.
    pub fn is_zero(&self) -> bool {
        Self {
            estimated: false,
            ..*self
        } == Self::default()
    }
}

impl AddAssign for Units {
    fn add_assign(&mut self, more: Self) {
        self.audio_ms += more.audio_ms;
        self.characters += more.characters;
        self.speech_ms += more.speech_ms;
        self.input_tokens += more.input_tokens;
        self.cached_tokens += more.cached_tokens;
        self.output_tokens += more.output_tokens;
        self.audio_input_tokens += more.audio_input_tokens;
        self.audio_cached_tokens += more.audio_cached_tokens;
        self.audio_output_tokens += more.audio_output_tokens;
        self.tool_calls += more.tool_calls;
        self.tool_ms += more.tool_ms;
        self.estimated |= more.estimated;
    }
}

/// Picodollars in a micro-dollar: what a token costs whose million costs one dollar is a micro-dollar, and vendors
/// charge less than that.
const PICO_PER_MICRO: u64 = 1_000_000;
const MS_PER_MINUTE: u64 = 60_000;

/// Money, exact to a millionth of a micro-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cost {
    pico: u64,
}

impl Cost {
    /// In micro-dollars, rounded half up.
    pub fn micro_dollars(self) -> u64 {
        (self.pico + PICO_PER_MICRO / 2) / PICO_PER_MICRO
    }

    /// In millionths of a micro-dollar, as it is stored.
    pub const fn pico_dollars(self) -> u64 {
        self.pico
    }

    /// What was stored.
    pub const fn from_pico_dollars(pico: u64) -> Self {
        Self { pico }
    }

    /// In micro-dollars, with their fractions, for counters.
    pub fn exact_micro_dollars(self) -> f64 {
        self.pico as f64 / PICO_PER_MICRO as f64
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, more: Self) {
        self.pico = self.pico.saturating_add(more.pico);
    }
}

/// What a provider charges, each in micro-dollars; what is absent is not charged for, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// A minute of the caller's audio.
    pub audio_minute: Option<u64>,
    /// A million characters to speak.
    pub million_characters: Option<u64>,
    /// A minute of speech made.
    pub speech_minute: Option<u64>,
    /// A million tokens of text to read.
    pub million_input_tokens: Option<u64>,
    /// A million tokens of text from a cache; as much as others when absent.
    pub million_cached_tokens: Option<u64>,
    /// A million tokens of text written.
    pub million_output_tokens: Option<u64>,
    /// A million tokens of speech to hear.
    pub million_audio_input_tokens: Option<u64>,
    /// A million tokens of speech from a cache; as much as others when absent.
    pub million_audio_cached_tokens: Option<u64>,
    /// A million tokens of speech spoken.
    pub million_audio_output_tokens: Option<u64>,
    /// A tool that was run; free when absent.
    pub tool_call: Option<u64>,
}

impl Rates {
    /// What `units` cost; `None` when something was done that has no rate.
    pub fn cost(&self, units: &Units) -> Option<Cost> {
        let text = tokens(
            (units.input_tokens, self.million_input_tokens),
            (units.cached_tokens, self.million_cached_tokens),
        )?;
        let speech = tokens(
            (units.audio_input_tokens, self.million_audio_input_tokens),
            (units.audio_cached_tokens, self.million_audio_cached_tokens),
        )?;
        let written = millionths(units.output_tokens, self.million_output_tokens)?;
        let spoken = millionths(units.audio_output_tokens, self.million_audio_output_tokens)?;
        let heard = minutes(units.audio_ms, self.audio_minute)?;
        let said = match (self.million_characters, self.speech_minute) {
            (None, Some(_)) => minutes(units.speech_ms, self.speech_minute)?,
            (by_character, by_minute) => {
                let minutes = by_minute.map_or(Some(0), |_| minutes(units.speech_ms, by_minute))?;
                millionths(units.characters, by_character)?.saturating_add(minutes)
            }
        };
        let run = self.tool_call.unwrap_or(0).saturating_mul(PICO_PER_MICRO);
        let run = run.saturating_mul(units.tool_calls);
        let parts = [text, speech, written, spoken, heard, said, run];
        Some(Cost {
            pico: parts.into_iter().fold(0, u64::saturating_add),
        })
    }
}

/// The cost of tokens read, part of them from a cache.
fn tokens(all: (u64, Option<u64>), cached: (u64, Option<u64>)) -> Option<u64> {
    let (all, rate) = all;
    let (cached, cached_rate) = (cached.0.min(all), cached.1.or(rate));
    Some(millionths(all - cached, rate)?.saturating_add(millionths(cached, cached_rate)?))
}

/// So many at a rate in micro-dollars per million, in picodollars.
fn millionths(count: u64, rate: Option<u64>) -> Option<u64> {
    if count == 0 {
        return Some(0);
    }
    Some(count.saturating_mul(rate?))
}

/// So many ms at a rate in micro-dollars per minute, in picodollars, rounded half up.
fn minutes(ms: u64, rate: Option<u64>) -> Option<u64> {
    if ms == 0 {
        return Some(0);
    }
    let exact = u128::from(ms) * u128::from(rate?) * u128::from(PICO_PER_MICRO);
    let rounded = (exact + u128::from(MS_PER_MINUTE / 2)) / u128::from(MS_PER_MINUTE);
    Some(u64::try_from(rounded).unwrap_or(u64::MAX))
}

/// What one provider charges for one model, or for several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model's name; one that ends in `*` stands for all that begin so.
    pub model: String,
    /// What it charges.
    #[serde(flatten)]
    pub rates: Rates,
}

/// Prices as of some day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    /// Names the table in every bill made with it.
    pub version: String,
    /// One entry per model or group of models; the most exact entry counts, and of equals the first.
    #[serde(default, rename = "price")]
    pub prices: Vec<Price>,
}

impl PriceTable {
    /// What `provider` charges for `model`.
    pub fn rates(&self, provider: &str, model: &str) -> Option<&Rates> {
        let exactness = |price: &&Price| match price.model.strip_suffix('*') {
            None => (price.model == model).then_some(usize::MAX),
            Some(start) => model.starts_with(start).then_some(start.len()),
        };
        let of_provider = self
            .prices
            .iter()
            .filter(|price| price.provider == provider);
        let mut best: Option<(usize, &Rates)> = None;
        for price in of_provider {
            if let Some(exact) = exactness(&price)
                && best.is_none_or(|(other, _)| exact > other)
            {
                best = Some((exact, &price.rates));
            }
        }
        best.map(|(_, rates)| rates)
    }

    /// What `units` of `model` cost; `None` where the table does not tell.
    pub fn cost(&self, provider: &str, model: &str, units: &Units) -> Option<Cost> {
        if let Some(rates) = self.rates(provider, model) {
            return rates.cost(units);
        }
        // tools have no vendor unless the table names one
        Rates::default().cost(units)
    }
}
