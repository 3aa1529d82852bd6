//! Reads a streamed answer and hands its events on.
//! One task per answer, started by the vendors that answer over HTTP; it ends when nobody listens.
//! Never outlives its listener: dropping the bytes closes the request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use engine::ask::{Finish, LlmUsage};
use futures_util::{Stream, StreamExt as _};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    Kind, ProviderError, failure,
    ports::LlmEvent,
    sse::{EventTooLong, SseEvent, SseReader},
    vendor::Limits,
};

/// Bytes of one event; the longest known ones carry the arguments of a call in one piece.
pub(super) const EVENT_BYTES: usize = 1024 * 1024;
/// What follows the reason for the end (counts, the end mark) is waited for only so long.
const AFTER_FINISH: Duration = Duration::from_secs(2);
/// The end of the bytes behind the end mark is waited for so long: a connection read to its end
/// can be used again.
const AFTER_DONE: Duration = Duration::from_millis(250);

/// Numbers for calls that came without an id.
static CALLS: AtomicU64 = AtomicU64::new(1);

/// An id for a call that came without one.
pub(super) fn new_call_id() -> String {
    let number = CALLS.fetch_add(1, Ordering::Relaxed);
    format!("call_antiphon_{number}")
}

/// Why an event of a vendor's stream could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadEvent {
    /// It is not what the vendor's contract says.
    Malformed,
    /// It tells of an error.
    Error(Kind),
}

/// What an event was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It keeps the connection alive, not the answer.
    KeepAlive,
    /// A part of the answer.
    Event,
    /// The end mark.
    Last,
}

/// What a vendor's events add up to.
pub(super) trait Answer: Send + Sync {
    /// Takes one event and appends what it brings.
    fn take(&mut self, event: &SseEvent, events: &mut Vec<LlmEvent>) -> Result<Taken, BadEvent>;
    /// Appends what was kept back until the end.
    fn rest(&mut self, _events: &mut Vec<LlmEvent>) {}
    /// Why the answer ends, once that is known.
    fn finish(&self) -> Option<Finish>;
    /// Token counts, as far as they have come.
    fn usage(&self) -> LlmUsage;
}

/// How events are parted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON text a line.
    Lines,
}

/// An answer being read.
pub(super) struct Reading<A> {
    /// Of the vendor.
    pub(super) name: Arc<str>,
    /// When the first event is overdue.
    pub(super) deadline: Instant,
    pub(super) limits: Limits,
    pub(super) framing: Framing,
    pub(super) answer: A,
    pub(super) events: mpsc::Sender<LlmEvent>,
}

/// What is left to do when no more events come.
enum End {
    /// The end mark, with more bytes perhaps behind it.
    Marked,
    /// The bytes ended, or nothing came behind the reason for the end.
    Unmarked,
    /// Nobody listens any more.
    Unheard,
}

impl<A: Answer> Reading<A> {
    /// Reads `bytes` to the end, or until nobody listens.
    pub(super) async fn run<E>(mut self, bytes: impl Stream<Item = Result<Bytes, E>> + Send)
    where
        E: Into<Broken>,
    {
        let listener = self.events.clone();
        let mut bytes = std::pin::pin!(bytes);
        let read = tokio::select! {
            biased;
            () = listener.closed() => return,
            read = self.read(bytes.as_mut()) => read,
        };
        if read {
            let rest = async { while let Some(Ok(_)) = bytes.next().await {} };
            // whether the connection can be used again is all that depends on it
            let _ = tokio::time::timeout(AFTER_DONE, rest).await;
        }
    }

    /// Whether bytes may be left behind the end mark.
    async fn read<E, S>(&mut self, mut bytes: std::pin::Pin<&mut S>) -> bool
    where
        E: Into<Broken>,
        S: Stream<Item = Result<Bytes, E>> + ?Sized,
    {
        let last = match self.events_of(bytes.as_mut()).await {
            Ok(End::Unheard) => return false,
            Ok(End::Unmarked) if self.answer.finish().is_none() => {
                let message = "the stream broke off before the answer was complete";
                (
                    LlmEvent::Failed(self.error(Kind::Unavailable, message)),
                    false,
                )
            }
            Ok(end) => {
                let mut rest = Vec::new();
                self.answer.rest(&mut rest);
                for event in rest {
                    if self.send(event).await.is_err() {
                        return false;
                    }
                }
                let finish = self.answer.finish().unwrap_or(Finish::Stop);
                (
                    LlmEvent::Done {
                        finish,
                        usage: self.answer.usage(),
                    },
                    matches!(end, End::Marked),
                )
            }
            Err(error) => (LlmEvent::Failed(error), false),
        };
        // the session may have gone away meanwhile
        let _ = self.send(last.0).await;
        last.1
    }

    async fn events_of<E, S>(
        &mut self,
        mut bytes: std::pin::Pin<&mut S>,
    ) -> Result<End, ProviderError>
    where
        E: Into<Broken>,
        S: Stream<Item = Result<Bytes, E>> + ?Sized,
    {
        let mut reader = match self.framing {
            Framing::Sse => Reader::Sse(SseReader::new(EVENT_BYTES)),
            Framing::Lines => Reader::Lines(Vec::new()),
        };
        let mut deadline = self.deadline;
        let mut limit = self.limits.first_event;
        let mut messages: Vec<SseEvent> = Vec::new();
        let mut events: Vec<LlmEvent> = Vec::new();
        loop {
            let Ok(part) = tokio::time::timeout_at(deadline, bytes.next()).await else {
                if self.answer.finish().is_some() {
                    return Ok(End::Unmarked);
                }
                let message = "nothing more of the answer came";
                return Err(failure::silent(&self.name, message, limit));
            };
            let Some(part) = part else {
                return Ok(End::Unmarked);
            };
            let part = match part {
                Ok(part) => part,
                // everything had been said: how the connection ends is of no interest
                Err(_) if self.answer.finish().is_some() => return Ok(End::Unmarked),
                Err(error) => {
                    let Broken(kind, message) = error.into();
                    return Err(self.error(kind, message));
                }
            };
            reader
                .push(&part, &mut messages)
                .map_err(|error| self.error(Kind::Protocol, error.to_string()))?;
            let taken = self.take(&mut messages, &mut events);
            for event in events.drain(..) {
                if self.send(event).await.is_err() {
                    return Ok(End::Unheard);
                }
            }
            let taken = taken?;
            if taken == Taken::Last {
                return Ok(End::Marked);
            }
            if taken == Taken::Event {
                limit = self.limits.between_events;
                let wait = if self.answer.finish().is_some() {
                    limit.min(AFTER_FINISH)
                } else {
                    limit
                };
                deadline = Instant::now() + wait;
            }
        }
    }

    /// Takes messages up to the end mark, and tells the most that came.
    fn take(
        &mut self,
        messages: &mut Vec<SseEvent>,
        events: &mut Vec<LlmEvent>,
    ) -> Result<Taken, ProviderError> {
        let mut most = Taken::KeepAlive;
        for message in messages.drain(..) {
            let taken = self.answer.take(&message, events).map_err(|bad| match bad {
                BadEvent::Malformed => {
                    let message = "the answer broke off with an event that breaks the protocol";
                    self.error(Kind::Protocol, message)
                }
                BadEvent::Error(kind) => {
                    self.error(kind, "the server broke its answer off with an error")
                }
            });
            match taken? {
                Taken::Last => return Ok(Taken::Last),
                Taken::Event => most = Taken::Event,
                Taken::KeepAlive => {}
            }
        }
        Ok(most)
    }

    fn error(&self, kind: Kind, message: impl Into<String>) -> ProviderError {
        ProviderError::new(self.name.to_string(), kind, message)
    }

    async fn send(&self, event: LlmEvent) -> Result<(), mpsc::error::SendError<LlmEvent>> {
        let event = match event {
            LlmEvent::ToolCall { call_id, name } if call_id.is_empty() => {
                let call_id = new_call_id();
                LlmEvent::ToolCall { call_id, name }
            }
            event => event,
        };
        self.events.send(event).await
    }
}

/// Why bytes stopped coming.
pub(super) struct Broken(Kind, String);

impl From<reqwest::Error> for Broken {
    fn from(error: reqwest::Error) -> Self {
        let error = failure::of_transport("", &error);
        Self(error.kind, error.message)
    }
}

/// What parts events from each other.
enum Reader {
    Sse(SseReader),
    Lines(Vec<u8>),
}

impl Reader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), EventTooLong> {
        let line = match self {
            Self::Sse(reader) => return reader.push(bytes, events),
            Self::Lines(line) => line,
        };
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if line.len() + part.len() > EVENT_BYTES {
                return Err(EventTooLong { limit: EVENT_BYTES });
            }
            line.extend_from_slice(part);
            if parts.peek().is_some() {
                let data = String::from_utf8_lossy(line).into_owned();
                line.clear();
                let event = String::new();
                events.push(SseEvent { event, data });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
