//! What goes into a transcription and what comes out.
//! Everyone who wants speech as text builds a request and reads a transcript.
//! Neither prints what was said: their `Debug` shows lengths only.

use std::{fmt, sync::Arc};

use crate::Cancel;

/// Speech to be transcribed.
#[derive(Clone, Default)]
pub struct TranscribeRequest {
    /// The sound: 16 kHz, one channel. Any length; more than 29 s is cut at quiet places.
    pub audio: Arc<[i16]>,
    /// Text that biases the vocabulary: names, terms, or what was said before. Its last 200 or so
    /// tokens are used.
    pub prompt: Option<String>,
    /// The language, as `en`, `en-GB` or `english`; the model knows English only and refuses others.
    pub language: Option<String>,
    /// Whether [`Transcript::segments`] are wanted. Costs a full 30 s window however short the clip.
    pub timestamps: bool,
    /// Stops the work.
    pub cancel: Cancel,
}

/// What was said.
#[derive(Clone, Default, PartialEq)]
pub struct Transcript {
    /// The words, without leading or trailing space. Empty when there is no speech.
    pub text: String,
    /// ISO 639-1 code of the language: `en`.
    pub language: String,
    /// Length of the sound, in milliseconds.
    pub audio_ms: u32,
    /// Tokens decoded, for usage reports.
    pub tokens: u32,
    /// Parts with their times, in order; empty unless asked for.
    pub segments: Vec<Segment>,
    /// Mean log probability of the tokens; closer to 0 is surer. 0 when there is no text.
    pub avg_logprob: f32,
}

/// A part of a transcript with its times.
#[derive(Clone, Default, PartialEq)]
pub struct Segment {
    /// Start, in milliseconds from the start of the sound.
    pub start_ms: u32,
    /// End, in milliseconds from the start of the sound.
    pub end_ms: u32,
    /// The words, with the leading space the model gave them.
    pub text: String,
    /// Vocabulary ids of the words.
    pub tokens: Vec<u32>,
    /// Mean log probability of the tokens of the window this segment is from.
    pub avg_logprob: f32,
    /// Probability that the window this segment is from has no speech.
    pub no_speech_prob: f32,
    /// How repetitive the window's text is: its bytes per byte of zlib. Above 2.4 it is suspect
    /// (OpenAI's threshold).
    pub compression_ratio: f32,
}

impl fmt::Debug for TranscribeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TranscribeRequest")
            .field("samples", &self.audio.len())
            .field("prompt_bytes", &self.prompt.as_ref().map(String::len))
            .field("language", &self.language)
            .field("timestamps", &self.timestamps)
            .field("cancel", &self.cancel)
            .finish()
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript")
            .field("text_bytes", &self.text.len())
            .field("audio_ms", &self.audio_ms)
            .field("tokens", &self.tokens)
            .field("segments", &self.segments)
            .field("avg_logprob", &self.avg_logprob)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("start_ms", &self.start_ms)
            .field("end_ms", &self.end_ms)
            .field("text_bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}
