//! Cuts a decoded window into segments at the times between its words.
//! `Whisper` calls it for requests that asked for times.
//! It never changes words.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

use super::{
    decode::Outcome,
    tokens::{Special, Vocabulary},
    transcript::Segment,
};

/// One time token step (github.com/openai/whisper, `time_precision`).
const STEP_MS: u32 = 20;

/// Where a window lies in the sound, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) start_ms: u32,
    pub(crate) end_ms: u32,
}

/// Appends the segments of one window, decoded with times, to `segments`.
pub(crate) fn append(
    segments: &mut Vec<Segment>,
    outcome: &Outcome,
    vocabulary: &Vocabulary,
    place: Place,
) {
    let common = Segment {
        avg_logprob: outcome.avg_logprob(),
        no_speech_prob: outcome.no_speech,
        compression_ratio: compression_ratio(vocabulary.text(&outcome.tokens).as_bytes()),
        ..Segment::default()
    };
    for (from, to, tokens) in spans(&outcome.tokens, &vocabulary.special) {
        let at = |steps: u32| (place.start_ms + steps * STEP_MS).min(place.end_ms);
        let start_ms = at(from);
        segments.push(Segment {
            start_ms,
            end_ms: to.map_or(place.end_ms, at).max(start_ms),
            text: vocabulary.text(&tokens),
            tokens,
            ..common.clone()
        });
    }
}

/// Runs of words with the time steps before and, if there is one, after them.
fn spans(tokens: &[u32], special: &Special) -> Vec<(u32, Option<u32>, Vec<u32>)> {
    let mut spans = Vec::new();
    let mut from = 0;
    let mut words: Vec<u32> = Vec::new();
    for token in tokens {
        if *token < special.first_time {
            words.push(*token);
            continue;
        }
        let time = *token - special.first_time;
        if !words.is_empty() {
            spans.push((from, Some(time), std::mem::take(&mut words)));
        }
        from = time;
    }
    if !words.is_empty() {
        spans.push((from, None, words));
    }
    spans
}

/// Bytes of `text` per byte of its zlib stream, as OpenAI computes it.
pub(crate) fn compression_ratio(text: &[u8]) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // writing to memory cannot fail; an empty answer would only make the ratio harmless
    let packed = encoder
        .write_all(text)
        .and_then(|()| encoder.finish())
        .unwrap_or_default();
    text.len() as f32 / packed.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: Special = Special {
        end: 10,
        start: 11,
        previous: 12,
        no_speech: 13,
        no_timestamps: 14,
        first_time: 15,
    };

    #[test]
    fn words_between_times_become_spans() {
        let spans = spans(&[15, 1, 2, 65, 75, 3, 115], &SPECIAL);
        assert_eq!(spans, [(0, Some(50), vec![1, 2]), (60, Some(100), vec![3])]);
    }

    #[test]
    fn the_last_span_may_be_open() {
        assert_eq!(spans(&[20, 1], &SPECIAL), [(5, None, vec![1])]);
        assert!(spans(&[20, 25], &SPECIAL).is_empty());
    }

    #[test]
    fn repeated_text_compresses_well_and_a_sentence_does_not() {
        let sentence = b"The quick brown fox jumps over the lazy dog near the river bank.";
        assert!(compression_ratio(sentence) < 1.3);
        assert!(compression_ratio(&b"Turn off the lights. ".repeat(12)) > 2.4);
    }
}
