//! Events of the session to frames for the client.
//! Runs beside the reader and the session in the connection's task: a client that reads slowly holds up neither.
//! Never reorders, never drops.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio::time::{Instant, MissedTickBehavior};
use wire::ids::Ids;
use wire::realtime::{ServerEvent, beta, fast};

use super::Shape;
use super::backlog::Backlog;
use crate::clock::Clock;
use crate::edge::{Closing, MAX_WRITE_BUFFER_BYTES, Outbound, Receiver};
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
    /// What goes out behind the first event, where a session goes on.
    pub(super) replay: Option<(ServerEvent, Vec<(String, String)>)>,
    /// What was sent lately.
    pub(super) backlog: Backlog,
}

/// A way to the client.
pub(super) struct Writer {
    pub(super) socket: SplitSink<WebSocket, Message>,
    /// From the session; what is left in it when the writer stops was not sent.
    pub(super) outbound: Receiver<Outbound>,
    pub(super) pen: Pen,
}

impl Writer {
    /// Writes until the session closes the connection or the client goes; how the session ended, if it had not.
    pub(super) async fn write(&mut self) -> Outcome {
        self.pen.write(&mut self.socket, &mut self.outbound).await
    }
}

impl Pen {
    async fn write(
        &mut self,
        socket: &mut SplitSink<WebSocket, Message>,
        outbound: &mut Receiver<Outbound>,
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
                    let sent = Box::pin(self.send(socket, &event)).await;
                    if audio && let Some(since) = speech_end.take() {
                        self.metrics.emit(&Event::TurnStage {
                            session: &self.session,
                            stage: Stage::Heard,
                            after: self.clock.now().saturating_duration_since(since),
                        });
                    }
                    sent
                }
                Some(Outbound::Close(closing)) => {
                    Box::pin(self.close(socket, *closing)).await;
                    return Outcome::ClientClosed;
                }
            };
            match sent {
                Ok(()) => {}
                Err(Unsent::Broken) => return Outcome::ConnectionLost,
                Err(Unsent::TooLarge { bytes }) => {
                    tracing::error!(
                        session = self.session,
                        bytes,
                        "an event is too large to be sent"
                    );
                    let closing = Closing {
                        error: None,
                        code: OUR_FAILURE,
                        reason: "event_too_large: an event of the server cannot be sent".into(),
                    };
                    Box::pin(self.close(socket, closing)).await;
                    return Outcome::Failed;
                }
            }
        }
    }

    async fn close(&mut self, socket: &mut SplitSink<WebSocket, Message>, closing: Closing) {
        if let Some(error) = closing.error {
            let event = ServerEvent::Error { error };
            let id = self.ids.next("event");
            let texts = match self.shape {
                Shape::Ga => vec![ga_text(&event, &id)],
                Shape::Beta => beta_texts(&event, &id),
            };
            for text in texts {
                if send_text(socket, text).await.is_err() {
                    return;
                }
            }
        }
        let frame = CloseFrame {
            code: closing.code,
            reason: closing.reason.into(),
        };
        let _ = socket.send(Message::Close(Some(frame))).await;
    }

    async fn send(
        &mut self,
        socket: &mut SplitSink<WebSocket, Message>,
        event: &ServerEvent,
    ) -> Result<(), Unsent> {
        match self.shape {
            Shape::Ga => {
                let text = self.keep_ga(event);
                send_text(socket, text).await?;
            }
            Shape::Beta => {
                for text in self.keep_beta(event) {
                    send_text(socket, text).await?;
                }
            }
        }
        match self.replay.take() {
            Some(replay) => Box::pin(self.replay(socket, replay)).await,
            None => Ok(()),
        }
    }

    /// Sends again what the client missed.
    async fn replay(
        &mut self,
        socket: &mut SplitSink<WebSocket, Message>,
        (resumed, events): (ServerEvent, Vec<(String, String)>),
    ) -> Result<(), Unsent> {
        Box::pin(self.send(socket, &resumed)).await?;
        for (id, text) in events {
            let text = Utf8Bytes::from(text);
            self.backlog.push(id, text.clone());
            send_text(socket, text).await?;
        }
        Ok(())
    }

    /// Keeps an event that nobody is there to read.
    pub(super) fn keep(&mut self, event: &ServerEvent) {
        match self.shape {
            Shape::Ga => drop(self.keep_ga(event)),
            Shape::Beta => drop(self.keep_beta(event)),
        }
    }

    fn keep_ga(&mut self, event: &ServerEvent) -> Utf8Bytes {
        let id = self.ids.next("event");
        let text = ga_text(event, &id);
        self.backlog.push(id, kept_of(event, &text));
        text
    }

    fn keep_beta(&mut self, event: &ServerEvent) -> Vec<Utf8Bytes> {
        let id = self.ids.next("event");
        let texts = beta_texts(event, &id);
        for text in &texts {
            self.backlog.push(id.clone(), kept_of(event, text));
        }
        texts
    }
}

fn ga_text(event: &ServerEvent, id: &str) -> Utf8Bytes {
    let mut text = String::new();
    fast::write_event(event, id, &mut text);
    text.into()
}

fn beta_texts(event: &ServerEvent, id: &str) -> Vec<Utf8Bytes> {
    let texts = beta::write_events(event, id).into_iter();
    texts.map(Into::into).collect()
}

/// What is sent again of an event: nothing, where every connection has one of its own, or asks for it anew.
fn kept_of(event: &ServerEvent, text: &Utf8Bytes) -> Utf8Bytes {
    match event {
        ServerEvent::SessionCreated { .. }
        | ServerEvent::SessionResumed { .. }
        | ServerEvent::TtsDegraded { .. }
        | ServerEvent::TranscriptPartial { .. } => Utf8Bytes::default(),
        _ => text.clone(),
    }
}

async fn send_text(
    socket: &mut SplitSink<WebSocket, Message>,
    text: Utf8Bytes,
) -> Result<(), Unsent> {
    if text.len() + FRAME_HEAD > MAX_WRITE_BUFFER_BYTES {
        return Err(Unsent::TooLarge { bytes: text.len() });
    }
    Ok(socket.send(Message::Text(text)).await?)
}
