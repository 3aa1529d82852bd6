//! Whisper for whole recordings, with the times of what was said.
//! Called by the transcription routes through [`crate::Transcriber`].
//! Never holds a model longer than one window takes: between two of them live calls have their turn.

use std::{ops::Range, sync::Arc, time::Duration};

use engine::ask::SttOptions;
use local::{LocalError, LocalModels, Origin, Priority, TranscribeRequest, Transcript};

use super::failure;
use crate::{
    ProviderError,
    transcribe::{Detail, Segment, Transcription},
};

const SAMPLES_PER_MS: usize = 16;
/// Longest window: the model hears 30 s at a time, and keeps a second of it silent.
const WINDOW: usize = 28_000 * SAMPLES_PER_MS;
/// Part of a window, at its end, in which a quiet place is looked for.
const SEARCHED: usize = 8_000 * SAMPLES_PER_MS;
/// Length of a quiet place.
const QUIET: usize = 200 * SAMPLES_PER_MS;
/// Characters of what was said before that help with what comes next.
const REMEMBERED: usize = 200;
/// A recording that was begun waits this long for a place in a full queue, so many times.
const WAIT: Duration = Duration::from_secs(1);
const WAITS: u32 = 30;

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
        let windows = windows(&audio);
        let mut whole = Transcription {
            text: String::new(),
            language: None,
            audio_ms: (audio.len() / SAMPLES_PER_MS) as u64,
            segments: Vec::new(),
            logprobs: Vec::new(),
        };
        for (number, window) in windows.into_iter().enumerate() {
            let request = TranscribeRequest {
                audio: audio[window.clone()].into(),
                prompt: prompt(options.prompt.as_deref(), &whole.text),
                language: options.language.clone(),
                timestamps: detail == Detail::Segments,
                ..TranscribeRequest::default()
            };
            let waits = if number == 0 { 0 } else { WAITS };
            let transcript = self
                .window(&options.session, &request, waits)
                .await
                .map_err(|error| failure(&error))?;
            append(
                &mut whole,
                transcript,
                (window.start / SAMPLES_PER_MS) as u64,
            );
        }
        Ok(whole)
    }

    async fn window(
        &self,
        session: &str,
        request: &TranscribeRequest,
        waits: u32,
    ) -> Result<Transcript, LocalError> {
        let origin = Origin {
            session: session.to_owned(),
            priority: Priority::Live,
        };
        for _ in 0..waits {
            match self.models.transcribe(origin.clone(), request.clone()) {
                Ok(pending) => return pending.await,
                Err(LocalError::Overloaded { .. }) => tokio::time::sleep(WAIT).await,
                Err(error) => return Err(error),
            }
        }
        self.models.transcribe(origin, request.clone())?.await
    }
}

/// What the caller wants to be heard, then what was said last.
fn prompt(wanted: Option<&str>, said: &str) -> Option<String> {
    let start = said.len().saturating_sub(REMEMBERED);
    let start = (start..=said.len())
        .find(|at| said.is_char_boundary(*at))
        .unwrap_or(0);
    let parts = [wanted.unwrap_or_default().trim(), said[start..].trim()];
    let prompt = parts.join(" ").trim().to_owned();
    (!prompt.is_empty()).then_some(prompt)
}

fn append(whole: &mut Transcription, part: Transcript, offset_ms: u64) {
    let text = part.text.trim();
    if !text.is_empty() && !whole.text.is_empty() {
        whole.text.push(' ');
    }
    whole.text.push_str(text);
    whole.language.get_or_insert(part.language);
    whole
        .segments
        .extend(part.segments.into_iter().map(|segment| Segment {
            start_ms: offset_ms + u64::from(segment.start_ms),
            end_ms: offset_ms + u64::from(segment.end_ms),
            text: segment.text.trim().to_owned(),
            tokens: segment.tokens,
            avg_logprob: segment.avg_logprob,
            no_speech_prob: segment.no_speech_prob,
            compression_ratio: segment.compression_ratio,
        }));
}

/// Windows that follow each other without a gap, each but the last cut at its quietest place.
fn windows(audio: &[i16]) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    while audio.len() - start > WINDOW {
        let searched = start + WINDOW - SEARCHED..start + WINDOW;
        let loudness = |at: usize| -> i64 {
            audio[at..at + QUIET]
                .iter()
                .map(|sample| i64::from(sample.unsigned_abs()))
                .sum()
        };
        let places = (searched.start..searched.end - QUIET).step_by(QUIET / 2);
        // the last of equals: fewer windows
        let quietest = places
            .rev()
            .min_by_key(|at| loudness(*at))
            .unwrap_or(searched.start);
        let end = quietest + QUIET / 2;
        windows.push(start..end);
        start = end;
    }
    if start < audio.len() {
        windows.push(start..audio.len());
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_cut_where_it_is_quiet_and_leave_nothing_out() {
        let mut audio = vec![1_000_i16; 70_000 * SAMPLES_PER_MS];
        let quiet = 23_000 * SAMPLES_PER_MS;
        audio[quiet..quiet + 2 * QUIET].fill(3);
        let windows = windows(&audio);
        assert!(
            (quiet..quiet + 2 * QUIET).contains(&windows[0].end),
            "{windows:?}"
        );
        assert_eq!(
            (windows[0].start, windows.last().unwrap().end),
            (0, audio.len())
        );
        for pair in windows.windows(2) {
            assert_eq!(pair[0].end, pair[1].start);
        }
        assert!(windows.iter().all(|window| window.len() <= WINDOW));
        assert_eq!(windows.len(), 3);
    }

    #[test]
    fn short_audio_is_one_window_and_none_is_none() {
        assert_eq!(windows(&vec![0; WINDOW]), vec![0..WINDOW; 1]);
        assert!(windows(&[]).is_empty());
    }

    #[test]
    fn parts_join_with_their_times() {
        let part = |text: &str| Transcript {
            text: text.to_owned(),
            language: "en".to_owned(),
            segments: vec![local::Segment {
                start_ms: 10,
                end_ms: 20,
                ..local::Segment::default()
            }],
            ..Transcript::default()
        };
        let mut whole = Transcription {
            text: String::new(),
            language: None,
            audio_ms: 0,
            segments: Vec::new(),
            logprobs: Vec::new(),
        };
        for (text, offset_ms) in [("One.", 0), ("", 500), ("Two.", 1_000)] {
            append(&mut whole, part(text), offset_ms);
        }
        assert_eq!(whole.text, "One. Two.");
        let starts: Vec<u64> = whole
            .segments
            .iter()
            .map(|segment| segment.start_ms)
            .collect();
        assert_eq!(starts, [10, 510, 1_010]);
    }

    #[test]
    fn the_prompt_ends_with_what_was_said_last() {
        assert_eq!(prompt(None, ""), None);
        assert_eq!(prompt(Some("Antiphon"), "").as_deref(), Some("Antiphon"));
        let said = "ä".repeat(150) + " end.";
        let prompt = prompt(Some("Antiphon"), &said).unwrap();
        assert!(prompt.starts_with("Antiphon ä") && prompt.ends_with("end."));
        assert!(prompt.len() <= REMEMBERED + "Antiphon ".len());
    }
}
