//! What Deepgram's `Results` add up to.
//! Fed by the listening task with every text frame.
//! Never takes text for this utterance that was said before it.
//!
//! Results carry the time of the audio they are about, counted from the start of the connection. A connection is
//! shared by the utterances of a session, so the time tells which of them a result belongs to, and whether it covers
//! all that was sent. That is needed: `from_finalize` "may" come, and does only where a noticeable amount of audio
//! was still unread (<https://developers.deepgram.com/docs/finalize>).

use serde::Deserialize;
use tokio::time::Duration;

use super::super::live::{Ear, Heard};
use crate::{Kind, kept, ws::Closing};

/// Samples per second.
const RATE: f64 = 16_000.0;
/// Rounding of times, in samples (20 ms): what ends so close to the end of the audio ends with it.
const ROUNDING: u64 = 320;
/// Audio that Deepgram may leave unread without a word, in samples (100 ms).
const UNNOTICED: u64 = 1_600;
/// How long `from_finalize` is waited for when no more than that is unread.
const GRACE: Duration = Duration::from_millis(500);

/// A connection to Deepgram.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Samples sent over it.
    samples: u64,
}

impl kept::Line for Line {
    /// Deepgram closes with `NET-0001` after 10 s in which neither audio nor this came, and asks for one every 3 to
    /// 5 s (<https://developers.deepgram.com/docs/audio-keep-alive>). It costs nothing, unlike silence.
    const KEEP_ALIVE: Option<(Duration, &'static str)> =
        Some((Duration::from_secs(4), r#"{"type":"KeepAlive"}"#));
    /// <https://developers.deepgram.com/docs/close-stream>
    const FAREWELL: Option<&'static str> = Some(r#"{"type":"CloseStream"}"#);
}

/// The text of one utterance.
#[derive(Debug)]
pub(crate) struct Words {
    /// The connection's samples before the utterance.
    start: u64,
    settled: String,
    interim: String,
    /// Samples up to which the text is settled.
    covered: u64,
    /// Samples sent when `Finalize` was.
    asked: Option<u64>,
    /// Times that `Finalize` was sent and not answered.
    unanswered: u32,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "two independent marks of one message, as the contract has them"
)]
#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    start: f64,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    is_final: bool,
    #[serde(default)]
    from_finalize: bool,
    #[serde(default)]
    channel: serde_json::Value,
}

impl Ear for Words {
    type Line = Line;
    /// Messages of up to 250 ms, the upper end of what Deepgram asks for.
    const MESSAGE: (usize, usize) = (1, 4_000);
    const END: &'static str = r#"{"type":"Finalize"}"#;

    fn begin(line: &Line) -> Self {
        Self {
            start: line.samples,
            settled: String::new(),
            interim: String::new(),
            covered: line.samples,
            asked: None,
            unanswered: 0,
        }
    }

    fn sent(&mut self, line: &mut Line, samples: usize) {
        line.samples += samples as u64;
        self.asked = None;
    }

    fn asked(&mut self, line: &Line) {
        self.asked = Some(line.samples);
        self.unanswered += 1;
    }

    fn take(&mut self, message: &str) -> Result<Heard, Kind> {
        let frame: Frame = serde_json::from_str(message).map_err(|_| Kind::Protocol)?;
        match frame.kind.as_str() {
            "Results" => self.results(&frame),
            "Error" => Err(Kind::Unavailable),
            "" => Err(Kind::Protocol),
            // Metadata, SpeechStarted, UtteranceEnd, and what may be added
            _ => Ok(Heard::Nothing),
        }
    }

    fn text(&self) -> String {
        [self.settled.as_str(), self.interim.as_str()]
            .join(" ")
            .trim()
            .to_owned()
    }

    fn grace(&self, _line: &Line) -> Option<Duration> {
        let unread = self.asked?.saturating_sub(self.covered);
        if self.covered == self.start || unread > UNNOTICED {
            None
        } else if unread > ROUNDING {
            Some(GRACE)
        } else {
            // it was all settled before it was asked for
            Some(Duration::ZERO)
        }
    }

    /// <https://developers.deepgram.com/docs/stt-troubleshooting-websocket-data-and-net-errors>: 1008 is for audio
    /// that cannot be read, 1011 for a connection that was silent or a service that failed.
    fn closed(closing: &Closing) -> Kind {
        match closing.code {
            1008 => Kind::Rejected,
            _ => Kind::Unavailable,
        }
    }
}

impl Words {
    fn results(&mut self, frame: &Frame) -> Result<Heard, Kind> {
        let transcript = frame.channel["alternatives"][0]["transcript"]
            .as_str()
            .ok_or(Kind::Protocol)?;
        let from = (frame.start.max(0.0) * RATE) as u64;
        let end = ((frame.start + frame.duration).max(0.0) * RATE).round() as u64;
        if u64::midpoint(from, end) < self.start {
            return Ok(Heard::Nothing);
        }
        if !frame.is_final {
            transcript.clone_into(&mut self.interim);
            return Ok(Heard::Text);
        }
        self.interim.clear();
        self.covered = self.covered.max(end);
        if !self.settled.is_empty() && !transcript.is_empty() {
            self.settled.push(' ');
        }
        self.settled.push_str(transcript);
        if self.is_answer(frame.from_finalize, end) {
            self.unanswered = 0;
            return Ok(Heard::Settled);
        }
        Ok(Heard::Text)
    }

    /// Whether results up to `end` answer the last `Finalize`.
    fn is_answer(&mut self, from_finalize: bool, end: u64) -> bool {
        let Some(asked) = self.asked else {
            self.unanswered = self.unanswered.saturating_sub(u32::from(from_finalize));
            return false;
        };
        if end + ROUNDING >= asked {
            return true;
        }
        if !from_finalize {
            return false;
        }
        // one that answers an earlier mark ends where the audio did then
        let only = self.unanswered <= 1;
        self.unanswered = self.unanswered.saturating_sub(1);
        only || end + UNNOTICED >= asked
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
