//! What is said to an Aura voice and what it answers
//! (<https://developers.deepgram.com/docs/tts-websocket>).
//! Driven by the reply that speaks.
//! Never flushes more often than Deepgram allows: pieces share a flush then.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::json;
use tokio::time::{Duration, Instant};

use super::super::live::{Said, Voice};
use crate::{
    Kind, kept,
    ws::{Closing, Message},
};

/// Flushes that Deepgram takes (<https://developers.deepgram.com/docs/tts-ws-flush#limits>) in [`WINDOW`].
const FLUSHES: usize = 20;
/// See [`FLUSHES`].
const WINDOW: Duration = Duration::from_mins(1);
/// Flushes that may follow each other at any pace; behind them one is due every [`PACE`], so that none has to wait
/// for the end of the window.
const AT_ANY_PACE: usize = 8;
/// The flushes that are left, spread over the window.
const PACE: Duration = Duration::from_secs(5);
/// Pieces that may share a flush.
const SHARING: usize = 8;
/// Characters of one message (<https://developers.deepgram.com/docs/text-to-speech#limits>).
const CHARS: usize = 2_000;

/// A connection to Deepgram.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// When it was flushed, within the window.
    flushes: VecDeque<Instant>,
    /// What comes belongs to a reply that was cancelled, until `Cleared` does.
    clearing: u32,
}

impl kept::Line for Line {
    /// <https://developers.deepgram.com/docs/tts-ws-close>
    const FAREWELL: Option<&'static str> = Some(r#"{"type":"Close"}"#);

    fn overhear(&mut self, message: &Message) {
        if let Message::Text(text) = message
            && let Ok(frame) = serde_json::from_str::<Frame>(text)
        {
            self.note(&frame);
        }
    }
}

impl Line {
    /// When the next flush may be sent; absent for at once.
    fn next_flush(&self) -> Option<Instant> {
        let now = Instant::now();
        let recent = |at: &&Instant| **at + WINDOW > now;
        let count = self.flushes.iter().filter(recent).count();
        let last = *self.flushes.back()?;
        let at = if count >= FLUSHES {
            self.flushes[self.flushes.len() - FLUSHES] + WINDOW
        } else if count >= AT_ANY_PACE {
            last + PACE
        } else {
            return None;
        };
        (at > now).then_some(at)
    }

    fn flushed(&mut self) {
        self.flushes.push_back(Instant::now());
        if self.flushes.len() > FLUSHES {
            self.flushes.pop_front();
        }
    }

    fn note(&mut self, frame: &Frame) {
        if frame.kind == "Cleared" {
            self.clearing = self.clearing.saturating_sub(1);
        }
    }
}

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
}

/// One reply.
#[derive(Debug, Default)]
pub(crate) struct Aura {
    /// Pieces behind the last flush.
    unflushed: usize,
    /// Pieces of each flush that is not answered.
    flushed: VecDeque<usize>,
}

impl Aura {
    fn flush(&mut self, line: &mut Line) -> String {
        line.flushed();
        self.flushed.push_back(std::mem::take(&mut self.unflushed));
        r#"{"type":"Flush"}"#.to_owned()
    }
}

impl Voice for Aura {
    type Line = Line;
    const REUSED: bool = true;

    fn begin(&mut self, _line: &mut Line) -> Vec<String> {
        *self = Self::default();
        Vec::new()
    }

    fn piece(&mut self, line: &mut Line, text: &str) -> Vec<String> {
        self.unflushed += 1;
        let mut texts: Vec<String> = parts(text)
            .map(|part| json!({ "type": "Speak", "text": part }).to_string())
            .collect();
        if line.next_flush().is_none() {
            texts.push(self.flush(line));
        }
        texts
    }

    fn due(&self, line: &Line) -> Option<Instant> {
        (self.unflushed > 0).then(|| line.next_flush().unwrap_or_else(Instant::now))
    }

    fn overdue(&mut self, line: &mut Line) -> Vec<String> {
        vec![self.flush(line)]
    }

    fn room(&self) -> usize {
        if self.unflushed > 0 { SHARING } else { 2 }
    }

    fn take(
        &mut self,
        line: &mut Line,
        message: &Message,
        said: &mut Vec<Said>,
    ) -> Result<(), Kind> {
        let text = match message {
            Message::Binary(bytes) if line.clearing == 0 => {
                said.push(Said::Audio(bytes.to_vec()));
                return Ok(());
            }
            Message::Binary(_) | Message::Closed(_) => return Ok(()),
            Message::Text(text) => text,
        };
        let frame: Frame = serde_json::from_str(text).map_err(|_| Kind::Protocol)?;
        match frame.kind.as_str() {
            "Flushed" if line.clearing == 0 => {
                let pieces = self.flushed.pop_front().unwrap_or(0);
                said.extend(std::iter::repeat_n(Said::Done, pieces));
            }
            "Error" => return Err(Kind::Unavailable),
            "Warning" => tracing::debug!("deepgram warned of what a voice was asked for"),
            // Metadata, and what may be added
            _ => line.note(&frame),
        }
        Ok(())
    }

    /// <https://developers.deepgram.com/docs/tts-ws-clear>
    fn cancel(&mut self, line: &mut Line) -> Option<String> {
        line.clearing += 1;
        Some(r#"{"type":"Clear"}"#.to_owned())
    }

    fn closed(closing: &Closing) -> Kind {
        match closing.code {
            1008 => Kind::Rejected,
            _ => Kind::Unavailable,
        }
    }
}

/// Text in messages of a length that Deepgram takes. A space ends the piece: the next one may share its flush.
fn parts(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = text.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let most = rest.char_indices().nth(CHARS - 1);
        let end = most.map_or(rest.len(), |(most, _)| {
            rest[..most]
                .rfind(char::is_whitespace)
                .unwrap_or(most)
                .max(1)
        });
        let (part, more) = rest.split_at(end);
        rest = more.trim_start();
        Some(format!("{part} "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_words_and_none_is_lost() {
        let text = "word ".repeat(1_000);
        let cut: Vec<String> = parts(&text).collect();
        assert_eq!(cut.len(), 3);
        assert!(cut.iter().all(|part| part.chars().count() <= CHARS));
        assert_eq!(cut.concat(), text);
        let endless = "ü".repeat(4_500);
        let cut = parts(&endless).map(|part| part.chars().count());
        assert_eq!(cut.map(|chars| chars - 1).sum::<usize>(), 4_500);
    }

    #[tokio::test(start_paused = true)]
    async fn flushes_keep_to_the_limit() {
        let mut line = Line::default();
        let mut sent: Vec<Instant> = Vec::new();
        for _ in 0..100 {
            if let Some(at) = line.next_flush() {
                tokio::time::sleep_until(at).await;
            }
            line.flushed();
            sent.push(Instant::now());
        }
        assert!(
            sent.windows(FLUSHES + 1)
                .all(|few| few[FLUSHES] - few[0] >= WINDOW)
        );
        assert_eq!(sent[0], sent[AT_ANY_PACE - 1]);
    }
}
