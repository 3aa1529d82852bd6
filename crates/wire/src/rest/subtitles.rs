//! Subtitles: `response_format` `srt` and `vtt` of a transcription (spec/realtime §3.1).
//! Called by the gateway with the segments of a transcript.
//! Never splits or joins segments.

use std::fmt::Write as _;

use super::transcription::Segment;

/// `SubRip`: numbered blocks, a comma before the milliseconds.
pub fn srt(segments: &[Segment]) -> String {
    let mut out = String::new();
    for (index, segment) in segments.iter().enumerate() {
        let (start, end) = (time(segment.start, ','), time(segment.end, ','));
        // writing to a `String` cannot fail
        let _ = write!(
            out,
            "{}\n{start} --> {end}\n{}\n\n",
            index + 1,
            line(segment)
        );
    }
    out
}

/// `WebVTT`: a header, a full stop before the milliseconds.
pub fn vtt(segments: &[Segment]) -> String {
    let mut out = String::from("WEBVTT\n\n");
    for segment in segments {
        let (start, end) = (time(segment.start, '.'), time(segment.end, '.'));
        let text = line(segment).replace('&', "&amp;").replace('<', "&lt;");
        // writing to a `String` cannot fail
        let _ = write!(out, "{start} --> {end}\n{text}\n\n");
    }
    out
}

/// The text on one line and without an arrow, so that it can end neither block nor cue.
fn line(segment: &Segment) -> String {
    let words: Vec<&str> = segment.text.split_whitespace().collect();
    words.join(" ").replace("-->", "->")
}

/// `seconds` as `hh:mm:ss` and three digits after `mark`.
fn time(seconds: f64, mark: char) -> String {
    let ms = (seconds.max(0.0) * 1000.0).round() as u64;
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{h:02}:{m:02}:{s:02}{mark}{:03}", ms % 1000)
}
