//! Transcribes a recording in one call, on top of the streaming port or of something richer.
//! Called by the transcription routes of the REST interface.
//! Never writes a response format: json, subtitles and event streams are the gateway's.

use std::sync::Arc;

use engine::ask::SttOptions;

use crate::{
    Kind, ProviderError,
    ports::{Stt, SttCommand, SttEvent},
};

/// A part of a transcript with its place in the recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Begin, in ms from the start of the recording.
    pub start_ms: u64,
    /// End, in ms.
    pub end_ms: u64,
    /// Words, without surrounding spaces.
    pub text: String,
    /// The model's token numbers; empty where unknown.
    pub tokens: Vec<u32>,
    /// Mean natural-log probability of the tokens; 0 where unknown.
    pub avg_logprob: f32,
    /// Probability that nobody spoke, 0 to 1; 0 where unknown.
    pub no_speech_prob: f32,
    /// Length of the text over its compressed length: high for repetitions; 1 where unknown.
    pub compression_ratio: f32,
}

impl Segment {
    /// The only segment of a recording of which nothing more is known than its words.
    pub fn whole(text: &str, audio_ms: u64) -> Self {
        Self {
            start_ms: 0,
            end_ms: audio_ms,
            text: text.trim().to_owned(),
            tokens: Vec::new(),
            avg_logprob: 0.0,
            no_speech_prob: 0.0,
            compression_ratio: 1.0,
        }
    }
}

/// A transcribed recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcription {
    /// All words.
    pub text: String,
    /// ISO-639-1 code, where it is known.
    pub language: Option<String>,
    /// Length of the recording, in ms.
    pub audio_ms: u64,
    /// In order of time; empty where there are no words, or where they were not asked for.
    pub segments: Vec<Segment>,
    /// Tokens with their natural-log probabilities, when asked for and known.
    pub logprobs: Vec<(String, f32)>,
}

/// Transcribes 16 kHz mono `audio` through the streaming port, as one utterance and one segment.
///
/// Errors: those of the provider; [`Kind::Protocol`] when its stream ends without an answer.
pub async fn transcribe_once(
    stt: &dyn Stt,
    audio: Arc<[i16]>,
    options: SttOptions,
) -> Result<Transcription, ProviderError> {
    let language = options.language.clone();
    let mut stream = stt
        .open(SttOptions {
            judge_turn: false,
            ..options
        })
        .await?;
    for command in [SttCommand::Audio(audio), SttCommand::End] {
        // a provider that has given up says why in its last event
        if stream.commands.send(command).await.is_err() {
            break;
        }
    }
    while let Some(event) = stream.events.recv().await {
        match event {
            SttEvent::Partial { .. } | SttEvent::EndOfTurn { .. } => {}
            SttEvent::Final {
                text,
                audio_ms,
                logprobs,
            } => {
                let mut segment = Segment::whole(&text, audio_ms);
                let sum: f32 = logprobs.iter().map(|(_, logprob)| logprob).sum();
                segment.avg_logprob = sum / logprobs.len().max(1) as f32;
                let silent = segment.text.is_empty();
                return Ok(Transcription {
                    segments: if silent { Vec::new() } else { vec![segment] },
                    text,
                    language,
                    audio_ms,
                    logprobs,
                });
            }
            SttEvent::Failed(error) => return Err(error),
        }
    }
    Err(ProviderError::new(
        stt.name().to_owned(),
        Kind::Protocol,
        "the stream ended without a transcript",
    ))
}

/// How much of a transcription is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// The words.
    #[default]
    Text,
    /// Segments with their times; a local model takes several times as long for them.
    Segments,
}

/// Ears for whole recordings: the streaming port, or something that knows more than it tells there.
#[derive(Clone)]
pub enum Transcriber {
    /// One utterance, one segment.
    Stream(Arc<dyn Stt>),
    /// The models of this machine.
    #[cfg(feature = "local")]
    Local(crate::local::LocalTranscriber),
}

impl Transcriber {
    /// The provider's name, where nobody is told what it does: whoever asks it counts.
    pub const fn uncounted(&self) -> Option<&'static str> {
        match self {
            Self::Stream(_) => None,
            #[cfg(feature = "local")]
            Self::Local(_) => Some("local"),
        }
    }

    /// Transcribes 16 kHz mono `audio`.
    ///
    /// Errors: those of the provider.
    pub async fn transcribe(
        &self,
        audio: Arc<[i16]>,
        options: SttOptions,
        detail: Detail,
    ) -> Result<Transcription, ProviderError> {
        match self {
            Self::Stream(stt) => {
                let mut whole = transcribe_once(stt.as_ref(), audio, options).await?;
                if detail == Detail::Text {
                    whole.segments.clear();
                }
                Ok(whole)
            }
            #[cfg(feature = "local")]
            Self::Local(whisper) => whisper.transcribe(audio, options, detail).await,
        }
    }
}
