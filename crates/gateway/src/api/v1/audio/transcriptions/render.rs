//! A transcript in the format that was asked for (spec/realtime §3.1).
//! Used by `create`.
//! Never changes a word.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use providers::Transcription;
use wire::realtime::server::{LogProb, TranscriptionUsage};
use wire::rest::subtitles;
use wire::rest::transcription::{self as answer, TranscriptEvent, TranscriptionFormat};

use super::languages;

/// The language of a transcript when neither the request nor the recogniser names one.
const DEFAULT_LANGUAGE: &str = "en";

/// The whole answer.
pub(super) fn render(
    transcript: &Transcription,
    format: TranscriptionFormat,
    logprobs: bool,
) -> Response {
    match format {
        // diarized_json was refused with the form
        TranscriptionFormat::Json | TranscriptionFormat::DiarizedJson => {
            axum::Json(answer::Transcription {
                text: transcript.text.clone(),
                usage: Some(usage(transcript)),
                logprobs: logprobs.then(|| log_probs(transcript)),
            })
            .into_response()
        }
        TranscriptionFormat::VerboseJson => axum::Json(verbose(transcript)).into_response(),
        TranscriptionFormat::Text => plain(format!("{}\n", transcript.text)),
        TranscriptionFormat::Srt => plain(subtitles::srt(&segments(transcript))),
        TranscriptionFormat::Vtt => plain(subtitles::vtt(&segments(transcript))),
    }
}

/// The events of a streamed answer: a delta per segment, then all of it.
pub(super) fn events(transcript: &Transcription, logprobs: bool) -> Vec<TranscriptEvent> {
    let mut events = Vec::with_capacity(transcript.segments.len() + 1);
    let text = transcript.text.trim();
    let mut told = 0;
    for segment in &transcript.segments {
        // deltas must add up to the text, so they are cut from it
        let Some(found) = text[told..].find(segment.text.trim()) else {
            continue;
        };
        let end = told + found + segment.text.trim().len();
        events.push(delta(&text[told..end]));
        told = end;
    }
    if told < text.len() {
        events.push(delta(&text[told..]));
    }
    events.push(TranscriptEvent::Done {
        text: text.to_owned(),
        usage: None,
        logprobs: logprobs.then(|| log_probs(transcript)),
    });
    events
}

fn delta(text: &str) -> TranscriptEvent {
    TranscriptEvent::Delta {
        delta: text.to_owned(),
        logprobs: None,
    }
}

fn plain(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn usage(transcript: &Transcription) -> TranscriptionUsage {
    TranscriptionUsage::Duration {
        seconds: seconds(transcript.audio_ms),
    }
}

fn log_probs(transcript: &Transcription) -> Vec<LogProb> {
    transcript
        .logprobs
        .iter()
        .map(|(token, logprob)| LogProb {
            token: token.clone(),
            logprob: f64::from(*logprob),
            bytes: token.as_bytes().to_vec(),
        })
        .collect()
}

fn verbose(transcript: &Transcription) -> answer::VerboseTranscription {
    let language = transcript.language.as_deref().unwrap_or(DEFAULT_LANGUAGE);
    answer::VerboseTranscription {
        task: "transcribe",
        language: languages::name(language).to_owned(),
        duration: seconds(transcript.audio_ms),
        text: transcript.text.clone(),
        segments: segments(transcript),
        words: None,
        usage: usage(transcript),
    }
}

fn segments(transcript: &Transcription) -> Vec<answer::Segment> {
    let one = |(id, segment): (usize, &providers::Segment)| answer::Segment {
        id: id as u32,
        seek: (segment.start_ms / 10) as u32,
        start: seconds(segment.start_ms),
        end: seconds(segment.end_ms),
        text: segment.text.clone(),
        tokens: segment.tokens.clone(),
        temperature: 0.0,
        avg_logprob: f64::from(segment.avg_logprob),
        compression_ratio: f64::from(segment.compression_ratio),
        no_speech_prob: f64::from(segment.no_speech_prob),
    };
    transcript.segments.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(text: &str, parts: &[&str]) -> Transcription {
        let segments = parts
            .iter()
            .map(|part| providers::Segment {
                start_ms: 0,
                end_ms: 10,
                text: (*part).to_owned(),
                tokens: Vec::new(),
                avg_logprob: 0.0,
                no_speech_prob: 0.0,
                compression_ratio: 1.0,
            })
            .collect();
        Transcription {
            text: text.to_owned(),
            language: None,
            audio_ms: 10,
            segments,
            logprobs: Vec::new(),
        }
    }

    #[test]
    fn deltas_add_up_to_the_text() {
        for (text, parts) in [
            ("One. Two. Three.", vec!["One.", "Two.", "Three."]),
            (" One.  Two. ", vec!["One.", "Two."]),
            ("No segments at all", vec![]),
            ("Different words", vec!["something else"]),
            ("", vec![]),
        ] {
            let events = events(&transcript(text, &parts), false);
            let mut told = String::new();
            for event in &events {
                match event {
                    TranscriptEvent::Delta { delta, .. } => told.push_str(delta),
                    TranscriptEvent::Done { text, .. } => assert_eq!(&told, text),
                    TranscriptEvent::Segment { .. } => panic!("nobody asked for speakers"),
                }
            }
            assert!(matches!(events.last(), Some(TranscriptEvent::Done { .. })));
        }
    }
}
