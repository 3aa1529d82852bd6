//! Deterministic speech and language without any model: what is said decides what is answered.
//! Used as `ANTIPHON_PIPELINE=scripted` by client tests, demonstrations and latency benches.
//! Never random, never reads a clock: delays are waits of configured length.
//!
//! # What a caller can steer
//!
//! In the text of the last user message, or in a line of the instructions (there optionally
//! behind `scripted:`), where the words of the user win:
//!
//! | words | effect |
//! |---|---|
//! | `say: X` | the reply is exactly `X` (to the end of the message, or of the line) |
//! | `long` | the reply has [`LONG_SENTENCES`] sentences |
//! | `slowly`, `slowly 250` | tokens come [`ScriptedConfig::slow_token_ms`] (or 250) ms apart |
//! | `fail llm` | the language model refuses the request |
//! | `fail llm midway` | the language model breaks off after a sentence |
//! | `fail tts` | the reply contains these words, at which synthesis fails |
//! | name of an offered function | it is called; several names, several calls |
//! | … followed by `{"a":1}` | with these arguments instead of ones made up from the schema |
//!
//! `say:` ends the list: nothing behind it is a directive. A function whose name is one word is
//! called by any sentence with that word. In instructions a call needs `call ` before the name.
//! After a function's output the reply repeats that output, whatever else was said.
//!
//! The prompt of a transcription steers it likewise: `say: X` makes `X` the transcript,
//! `fail stt` lets it fail. A transcript from [`ScriptedConfig::transcripts`] may be `fail stt` too.

mod arguments;
mod llm;
mod script;
mod stt;
mod tts;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use llm::ScriptedLlm;
pub use stt::ScriptedStt;
pub use tts::{RATE_HZ, ScriptedTts};

use crate::{Kind, ProviderError};

/// Catalog name of all three providers.
pub const NAME: &str = "scripted";

/// Sentences of a reply to `long`.
pub const LONG_SENTENCES: usize = 40;

/// How long each stage takes and what the transcripts say. The defaults answer at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptedConfig {
    /// From a pause or the end of an utterance to its transcript, in ms.
    pub stt_ms: u64,
    /// From a question to the first token of the answer, in ms.
    pub first_token_ms: u64,
    /// Between two tokens (words), in ms.
    pub token_ms: u64,
    /// Between two tokens of an answer that is asked for `slowly`, in ms.
    pub slow_token_ms: u64,
    /// From a piece of text to its first audio, in ms.
    pub tts_ms: u64,
    /// Speech per character of text at speed 1.0, in ms.
    pub speech_ms_per_char: u64,
    /// Speed at which audio is handed out, in per cent of real time; 0 hands it out as fast as it is taken.
    pub speech_pace_percent: u32,
    /// Transcripts of a session's utterances in turn, starting over at the end. Empty: the
    /// transcript tells how long the utterance was.
    pub transcripts: Vec<String>,
    /// Probability given at every pause; absent: 0.1 after a transcript that trails off (ends in
    /// `…`, `...`, a comma, or "and"), 0.95 after any other.
    pub end_of_turn: Option<f32>,
}

impl Default for ScriptedConfig {
    fn default() -> Self {
        Self {
            stt_ms: 0,
            first_token_ms: 0,
            token_ms: 0,
            slow_token_ms: 100,
            tts_ms: 0,
            speech_ms_per_char: 60,
            speech_pace_percent: 0,
            transcripts: Vec::new(),
            end_of_turn: None,
        }
    }
}

/// Waits, or returns `false` as soon as nobody listens any more.
async fn wait<T>(listener: &mpsc::Sender<T>, ms: u64) -> bool {
    if ms == 0 {
        return !listener.is_closed();
    }
    tokio::select! {
        biased;
        () = listener.closed() => false,
        () = tokio::time::sleep(Duration::from_millis(ms)) => true,
    }
}

/// The failure that a script asked for.
fn failure(stage: &str) -> ProviderError {
    ProviderError::new(
        NAME,
        Kind::Unavailable,
        format!("the script lets {stage} fail"),
    )
}
