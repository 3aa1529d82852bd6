//! Reads a streamed answer and hands its events on.
//! One task per answer, started by [`super::OpenAiLlm`]; it ends when nobody listens.
//! Never outlives its listener: dropping the bytes closes the request.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use engine::ask::Finish;
use futures_util::{Stream, StreamExt as _};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Limits, NAME,
    chunk::{Assembly, BadChunk},
    failure,
};
use crate::{
    Kind, ProviderError,
    ports::LlmEvent,
    sse::{SseEvent, SseReader},
};

/// Bytes of one event; the longest known ones carry the arguments of a call in one piece.
const EVENT_BYTES: usize = 1024 * 1024;
/// What follows the reason for the end (counts, the end mark) is waited for only so long.
const AFTER_FINISH: Duration = Duration::from_secs(2);
/// The end of the bytes behind the end mark is waited for so long: a connection read to its end
/// can be used again.
const AFTER_DONE: Duration = Duration::from_millis(250);

/// Numbers for calls that came without an id.
static CALLS: AtomicU64 = AtomicU64::new(1);

/// An answer being read.
pub(super) struct Reading {
    /// When the first event is overdue.
    pub(super) deadline: Instant,
    pub(super) limits: Limits,
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

impl Reading {
    /// Reads `bytes` to the end, or until nobody listens.
    pub(super) async fn run<E>(self, bytes: impl Stream<Item = Result<Bytes, E>> + Send)
    where
        E: Into<ProviderError>,
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
    async fn read<E, S>(self, mut bytes: std::pin::Pin<&mut S>) -> bool
    where
        E: Into<ProviderError>,
        S: Stream<Item = Result<Bytes, E>> + ?Sized,
    {
        let mut assembly = Assembly::default();
        let last = match self.events_of(bytes.as_mut(), &mut assembly).await {
            Ok(End::Unheard) => return false,
            Ok(End::Unmarked) if assembly.finish.is_none() => {
                let message = "the stream broke off before the answer was complete";
                (
                    LlmEvent::Failed(ProviderError::new(NAME, Kind::Unavailable, message)),
                    false,
                )
            }
            Ok(end) => {
                for event in assembly.rest() {
                    if self.send(event).await.is_err() {
                        return false;
                    }
                }
                let finish = assembly.finish.unwrap_or(Finish::Stop);
                (
                    LlmEvent::Done {
                        finish,
                        usage: assembly.usage,
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
        &self,
        mut bytes: std::pin::Pin<&mut S>,
        assembly: &mut Assembly,
    ) -> Result<End, ProviderError>
    where
        E: Into<ProviderError>,
        S: Stream<Item = Result<Bytes, E>> + ?Sized,
    {
        let mut reader = SseReader::new(EVENT_BYTES);
        let mut deadline = self.deadline;
        let mut limit = self.limits.first_event;
        let mut messages: Vec<SseEvent> = Vec::new();
        let mut events: Vec<LlmEvent> = Vec::new();
        loop {
            let Ok(part) = tokio::time::timeout_at(deadline, bytes.next()).await else {
                if assembly.finish.is_some() {
                    return Ok(End::Unmarked);
                }
                return Err(failure::silent("nothing more of the answer came", limit));
            };
            let Some(part) = part else {
                return Ok(End::Unmarked);
            };
            let part = match part {
                Ok(part) => part,
                // everything had been said: how the connection ends is of no interest
                Err(_) if assembly.finish.is_some() => return Ok(End::Unmarked),
                Err(error) => return Err(error.into()),
            };
            reader
                .push(&part, &mut messages)
                .map_err(|error| protocol(error.to_string()))?;
            let alive = !messages.is_empty();
            let marked = take(&mut messages, assembly, &mut events);
            for event in events.drain(..) {
                if self.send(event).await.is_err() {
                    return Ok(End::Unheard);
                }
            }
            if marked? {
                return Ok(End::Marked);
            }
            // comments keep a connection alive, not an answer
            if alive {
                limit = self.limits.between_events;
                let wait = if assembly.finish.is_some() {
                    limit.min(AFTER_FINISH)
                } else {
                    limit
                };
                deadline = Instant::now() + wait;
            }
        }
    }

    async fn send(&self, event: LlmEvent) -> Result<(), mpsc::error::SendError<LlmEvent>> {
        let event = match event {
            LlmEvent::ToolCall { call_id, name } if call_id.is_empty() => {
                let number = CALLS.fetch_add(1, Ordering::Relaxed);
                LlmEvent::ToolCall {
                    call_id: format!("call_antiphon_{number}"),
                    name,
                }
            }
            event => event,
        };
        self.events.send(event).await
    }
}

/// Takes messages up to the end mark, and tells whether it came.
fn take(
    messages: &mut Vec<SseEvent>,
    assembly: &mut Assembly,
    events: &mut Vec<LlmEvent>,
) -> Result<bool, ProviderError> {
    for message in messages.drain(..) {
        let data = message.data.trim();
        if data == "[DONE]" {
            return Ok(true);
        }
        if data.is_empty() {
            continue;
        }
        assembly.take(data, events).map_err(|bad| match bad {
            BadChunk::Malformed => protocol("the server sent a chunk that is no json".to_owned()),
            BadChunk::Error(kind) => {
                ProviderError::new(NAME, kind, "the server broke its answer off with an error")
            }
        })?;
    }
    Ok(false)
}

fn protocol(message: String) -> ProviderError {
    ProviderError::new(NAME, Kind::Protocol, message)
}

impl From<reqwest::Error> for ProviderError {
    fn from(error: reqwest::Error) -> Self {
        failure::of_transport(&error)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
