//! What `AssemblyAI`'s `Turn` messages add up to
//! (<https://www.assemblyai.com/docs/streaming/universal-streaming/message-sequence>).
//! Fed by the listening task with every text frame.
//! Never takes text for this utterance that was said before it.

use std::collections::BTreeMap;

use serde::Deserialize;
use tokio::time::{Duration, Instant};

use super::super::{
    SAMPLES_PER_MS,
    live::{Ear, Heard},
};
use crate::{
    Kind, kept,
    ws::{Closing, Message},
};

/// How long another answer to `ForceEndpoint` is waited for when a turn has ended already: there may be nothing left
/// to end, and nothing is said of that.
const AFTER_TURN: Duration = Duration::from_millis(500);
/// How long a short sound is waited for, of which nothing was heard at all: it may be no speech, of which nothing is
/// said either.
const AFTER_SOUND: Duration = Duration::from_secs(2);
/// What a short sound is, in samples (1.5 s): of longer speech something is heard while it is spoken.
const SHORT_SOUND: u64 = 24_000;

/// How far audio may be ahead of real time, counted from the opening of the connection. The service closes with 3007
/// where it comes faster (<https://www.assemblyai.com/docs/streaming/common-session-errors-and-closures>), names no
/// tolerance, and was seen to have one of about 310 s (<https://github.com/pigeonai-org/ViDove/pull/3>). A tenth of it
/// lets an ordinary utterance be heard again at once when a connection was lost.
const AHEAD: Duration = Duration::from_secs(30);

/// A connection to `AssemblyAI`.
#[derive(Debug)]
pub(crate) struct Line {
    /// Samples sent over it.
    samples: u64,
    opened: Instant,
    /// Whether anything came over it: `Begin` is the first.
    alive: bool,
}

impl Default for Line {
    /// A connection that was opened just now.
    fn default() -> Self {
        Self {
            samples: 0,
            opened: Instant::now(),
            alive: false,
        }
    }
}

impl kept::Line for Line {
    const FAREWELL: Option<&'static str> = Some(r#"{"type":"Terminate"}"#);

    fn overhear(&mut self, _message: &Message) {
        self.alive = true;
    }
}

/// How the last turn stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// It may still grow.
    Open,
    Ended,
}

/// The text of one utterance.
#[derive(Debug)]
pub(crate) struct Turns {
    /// The connection's samples before the utterance.
    start: u64,
    samples: u64,
    /// By their numbers, which count up over the connection.
    texts: BTreeMap<u64, String>,
    last: Last,
    /// Whether nothing was sent behind the last `ForceEndpoint`.
    asked: bool,
    /// Times that `ForceEndpoint` was sent and no turn has ended since.
    unanswered: u32,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    turn_order: u64,
    #[serde(default)]
    end_of_turn: bool,
    #[serde(default)]
    transcript: String,
    #[serde(default)]
    words: Vec<Word>,
    #[serde(default)]
    error_code: u16,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Word {
    /// In ms from the start of the connection's audio.
    start: u64,
    end: u64,
    text: String,
}

impl Ear for Turns {
    type Line = Line;
    /// Messages of 50 to 1000 ms; others are answered by an error.
    const MESSAGE: (usize, usize) = (50 * SAMPLES_PER_MS, 1_000 * SAMPLES_PER_MS);
    const END: &'static str = r#"{"type":"ForceEndpoint"}"#;

    fn begin(line: &Line) -> Self {
        Self {
            start: line.samples,
            samples: 0,
            texts: BTreeMap::new(),
            last: Last::Ended,
            asked: false,
            unanswered: 0,
        }
    }

    fn due(line: &Line, samples: usize) -> Option<Instant> {
        let ms = (line.samples + samples as u64) / SAMPLES_PER_MS as u64;
        let ahead = Duration::from_millis(ms).saturating_sub(AHEAD);
        Some(line.opened + ahead)
    }

    fn sent(&mut self, line: &mut Line, samples: usize) {
        line.samples += samples as u64;
        self.samples += samples as u64;
        self.asked = false;
    }

    fn asked(&mut self, _line: &Line) {
        self.asked = true;
        self.unanswered += 1;
    }

    fn take(&mut self, message: &str) -> Result<Heard, Kind> {
        let frame: Frame = serde_json::from_str(message).map_err(|_| Kind::Protocol)?;
        match frame.kind.as_str() {
            "Turn" => Ok(self.turn(frame)),
            "Error" => Err(kind_of(frame.error_code, &frame.error)),
            "" => Err(Kind::Protocol),
            // Begin, SpeechStarted, Termination, and what may be added
            _ => Ok(Heard::Nothing),
        }
    }

    fn text(&self) -> String {
        let texts: Vec<&str> = self
            .texts
            .values()
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
            .collect();
        texts.join(" ")
    }

    fn grace(&self, line: &Line) -> Option<Duration> {
        match (self.texts.is_empty(), self.last) {
            (false, Last::Ended) => Some(AFTER_TURN),
            // nobody says nothing who has not even said hello
            (true, _) if self.samples < SHORT_SOUND && line.alive => Some(AFTER_SOUND),
            _ => None,
        }
    }

    fn closed(closing: &Closing) -> Kind {
        kind_of(closing.code, &closing.reason)
    }
}

impl Turns {
    fn turn(&mut self, frame: Frame) -> Heard {
        if let (Some(first), Some(last)) = (frame.words.first(), frame.words.last()) {
            let middle = u64::midpoint(first.start, last.end) * SAMPLES_PER_MS as u64;
            if middle < self.start {
                return Heard::Nothing;
            }
        }
        // words that may still change are not part of the transcript
        let text = if frame.end_of_turn || frame.words.is_empty() {
            frame.transcript
        } else {
            let words: Vec<&str> = frame.words.iter().map(|word| word.text.as_str()).collect();
            words.join(" ")
        };
        if !text.is_empty() {
            self.texts.insert(frame.turn_order, text);
            self.last = if frame.end_of_turn {
                Last::Ended
            } else {
                Last::Open
            };
        }
        if !frame.end_of_turn {
            return Heard::Text;
        }
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.asked && self.unanswered == 0 {
            Heard::Settled
        } else {
            Heard::Text
        }
    }
}

/// <https://www.assemblyai.com/docs/streaming/common-session-errors-and-closures>: 1008 is for a key that is wrong
/// and for too many sessions at once, which only its words tell apart; 3006 and 3007 for what was sent, the latter also
/// for audio that came too fast; 3008 for a session that has lasted three hours.
fn kind_of(code: u16, reason: &str) -> Kind {
    match code {
        // a closing has the first word only
        3007 if reason.starts_with("Audio") || reason.contains("Rate Exceeded") => Kind::Overloaded,
        1008 | 3009 if reason.starts_with("Too") => Kind::RateLimited,
        1008 => Kind::Unauthorized,
        3009 => Kind::RateLimited,
        3006 | 3007 => Kind::Rejected,
        _ => Kind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn turn(order: u64, words: &[(u64, &str)], ends: bool) -> String {
        let said: Vec<&str> = words.iter().map(|(_, text)| *text).collect();
        let words: Vec<serde_json::Value> = words
            .iter()
            .map(|(start, text)| {
                json!({ "start": start, "end": start + 80, "text": text, "confidence": 0.9, "word_is_final": ends })
            })
            .collect();
        json!({
            "type": "Turn", "turn_order": order, "turn_is_formatted": false, "end_of_turn": ends,
            "transcript": if ends { said.join(" ") } else { String::new() },
            "end_of_turn_confidence": 0.1, "words": words, "utterance": ""
        })
        .to_string()
    }

    fn hearing(line: &mut Line, ms: usize) -> Turns {
        let mut turns = Turns::begin(line);
        turns.sent(line, ms * SAMPLES_PER_MS);
        turns
    }

    #[test]
    fn turns_follow_each_other_and_replace_themselves() {
        let mut line = Line::default();
        let mut turns = hearing(&mut line, 3_000);
        for (message, text) in [
            (turn(0, &[(100, "hi")], false), "hi"),
            (turn(0, &[(100, "hi"), (300, "there")], true), "hi there"),
            (turn(1, &[(900, "who")], false), "hi there who"),
        ] {
            assert_eq!(turns.take(&message), Ok(Heard::Text));
            assert_eq!(turns.text(), text);
        }
        turns.asked(&line);
        assert_eq!(turns.grace(&line), None);
        let last = turn(1, &[(900, "who"), (1_100, "is")], true);
        assert_eq!(turns.take(&last), Ok(Heard::Settled));
        assert_eq!(turns.text(), "hi there who is");
    }

    #[test]
    fn what_was_said_before_the_utterance_is_not_part_of_it() {
        let mut line = Line::default();
        drop(hearing(&mut line, 2_000));
        let mut turns = hearing(&mut line, 1_000);
        turns.asked(&line);
        let late = turn(4, &[(500, "before")], true);
        assert_eq!(turns.take(&late), Ok(Heard::Nothing));
        assert_eq!(turns.text(), "");
    }

    #[test]
    fn only_what_may_stay_unanswered_is_not_waited_for() {
        let mut line = Line::default();
        let mut turns = hearing(&mut line, 500);
        turns.asked(&line);
        assert_eq!(turns.grace(&line), None);
        kept::Line::overhear(&mut line, &Message::Text("{}".into()));
        assert_eq!(turns.grace(&line), Some(AFTER_SOUND));
        turns.sent(&mut line, 32_000);
        turns.asked(&line);
        assert_eq!(turns.grace(&line), None);
        turns.take(&turn(0, &[(100, "hi")], true)).unwrap();
        assert_eq!(turns.grace(&line), Some(AFTER_TURN));
    }

    #[test]
    fn errors_tell_what_to_do() {
        let mut line = Line::default();
        let mut turns = hearing(&mut line, 500);
        for (code, error, kind) in [
            (
                1008,
                "Unauthorized Connection: Missing Authorization header",
                Kind::Unauthorized,
            ),
            (1008, "Too many concurrent sessions", Kind::RateLimited),
            (3007, "Input duration violation: 20 ms", Kind::Rejected),
            (
                3007,
                "Audio Transmission Rate Exceeded: Received 90 sec. audio in 2 sec",
                Kind::Overloaded,
            ),
            (
                3008,
                "Session Expired: Maximum session duration exceeded",
                Kind::Unavailable,
            ),
        ] {
            let message = json!({ "type": "Error", "error_code": code, "error": error });
            assert_eq!(turns.take(&message.to_string()), Err(kind), "{error}");
        }
        assert_eq!(turns.take("{}"), Err(Kind::Protocol));
        assert_eq!(
            turns.take(r#"{"type":"Turn","words":1}"#),
            Err(Kind::Protocol)
        );
    }
}
