//! `POST /v1/audio/transcriptions` (spec/realtime §3.1): answers in every format, and its events.
//! Filled by the gateway from what the recogniser says.
//! Never parses the multipart request: that is the gateway's.

use serde::Serialize;
use utoipa::ToSchema;

use crate::realtime::decode::DecodeError;
use crate::realtime::decode::fields::unsupported;
use crate::realtime::server::{LogProb, TranscriptionUsage};

/// `response_format` of a transcription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TranscriptionFormat {
    /// [`Transcription`].
    #[default]
    Json,
    /// The bare transcript.
    Text,
    /// `SubRip` subtitles.
    Srt,
    /// [`VerboseTranscription`].
    VerboseJson,
    /// `WebVTT` subtitles.
    Vtt,
    /// [`DiarizedTranscription`].
    DiarizedJson,
}

impl TranscriptionFormat {
    const NAMES: [(&str, Self); 6] = [
        ("json", Self::Json),
        ("text", Self::Text),
        ("srt", Self::Srt),
        ("verbose_json", Self::VerboseJson),
        ("vtt", Self::Vtt),
        ("diarized_json", Self::DiarizedJson),
    ];

    /// The format of that name; fails with `invalid_value` on `response_format`, listing the names.
    pub fn parse(name: &str) -> Result<Self, DecodeError> {
        Self::NAMES
            .iter()
            .find_map(|(known, format)| (*known == name).then_some(*format))
            .ok_or_else(|| {
                unsupported("response_format", name, Self::NAMES.map(|(name, _)| name)).into()
            })
    }
}

/// `response_format: json`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Transcription {
    /// What was said.
    pub text: String,
    /// What it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<TranscriptionUsage>,
    /// Token log probabilities, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<LogProb>>,
}

/// A stretch of speech with its times and the recogniser's own judgement of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Segment {
    /// Position, from 0.
    pub id: u32,
    /// Offset of the window it was found in, in frames of 10 ms.
    pub seek: u32,
    /// Start, s.
    pub start: f64,
    /// End, s.
    pub end: f64,
    /// What was said.
    pub text: String,
    /// Token ids of the recogniser.
    pub tokens: Vec<u32>,
    /// Sampling temperature that gave it.
    pub temperature: f64,
    /// Mean log probability of its tokens; below -1 is doubtful.
    pub avg_logprob: f64,
    /// Text length over its compressed length; above 2.4 is repetitive.
    pub compression_ratio: f64,
    /// Probability that nobody spoke.
    pub no_speech_prob: f64,
}

/// A word with its times.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Word {
    /// The word.
    pub word: String,
    /// Start, s.
    pub start: f64,
    /// End, s.
    pub end: f64,
}

/// `response_format: verbose_json`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VerboseTranscription {
    /// `transcribe`, or `translate` when the text is a translation.
    pub task: &'static str,
    /// Language by its English name, as the hosted service writes it (`english`).
    pub language: String,
    /// Length of the audio, s.
    pub duration: f64,
    /// What was said.
    pub text: String,
    /// In stretches.
    pub segments: Vec<Segment>,
    /// In words, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<Word>>,
    /// What it cost: always a duration here.
    pub usage: TranscriptionUsage,
}

/// A stretch of one speaker.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SpeakerSegment {
    /// Always `transcript.text.segment`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Segment id.
    pub id: String,
    /// Start, s.
    pub start: f64,
    /// End, s.
    pub end: f64,
    /// Who spoke.
    pub speaker: String,
    /// What was said.
    pub text: String,
}

/// `response_format: diarized_json`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DiarizedTranscription {
    /// Always `transcribe`.
    pub task: &'static str,
    /// Length of the audio, s.
    pub duration: f64,
    /// What was said.
    pub text: String,
    /// By speaker.
    pub segments: Vec<SpeakerSegment>,
    /// What it cost.
    pub usage: TranscriptionUsage,
}

/// The server-sent events of `stream: true`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type")]
pub enum TranscriptEvent {
    /// More text.
    #[serde(rename = "transcript.text.delta")]
    Delta {
        /// Text to append.
        delta: String,
        /// Token log probabilities, when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<Vec<LogProb>>,
    },
    /// A stretch of one speaker.
    #[serde(rename = "transcript.text.segment")]
    Segment {
        /// Segment id.
        id: String,
        /// Start, s.
        start: f64,
        /// End, s.
        end: f64,
        /// Who spoke.
        speaker: String,
        /// What was said.
        text: String,
    },
    /// All of it; the last event.
    #[serde(rename = "transcript.text.done")]
    Done {
        /// All of the text.
        text: String,
        /// What it cost; only in tokens here (the SDK types know no duration), otherwise left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<TranscriptionUsage>,
        /// Token log probabilities, when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<Vec<LogProb>>,
    },
}
