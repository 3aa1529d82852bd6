//! Events of the session to frames for the client.
//! Runs beside the reader and the session in the connection's task: a client that reads slowly holds up neither.
//! Never reorders, never drops.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio::time::{Instant, MissedTickBehavior};
use wire::ids::Ids;
use wire::realtime::{ServerEvent, beta, fast};

use super::Shape;
use crate::clock::Clock;
use crate::edge::{MAX_WRITE_BUFFER_BYTES, Outbound, Receiver};
use crate::observe::{Event, Metrics, Outcome, Stage};

/// Pings keep proxies from closing a quiet connection and tell a vanished client (spec/realtime §1.1).
const PING_EVERY: Duration = Duration::from_secs(20);

/// Close code for a failure of ours (RFC 6455 §7.4.1).
const OUR_FAILURE: u16 = 1011;
/// Most that a frame's head adds to its text, in bytes (RFC 6455 §5.2; servers do not mask).
const FRAME_HEAD: usize = 10;

/// Why an event was not sent.
enum Unsent {
    /// The socket library would refuse it.
    TooLarge {
        /// Of its text.
        bytes: usize,
    },
    /// The connection is broken.
    Broken,
}

impl From<axum::Error> for Unsent {
    fn from(_: axum::Error) -> Self {
        Self::Broken
    }
}

/// What a writer needs beside its socket.
pub(super) struct Pen {
    pub(super) shape: Shape,
    pub(super) session: String,
    pub(super) ids: Ids,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
}

/// Writes until the session closes the connection or the client goes; says how the session ended, if it had not.
pub(super) async fn write(
    mut socket: SplitSink<WebSocket, Message>,
    mut outbound: Receiver<Outbound>,
    mut pen: Pen,
) -> Outcome {
    let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut speech_end = None;
    loop {
        let next = tokio::select! {
            next = outbound.recv() => next,
            _ = pings.tick() => {
                let ping = socket.send(Message::Ping(bytes::Bytes::new()));
                if Box::pin(ping).await.is_err() {
                    return Outcome::ConnectionLost;
                }
                continue;
            }
        };
        let sent = match next {
            None => return Outcome::ClientClosed,
            Some(Outbound::FirstAudio(since)) => {
                speech_end = Some(since);
                continue;
            }
            // its room in the queue is free once it has been sent
            Some(Outbound::Event(event, _room)) => {
                let audio = matches!(*event, ServerEvent::OutputAudioDelta { .. });
                // boxed: most of the time nothing is being sent
                let sent = Box::pin(pen.send(&mut socket, &event)).await;
                if audio && let Some(since) = speech_end.take() {
                    pen.metrics.emit(&Event::TurnStage {
                        session: &pen.session,
                        stage: Stage::Heard,
                        after: pen.clock.now().saturating_duration_since(since),
                    });
                }
                sent
            }
            Some(Outbound::Close { code, reason }) => {
                Box::pin(close(&mut socket, code, reason)).await;
                return Outcome::ClientClosed;
            }
        };
        match sent {
            Ok(()) => {}
            Err(Unsent::Broken) => return Outcome::ConnectionLost,
            Err(Unsent::TooLarge { bytes }) => {
                tracing::error!(
                    session = pen.session,
                    bytes,
                    "an event is too large to be sent"
                );
                let reason = "event_too_large: an event of the server cannot be sent".to_owned();
                Box::pin(close(&mut socket, OUR_FAILURE, reason)).await;
                return Outcome::Failed;
            }
        }
    }
}

impl Pen {
    async fn send(
        &mut self,
        socket: &mut SplitSink<WebSocket, Message>,
        event: &ServerEvent,
    ) -> Result<(), Unsent> {
        match self.shape {
            Shape::Ga => {
                let mut text = String::new();
                fast::write_event(event, &self.ids.next("event"), &mut text);
                send_text(socket, text).await
            }
            Shape::Beta => {
                for text in beta::write_events(event, &self.ids.next("event")) {
                    send_text(socket, text).await?;
                }
                Ok(())
            }
        }
    }
}

async fn close(socket: &mut SplitSink<WebSocket, Message>, code: u16, reason: String) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    // it is over, whether the client hears of it or not
    let _ = socket.send(Message::Close(Some(frame))).await;
}

async fn send_text(socket: &mut SplitSink<WebSocket, Message>, text: String) -> Result<(), Unsent> {
    if text.len() + FRAME_HEAD > MAX_WRITE_BUFFER_BYTES {
        return Err(Unsent::TooLarge { bytes: text.len() });
    }
    Ok(socket.send(Message::Text(text.into())).await?)
}
