//! Where live conversations enter and leave: one protocol, one folder, all ending in the same two channels.
//! Mounted by `http::router`; drives `session`.
//! Never decides what a conversation does: that is `engine::Session`.

pub mod chat;
mod queue;
pub mod realtime;
pub mod survey;
pub mod telephony;
pub mod voice;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use wire::realtime::{ClientEvent, ErrorBody, ServerEvent};

use crate::observe::Outcome;

pub(crate) use queue::queue;
pub use queue::{Receiver, Sender};

/// Largest message a client may send, in bytes: an append of 15 MiB is 20 MiB of base64 (spec/realtime §2.4).
pub const MAX_MESSAGE_BYTES: usize = 24 * 1024 * 1024;
/// tungstenite reserves this much per connection for as long as it lives, and takes no more at once. That costs no system
/// calls, because the connection below it reads 16 KiB at a time and keeps nothing once it has handed that on.
pub const READ_BUFFER_BYTES: usize = 512;
/// Frames are handed to the kernel as they come; nothing is gained by collecting 100 ms slices.
pub const WRITE_BUFFER_BYTES: usize = 0;
/// What may wait inside the socket library when the kernel does not take it: one retrieved item with its audio.
pub const MAX_WRITE_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Messages read from a client and not yet taken by its session. When full, the socket is not read:
/// TCP slows the sender down and nothing is lost.
const INBOUND_MESSAGES: usize = 64;
/// Bytes of large events (JSON) in that queue; when they are used up, the socket is not read either.
const INBOUND_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of large events in the queue to the client; when they are used up, it counts as full.
const OUTBOUND_BYTES: usize = 16 * 1024 * 1024;
/// Events up to this size are bounded by their number alone, which spares the many the counting: 64 of them are
/// 1 MiB, 1024 are 16 MiB.
const LARGE_BYTES: usize = 16 * 1024;
/// Longest audio handed on at once, in bytes: 1 s of 24 kHz PCM. A longer append is heard in such slices, between
/// which the session has time for everything else.
const SLICE_BYTES: usize = 48_000;

/// Room in a queue, held by a large message for as long as it waits there.
pub type Room = Option<OwnedSemaphorePermit>;

/// What a protocol's reader tells the session.
#[derive(Debug)]
pub enum Inbound {
    /// A decoded event.
    Event(Box<ClientEvent>, Room),
    /// Caller audio in the session's input format, at most 48,000 bytes (1 s of 24 kHz PCM).
    Audio(Bytes),
    /// The next slice of the same append.
    MoreAudio(Bytes),
    /// Words to be said as they are, as soon as nobody speaks.
    Say(Box<str>),
    /// Something the decoder refused; the session answers with an error and goes on.
    Rejected(Box<ErrorBody>),
}

/// What the session tells a protocol's writer.
#[derive(Debug)]
pub enum Outbound {
    /// An event for the client.
    Event(Box<ServerEvent>, Room),
    /// The next audio event is the first of a turn; for metrics.
    FirstAudio(std::time::Instant),
    /// Close the connection; last.
    Close(Box<Closing>),
}

/// How a connection is closed.
#[derive(Debug)]
pub struct Closing {
    /// Said before, to this connection alone: it does not concern whoever goes on with the session.
    pub error: Option<ErrorBody>,
    /// WebSocket close code.
    pub code: u16,
    /// Reason, at most 123 bytes (RFC 6455 §5.5).
    pub reason: String,
}

/// The session's end of a connection.
#[derive(Debug)]
pub struct Edge {
    /// Ends when the client has gone.
    pub inbound: Receiver<Inbound>,
    /// Bounded by `sessions.send_queue_events`; a client that lets it stay full is closed, and the close frame still
    /// finds a place.
    pub outbound: Sender<Outbound>,
    /// Room for large events to the client.
    pub room: Budget,
    /// How the client left, once it has.
    pub left: oneshot::Receiver<Outcome>,
}

/// The protocol's end of a connection.
#[derive(Debug)]
pub struct Line {
    /// To the session.
    pub inbound: Sender<Inbound>,
    /// From the session.
    pub outbound: Receiver<Outbound>,
    /// Room for large events from the client.
    pub room: Budget,
    /// Where to say that the client has left, before `inbound` is dropped.
    pub left: oneshot::Sender<Outcome>,
}

/// The two ends of a connection whose events out are bounded by `send_queue_events`.
pub fn connection(send_queue_events: usize) -> (Edge, Line) {
    let (inbound_tx, inbound) = queue::queue(INBOUND_MESSAGES);
    let (outbound, outbound_rx) = queue::queue(send_queue_events);
    let (left_tx, left) = oneshot::channel();
    (
        Edge {
            inbound,
            outbound,
            room: Budget::new(OUTBOUND_BYTES),
            left,
        },
        Line {
            inbound: inbound_tx,
            outbound: outbound_rx,
            room: Budget::new(INBOUND_BYTES),
            left: left_tx,
        },
    )
}

/// Bytes that the large messages of one queue may hold together.
#[derive(Debug, Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    bytes: usize,
}

impl Budget {
    fn new(bytes: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(bytes)),
            bytes,
        }
    }

    /// Room for a message of this size, if there is any; small ones need none.
    pub fn try_take(&self, bytes: usize) -> Option<Room> {
        if bytes <= LARGE_BYTES {
            return Some(None);
        }
        let taken = Arc::clone(&self.free).try_acquire_many_owned(self.clamp(bytes));
        taken.ok().map(Some)
    }

    /// Room for a message of this size, as soon as there is.
    pub async fn take(&self, bytes: usize) -> Room {
        if bytes <= LARGE_BYTES {
            return None;
        }
        // nobody closes the semaphore, so this waits and does not fail
        let taken = Arc::clone(&self.free).acquire_many_owned(self.clamp(bytes));
        taken.await.ok()
    }

    /// A message larger than the whole budget gets all of it rather than waiting for ever.
    fn clamp(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.bytes)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_messages_wait_for_room_and_small_ones_do_not() {
        let budget = Budget::new(100_000);
        assert!(matches!(budget.try_take(LARGE_BYTES), Some(None)));
        let first = budget.try_take(60_000);
        assert!(matches!(first, Some(Some(_))));
        assert!(budget.try_take(60_000).is_none());
        assert!(budget.take(LARGE_BYTES).await.is_none());
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(60_000).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        let second = waiting.await.unwrap();
        assert!(second.is_some() && budget.try_take(60_000).is_none());
        drop(second);
        // what is larger than all room there is takes all of it
        assert!(matches!(budget.try_take(1_000_000), Some(Some(_))));
    }
}
