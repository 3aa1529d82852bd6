//! What is said of a transcription beside its words: what it cost, why there is none, how sure each token is.
//! Carried by the events of [`super::server`].
//! Never holds a transcript.

use serde::Serialize;
use utoipa::ToSchema;

/// What a transcription cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TranscriptionUsage {
    /// By length of audio.
    Duration {
        /// Seconds of audio.
        seconds: f64,
    },
    /// By tokens, from models that count them.
    Tokens {
        /// Tokens of audio and prompt.
        input_tokens: u32,
        /// Tokens of the transcript.
        output_tokens: u32,
        /// The sum.
        total_tokens: u32,
    },
}

/// Why there is no transcript; absent fields are left out (nulls make agents-js drop the event).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TranscriptionError {
    /// `server_error` and the like.
    #[serde(rename = "type")]
    pub kind: String,
    /// Machine-readable code.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// One token of a transcript with its log probability.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LogProb {
    /// The token's text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// UTF-8 bytes of the token.
    pub bytes: Vec<u8>,
}
