//! Frames of the app to inputs of the session, and what the writer has to say because of them.
//! Runs in the connection's task until the app goes.
//! Never answers, and never hands on sound that is too short, too long or muted.

use std::pin::pin;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use engine::audio::{Resampler, SampleRate};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use wire::voice::{
    CALLER_RATE_HZ, CHUNKS_PER_RECEIPT, ClientMessage, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES,
    ServerMessage, SessionStart, code, decode,
};

use crate::edge::{Inbound, Sender};
use crate::observe::Outcome;

/// An app that sends nothing for so long, not even the answer to a ping, has vanished; pings go out every 20 s.
const SILENT_FOR: Duration = Duration::from_secs(65);

/// What the reader tells the writer.
#[derive(Debug)]
pub(super) enum Note {
    /// Say this.
    Say(Box<ServerMessage>),
    /// The caller is not heard any more, or again.
    Muted(bool),
    /// Whoever speaks is to stop.
    Interrupt,
    /// The app comes with a token again.
    StartAgain(Box<SessionStart>),
    /// The session is over.
    End,
    /// Nothing but pings has come for too long.
    Idle,
}

/// Why the app is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It said goodbye.
    Closed,
    /// The connection broke, or it sent what is no WebSocket frame.
    Lost,
    /// It no longer answers pings.
    Silent,
}

impl Gone {
    /// How the session ended, by that.
    pub(super) const fn outcome(self) -> Outcome {
        match self {
            Self::Closed => Outcome::ClientClosed,
            Self::Lost => Outcome::ConnectionLost,
            Self::Silent => Outcome::Unresponsive,
        }
    }
}

/// Nobody takes what is read any more.
struct Over;

impl<T> From<mpsc::error::SendError<T>> for Over {
    fn from(_: mpsc::error::SendError<T>) -> Self {
        Self
    }
}

/// Reads one connection.
pub(super) struct Reader {
    pub(super) inbound: Sender<Inbound>,
    pub(super) notes: mpsc::Sender<Note>,
    /// For models that hear by themselves: they take 24 kHz.
    pub(super) resampler: Option<Resampler>,
    /// Silence that ends a turn, in ms.
    pub(super) silence_ms: u32,
    /// How long nothing but pings may come.
    pub(super) idle: Duration,
    pub(super) chunks: u64,
    pub(super) muted: bool,
    /// Sound that came before there was a session; may be empty.
    pub(super) first: Bytes,
}

impl Reader {
    pub(super) async fn read(mut self, socket: &mut SplitStream<WebSocket>) -> Gone {
        let first = std::mem::take(&mut self.first);
        if !first.is_empty() && self.sound(first).await.is_err() {
            return Gone::Closed;
        }
        // set again when it goes off, and not for every frame
        let mut patience = pin!(sleep(SILENT_FOR.min(self.idle)));
        let mut heard_at = Instant::now();
        let mut used_at = heard_at;
        loop {
            let message = tokio::select! {
                biased;
                message = socket.next() => match message {
                    None | Some(Err(_)) => return Gone::Lost,
                    Some(Ok(message)) => message,
                },
                () = patience.as_mut() => {
                    if heard_at.elapsed() >= SILENT_FOR {
                        return Gone::Silent;
                    }
                    if used_at.elapsed() >= self.idle {
                        used_at = Instant::now();
                        let _ = self.notes.send(Note::Idle).await;
                    }
                    patience.as_mut().reset((heard_at + SILENT_FOR).min(used_at + self.idle));
                    continue;
                }
            };
            heard_at = Instant::now();
            let handed_on = match message {
                Message::Text(text) => {
                    let said = decode(text.as_str());
                    if said != Ok(ClientMessage::Ping) {
                        used_at = heard_at;
                    }
                    match said {
                        Ok(message) => self.control(message).await,
                        Err(refused) => {
                            let error =
                                ServerMessage::error(code::INVALID_MESSAGE, refused.to_string());
                            self.say(error).await
                        }
                    }
                }
                Message::Binary(bytes) => {
                    used_at = heard_at;
                    self.sound(bytes).await
                }
                Message::Close(_) => return Gone::Closed,
                Message::Ping(_) | Message::Pong(_) => Ok(()),
            };
            if handed_on.is_err() {
                return Gone::Closed;
            }
        }
    }

    async fn say(&self, message: ServerMessage) -> Result<(), Over> {
        Ok(self.notes.send(Note::Say(Box::new(message))).await?)
    }

    async fn control(&mut self, message: ClientMessage) -> Result<(), Over> {
        let note = match message {
            ClientMessage::Ping => Note::Say(Box::new(ServerMessage::Pong {})),
            ClientMessage::Mute => {
                if !self.muted {
                    // what was begun is a turn: without silence behind it nobody would answer
                    let bytes = 2 * CALLER_RATE_HZ * (self.silence_ms + 200) / 1000;
                    self.hand_on(Bytes::from(vec![0; bytes as usize])).await?;
                }
                self.muted = true;
                Note::Muted(true)
            }
            ClientMessage::Unmute => {
                self.muted = false;
                Note::Muted(false)
            }
            ClientMessage::Interrupt => Note::Interrupt,
            ClientMessage::SessionEnd => Note::End,
            ClientMessage::SessionStart(start) => Note::StartAgain(start),
        };
        Ok(self.notes.send(note).await?)
    }

    async fn sound(&mut self, bytes: Bytes) -> Result<(), Over> {
        let size = bytes.len();
        if let Some(refused) = refused_chunk(size) {
            return self.say(refused).await;
        }
        self.chunks += 1;
        if self.chunks.is_multiple_of(CHUNKS_PER_RECEIPT) {
            let receipt = ServerMessage::AudioReceived {
                size,
                total_chunks: self.chunks,
            };
            self.say(receipt).await?;
        }
        if self.muted {
            return Ok(());
        }
        self.hand_on(bytes).await
    }

    /// Sound for the session; a full queue stops the reading, and TCP slows the app down.
    async fn hand_on(&mut self, bytes: Bytes) -> Result<(), Over> {
        let bytes = match &mut self.resampler {
            None => bytes,
            Some(resampler) => {
                let pairs = bytes.as_chunks::<2>().0.iter();
                let samples: Vec<i16> = pairs.map(|pair| i16::from_le_bytes(*pair)).collect();
                let mut converted = Vec::new();
                resampler.push(&samples, &mut converted);
                let bytes = converted.iter().flat_map(|sample| sample.to_le_bytes());
                bytes.collect::<Vec<u8>>().into()
            }
        };
        for slice in slices(bytes) {
            self.inbound.send(slice).await?;
        }
        Ok(())
    }
}

/// A resampler for models that take 24 kHz.
pub(super) fn resampler() -> Resampler {
    Resampler::new(SampleRate::HZ_16K, SampleRate::HZ_24K)
}

/// The longest frame is a few steps of the session's: between them it has time for everything else.
fn slices(mut bytes: Bytes) -> impl Iterator<Item = Inbound> {
    let mut first = true;
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let slice = bytes.split_to(bytes.len().min(crate::edge::SLICE_BYTES));
        let message = if std::mem::take(&mut first) {
            Inbound::Audio(slice)
        } else {
            Inbound::MoreAudio(slice)
        };
        Some(message)
    })
}

/// What is said to a frame of sound of a size that is not taken.
pub(super) fn refused_chunk(size: usize) -> Option<ServerMessage> {
    if size < MIN_CHUNK_BYTES {
        let sentence = format!("Audio chunk too small: {size} bytes (min: {MIN_CHUNK_BYTES})");
        return Some(ServerMessage::error(code::CHUNK_TOO_SMALL, sentence));
    }
    if size > MAX_CHUNK_BYTES {
        let sentence = format!("Audio chunk too large: {size} bytes (max: {MAX_CHUNK_BYTES})");
        return Some(ServerMessage::error(code::CHUNK_TOO_LARGE, sentence));
    }
    None
}

/// Held by the writer for as long as it takes notes.
pub(super) type Notes = mpsc::Receiver<Note>;

/// Notes that may wait for the writer; when they are so many, the socket is not read.
const NOTES: usize = 64;

/// The two ends of the way from the reader to the writer.
pub(super) fn notes() -> (mpsc::Sender<Note>, Notes) {
    mpsc::channel(NOTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_any_legal_size_are_taken() {
        for size in [MIN_CHUNK_BYTES, 1023, 2048, 3200, 8192, MAX_CHUNK_BYTES] {
            assert_eq!(refused_chunk(size), None);
        }
        for (size, code) in [
            (0, code::CHUNK_TOO_SMALL),
            (99, code::CHUNK_TOO_SMALL),
            (MAX_CHUNK_BYTES + 1, code::CHUNK_TOO_LARGE),
            (1 << 20, code::CHUNK_TOO_LARGE),
        ] {
            let Some(ServerMessage::Error {
                code: said,
                message,
                ..
            }) = refused_chunk(size)
            else {
                panic!("{size}");
            };
            assert_eq!(said.as_deref(), Some(code));
            assert!(message.contains(&format!("{size} bytes")));
        }
    }

    #[test]
    fn a_long_frame_is_cut_and_nothing_of_it_is_lost() {
        let bytes: Vec<u8> = (0..100_000).map(|n| n as u8).collect();
        let mut whole = Vec::new();
        for (at, slice) in slices(Bytes::from(bytes.clone())).enumerate() {
            match slice {
                Inbound::Audio(slice) if at == 0 => whole.extend_from_slice(&slice),
                Inbound::MoreAudio(slice) if at > 0 => whole.extend_from_slice(&slice),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(whole, bytes);
    }
}
