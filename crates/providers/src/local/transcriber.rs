//! Whisper for whole recordings, with the times of what was said.
//! Called by the transcription routes through [`crate::Transcriber`].
//! Never hurries: a recording waits behind live conversations of its session's turn.

use std::sync::Arc;

use engine::ask::SttOptions;
use local::{LocalModels, Origin, Priority, TranscribeRequest};

use super::failure;
use crate::{
    ProviderError,
    transcribe::{Detail, Segment, Transcription},
};

/// Transcription of recordings on this machine.
#[derive(Clone)]
pub struct LocalTranscriber {
    models: LocalModels,
}

impl LocalTranscriber {
    /// Transcribes with `models`.
    pub fn new(models: LocalModels) -> Self {
        Self { models }
    }

    /// Transcribes 16 kHz mono `audio` of any length.
    ///
    /// Errors: [`crate::Kind::Overloaded`] when it would wait too long, [`crate::Kind::Rejected`]
    /// for a language that the model does not know.
    pub async fn transcribe(
        &self,
        audio: Arc<[i16]>,
        options: SttOptions,
        detail: Detail,
    ) -> Result<Transcription, ProviderError> {
        let audio_ms = audio.len() as u64 / 16;
        let request = TranscribeRequest {
            audio,
            prompt: options.prompt,
            language: options.language,
            timestamps: detail == Detail::Segments,
            ..TranscribeRequest::default()
        };
        let origin = Origin {
            session: options.session,
            priority: Priority::Live,
        };
        let pending = self
            .models
            .transcribe(origin, request)
            .map_err(|error| failure(&error))?;
        let transcript = pending.await.map_err(|error| failure(&error))?;
        Ok(Transcription {
            text: transcript.text,
            language: Some(transcript.language),
            audio_ms,
            segments: transcript.segments.into_iter().map(segment).collect(),
            logprobs: Vec::new(),
        })
    }
}

fn segment(segment: local::Segment) -> Segment {
    Segment {
        start_ms: u64::from(segment.start_ms),
        end_ms: u64::from(segment.end_ms),
        text: segment.text.trim().to_owned(),
        tokens: segment.tokens,
        avg_logprob: segment.avg_logprob,
        no_speech_prob: segment.no_speech_prob,
        compression_ratio: segment.compression_ratio,
    }
}
