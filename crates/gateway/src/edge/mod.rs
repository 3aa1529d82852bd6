//! Where live conversations enter and leave: one protocol, one folder, all ending in the same two channels.
//! Mounted by `http::router`; drives `session`.
//! Never decides what a conversation does: that is `engine::Session`.

pub mod realtime;

use bytes::Bytes;
use engine::session::Mark;
use tokio::sync::mpsc;
use wire::realtime::{ClientEvent, ErrorBody, ServerEvent};

/// Largest message a client may send, in bytes: an append of 15 MiB is 20 MiB of base64 (spec/realtime §2.4).
pub const MAX_MESSAGE_BYTES: usize = 24 * 1024 * 1024;
/// tungstenite reserves this much per connection; its own default of 128 KiB would cost 6.7 GB at 50,000 sockets.
pub const READ_BUFFER_BYTES: usize = 4096;
/// Frames are handed to the kernel as they come; nothing is gained by collecting 100 ms slices.
pub const WRITE_BUFFER_BYTES: usize = 0;
/// What may wait inside the socket library when the kernel does not take it: one retrieved item with its audio.
pub const MAX_WRITE_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Messages read from a client and not yet taken by its session. When full, the socket is not read:
/// TCP slows the sender down and nothing is lost.
const INBOUND_MESSAGES: usize = 64;

/// What a protocol's reader tells the session.
#[derive(Debug)]
pub enum Inbound {
    /// A decoded event.
    Event(ClientEvent),
    /// Caller audio in the session's input format.
    Audio(Bytes),
    /// Something the decoder refused; the session answers with an error and goes on.
    Rejected(ErrorBody),
}

/// What the session tells a protocol's writer.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of them are events, and boxing each audio delta would allocate on the hot path"
)]
pub enum Outbound {
    /// An event for the client.
    Event(ServerEvent),
    /// The next audio event is the first of a turn; for metrics.
    Stage(Mark, std::time::Instant),
    /// Close the connection; last.
    Close {
        /// WebSocket close code.
        code: u16,
        /// Reason, at most 123 bytes (RFC 6455 §5.5).
        reason: String,
    },
}

/// The session's end of a connection.
#[derive(Debug)]
pub struct Edge {
    /// Ends when the client has gone.
    pub inbound: mpsc::Receiver<Inbound>,
    /// Bounded by `sessions.send_queue_events`, and room for the close frame; a client that lets it stay full is closed.
    pub outbound: mpsc::Sender<Outbound>,
}

/// The protocol's end of a connection.
#[derive(Debug)]
pub struct Line {
    /// To the session.
    pub inbound: mpsc::Sender<Inbound>,
    /// From the session.
    pub outbound: mpsc::Receiver<Outbound>,
}

/// The two ends of a connection whose events out are bounded by `send_queue_events`.
pub fn connection(send_queue_events: usize) -> (Edge, Line) {
    let (inbound_tx, inbound) = mpsc::channel(INBOUND_MESSAGES);
    let (outbound, outbound_rx) = mpsc::channel(send_queue_events.max(1) + 1);
    (
        Edge { inbound, outbound },
        Line {
            inbound: inbound_tx,
            outbound: outbound_rx,
        },
    )
}
