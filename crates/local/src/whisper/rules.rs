//! Which tokens may come next: the suppress lists of the model, and Whisper's rules for times.
//! The decode loop applies them to the scores of every step before it takes the best.
//! It never looks at sound.

use std::{fs, path::Path};

use serde::Deserialize;

use super::tokens::Special;
use crate::LocalError;

const MODEL: &str = "whisper-tiny-en";
/// The first time may be at most one second in, in steps of 20 ms (github.com/openai/whisper,
/// `max_initial_timestamp`).
const LATEST_FIRST_TIME: usize = 50;

/// The lists of `config.json`.
#[derive(Deserialize)]
pub(crate) struct Rules {
    #[serde(rename = "suppress_ids")]
    never: Vec<u32>,
    #[serde(rename = "suppress_ids_begin")]
    never_first: Vec<u32>,
}

/// The best next token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// Natural logarithm of its probability among all tokens.
    pub(crate) logprob: f32,
}

impl Rules {
    /// Reads `config.json` at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, LocalError> {
        let json = fs::read(path).map_err(|error| LocalError::open(MODEL, path, error))?;
        serde_json::from_slice(&json)
            .map_err(|error| LocalError::damaged(MODEL, path, error.to_string()))
    }

    /// Strikes what may not follow `tokens` from `scores`, both of the sampled part only, in a
    /// transcript without times.
    pub(crate) fn without_times(&self, scores: &mut [f32], tokens: &[u32], special: &Special) {
        self.strike_lists(scores, tokens);
        strike(scores, special.no_timestamps as usize..scores.len());
    }

    /// As [`without_times`](Self::without_times), in a transcript with times: they come in pairs,
    /// end then start, never go back, and win when together they are likelier than any text.
    pub(crate) fn with_times(&self, scores: &mut [f32], tokens: &[u32], special: &Special) {
        self.strike_lists(scores, tokens);
        let (end, first_time) = (special.end as usize, special.first_time as usize);
        strike(scores, special.no_timestamps as usize..first_time);
        let is_time = |token: &u32| *token >= special.first_time;
        let last_is_time = tokens.last().is_some_and(is_time);
        let pair_is_open = last_is_time && tokens.len() >= 2 && !is_time(&tokens[tokens.len() - 2]);
        if pair_is_open {
            // an end: a start or the end of the transcript must follow
            strike(scores, 0..end);
        } else if last_is_time {
            strike(scores, first_time..scores.len());
        }
        if let Some(last) = tokens.iter().rev().find(|token| is_time(token)) {
            let earliest = *last as usize + usize::from(!pair_is_open);
            strike(scores, first_time..earliest.min(scores.len()));
        }
        if tokens.is_empty() {
            strike(scores, 0..first_time);
            strike(scores, first_time + LATEST_FIRST_TIME + 1..scores.len());
        }
        if log_sum(&scores[first_time..]) > largest(&scores[..first_time]) {
            strike(scores, 0..first_time);
        }
    }

    fn strike_lists(&self, scores: &mut [f32], tokens: &[u32]) {
        let first: &[u32] = if tokens.is_empty() {
            &self.never_first
        } else {
            &[]
        };
        for id in self.never.iter().chain(first) {
            if let Some(score) = scores.get_mut(*id as usize) {
                *score = f32::NEG_INFINITY;
            }
        }
    }
}

/// The best of `scores`; `score_sum` is [`log_sum`] of them before any were struck.
pub(crate) fn best(scores: &[f32], score_sum: f32) -> Choice {
    let largest = largest(scores);
    // the position is looked up in a second pass, because the first then needs no branches
    let token = scores
        .iter()
        .position(|score| *score >= largest)
        .unwrap_or(0);
    Choice {
        token: token as u32,
        logprob: largest - score_sum,
    }
}

/// The logarithm of the sum of the exponentials of `scores`, to four digits.
pub(crate) fn log_sum(scores: &[f32]) -> f32 {
    let largest = largest(scores);
    if largest == f32::NEG_INFINITY {
        return largest;
    }
    let (chunks, rest) = scores.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for chunk in chunks {
        for (sum, score) in sums.iter_mut().zip(chunk) {
            *sum += exp(score - largest);
        }
    }
    let rest: f32 = rest.iter().map(|score| exp(score - largest)).sum();
    largest + (sums.iter().sum::<f32>() + rest).ln()
}

/// Values handled side by side, so that the compiler can use vector instructions.
const LANES: usize = 16;

fn largest(scores: &[f32]) -> f32 {
    let greater = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = scores.as_chunks::<LANES>();
    let mut best = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (best, score) in best.iter_mut().zip(chunk) {
            *best = greater(*best, *score);
        }
    }
    best.iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, greater)
}

/// e to the x for x not above 0, within 1e-4 of it, without a call per value: 2 to the whole part
/// goes into the exponent bits, 2 to the rest is a polynomial.
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let power = (x * std::f32::consts::LOG2_E).max(-126.0);
    // adding 1.5 * 2^23 leaves the nearest whole number in the lowest bits
    let whole = power + ROUND;
    let part = power - (whole - ROUND);
    let polynomial =
        ((0.055_504_1 * part + 0.240_226_5) * part + std::f32::consts::LN_2) * part + 1.0;
    let bits = whole.to_bits().wrapping_sub(ROUND.to_bits()) << 23;
    f32::from_bits(polynomial.to_bits().wrapping_add(bits))
}

fn strike(scores: &mut [f32], range: std::ops::Range<usize>) {
    if let Some(scores) = scores.get_mut(range) {
        scores.fill(f32::NEG_INFINITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten text tokens, 10 end, 11 start, 12 previous, 13 no speech, 14 no times, 15.. times.
    const SPECIAL: Special = Special {
        end: 10,
        start: 11,
        previous: 12,
        no_speech: 13,
        no_timestamps: 14,
        first_time: 15,
    };

    fn rules() -> Rules {
        Rules {
            never: vec![3, 11, 12, 13],
            never_first: vec![2, 10],
        }
    }

    fn allowed(tokens: &[u32], times: bool, raise: &[(usize, f32)]) -> Vec<u32> {
        let mut scores = vec![0.0; 115];
        for (at, score) in raise {
            scores[*at] = *score;
        }
        if times {
            rules().with_times(&mut scores, tokens, &SPECIAL);
        } else {
            rules().without_times(&mut scores, tokens, &SPECIAL);
        }
        (0..115)
            .filter(|id| scores[*id as usize] > f32::NEG_INFINITY)
            .collect()
    }

    #[test]
    fn without_times_only_text_and_later_the_end_are_allowed() {
        assert_eq!(allowed(&[], false, &[]), [0, 1, 4, 5, 6, 7, 8, 9]);
        assert_eq!(allowed(&[0], false, &[]), [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn a_transcript_with_times_starts_with_a_time_in_the_first_second() {
        assert_eq!(allowed(&[], true, &[]), (15..=65).collect::<Vec<_>>());
    }

    #[test]
    fn text_follows_a_start_and_a_start_or_the_end_follows_an_end() {
        let text_wins = [(0, 9.0)];
        assert_eq!(
            allowed(&[15], true, &text_wins),
            [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
        );
        let after_end = allowed(&[15, 0, 40], true, &[(10, 9.0)]);
        assert_eq!(after_end.first(), Some(&10));
        assert!(after_end[1..].iter().all(|id| *id >= 40));
    }

    #[test]
    fn times_never_go_back_and_win_together() {
        let allowed = allowed(&[15, 0, 40, 40, 1], true, &[]);
        assert!(allowed.iter().all(|id| *id > 40), "{allowed:?}");
    }

    #[test]
    fn the_sum_of_exponentials_is_right_to_four_digits() {
        let scores: Vec<f32> = (0..1003).map(|i| (i as f32 * 0.77).sin() * 20.0).collect();
        let exact = scores.iter().map(|s| f64::from(*s).exp()).sum::<f64>().ln();
        assert!((f64::from(log_sum(&scores)) - exact).abs() < 2e-4);
        assert!((log_sum(&[0.0, -1000.0, f32::NEG_INFINITY]) - 0.0).abs() < 1e-4);
        assert!(log_sum(&[f32::NEG_INFINITY; 20]) == f32::NEG_INFINITY);
    }

    #[test]
    fn the_best_token_carries_its_log_probability() {
        let choice = best(&[0.0, 2.0, 1.0], 2.407_606);
        assert_eq!(choice.token, 1);
        assert!((choice.logprob - -0.407_606).abs() < 1e-6);
    }
}
