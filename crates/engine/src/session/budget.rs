//! The limits of one session: how long, how much, how fast.
//! Read by every part of [`super::Session`]; set by the operator's configuration.
//! Never measures: sizes and times are handed in.

use std::sync::Arc;

use wire::realtime::response::RateLimit;

use crate::ask::{Hears, ServerTool};
use crate::audio::{Format, Vad};

/// Which voice activity detector listens.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Detector {
    /// The neural detector inside the `earshot` crate.
    #[default]
    Earshot,
    /// A gate on the frame's RMS (0 to 1): for simulations with synthetic tones.
    Energy(f32),
}

impl Detector {
    pub(super) fn build(self) -> Vad {
        match self {
            Self::Earshot => Vad::earshot(),
            Self::Energy(threshold) => Vad::energy(threshold),
        }
    }
}

/// Who hears, thinks and speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upstream {
    /// Ears, a language model and a voice.
    #[default]
    Stages,
    /// One model that does all of it.
    Duplex,
}

/// The operator's limits and choices for one session.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Length of the session; 60 minutes on the hosted service (spec/realtime §2.4).
    pub max_duration_ms: u64,
    /// Audio kept for `conversation.item.retrieve`, in bytes over all items, newest first.
    pub retained_audio_bytes: usize,
    /// Items in the conversation; the oldest are forgotten beyond that.
    pub max_items: usize,
    /// Audio waiting for a commit, in bytes of the client's format.
    pub max_buffer_bytes: usize,
    /// A single utterance is committed when it gets this long, in ms.
    pub max_utterance_ms: u64,
    /// Context given to the language model, in estimated tokens.
    pub context_tokens: u32,
    /// Generated and prompt tokens per minute; responses beyond that fail with `rate_limit_exceeded`.
    pub tokens_per_minute: u64,
    /// Caller's audio per minute, in bytes of the client's format, at most 100,000,000; 0 is no limit.
    pub bytes_per_minute: u64,
    /// Out-of-band responses that may run beside the default one.
    pub max_parallel_responses: usize,
    /// Whether replies are prepared while the end of the turn is still being decided.
    pub speculate: bool,
    /// Sampling temperature handed to the language model.
    pub temperature: Option<f32>,
    /// ISO-639-1 hint for utterances of sessions that give none.
    pub language: Option<String>,
    /// Said first, before anybody speaks.
    pub greeting: Option<String>,
    /// Said instead of an answer when no language model gives one; nothing when empty.
    pub apology: String,
    /// Put between that and the caller's own words.
    pub echo: String,
    /// Said when the caller was not understood because transcription failed; nothing when empty.
    pub unheard: String,
    /// Functions that the server runs.
    pub tools: Vec<ServerTool>,
    /// How often one response may call functions of the server and read their results.
    pub max_tool_rounds: u32,
    /// Model name handed to the language model.
    pub llm_model: Option<String>,
    /// Voice activity detector.
    pub detector: Detector,
    /// Who hears, thinks and speaks.
    pub upstream: Upstream,
    /// When transcription works on a turn that the client ends.
    pub hears: Hears,
    /// Names of voices that may be asked for; `None` where any name may be right.
    pub voices: Option<Arc<[String]>>,
    /// What the caller's `audio/pcm` is: 24 kHz in the realtime protocol, another rate where a door's callers send one.
    pub caller_pcm: Format,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_duration_ms: 60 * 60 * 1000,
            retained_audio_bytes: 512 * 1024,
            max_items: 2000,
            max_buffer_bytes: 32 * 1024 * 1024,
            max_utterance_ms: 5 * 60 * 1000,
            context_tokens: 8000,
            tokens_per_minute: 1_000_000,
            bytes_per_minute: 28_800_000,
            max_parallel_responses: 8,
            speculate: true,
            temperature: None,
            language: None,
            greeting: None,
            apology: "I am sorry, I cannot think clearly right now.".to_owned(),
            echo: "You said:".to_owned(),
            unheard: "I am sorry, I could not hear you. Please try again.".to_owned(),
            tools: Vec::new(),
            max_tool_rounds: 8,
            llm_model: None,
            detector: Detector::Earshot,
            upstream: Upstream::Stages,
            hears: Hears::AsSpoken,
            voices: None,
            caller_pcm: Format::Pcm24k,
        }
    }
}

const WINDOW_MS: u64 = 60_000;

/// Tokens used in the running minute; what `rate_limits.updated` reports.
#[derive(Debug)]
pub(super) struct TokenWindow {
    limit: u64,
    used: u64,
    started_ms: u64,
}

impl TokenWindow {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: 0,
            started_ms: 0,
        }
    }

    fn roll(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.started_ms) >= WINDOW_MS {
            self.started_ms = now_ms;
            self.used = 0;
        }
    }

    pub(super) fn exhausted(&mut self, now_ms: u64) -> bool {
        self.roll(now_ms);
        self.used >= self.limit
    }

    pub(super) fn spend(&mut self, tokens: u32, now_ms: u64) {
        self.roll(now_ms);
        self.used += u64::from(tokens);
    }

    pub(super) fn report(&mut self, now_ms: u64) -> RateLimit {
        self.roll(now_ms);
        let left_ms = (self.started_ms + WINDOW_MS).saturating_sub(now_ms);
        RateLimit {
            name: "tokens".to_owned(),
            limit: self.limit,
            remaining: self.limit.saturating_sub(self.used),
            reset_seconds: left_ms as f64 / 1000.0,
        }
    }
}
