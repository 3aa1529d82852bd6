//! Events of the session to frames for the client.
//! Runs as a task of its own, so that a client that reads slowly holds up nobody but its own session.
//! Never reorders, never drops.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use wire::ids::Ids;
use wire::realtime::{ServerEvent, beta, fast};

use super::Shape;
use crate::clock::Clock;
use crate::edge::Outbound;
use crate::observe::{Event, Metrics, Stage};

/// Pings keep proxies from closing a quiet connection and tell a vanished client (spec/realtime §1.1).
const PING_EVERY: Duration = Duration::from_secs(20);

/// What a writer needs beside its socket.
pub(super) struct Pen {
    pub(super) shape: Shape,
    pub(super) session: String,
    pub(super) ids: Ids,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
}

/// Writes until the session closes the connection or the client goes.
pub(super) async fn write(
    mut socket: SplitSink<WebSocket, Message>,
    mut outbound: mpsc::Receiver<Outbound>,
    mut pen: Pen,
) {
    let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut speech_end = None;
    loop {
        let next = tokio::select! {
            next = outbound.recv() => next,
            _ = pings.tick() => {
                if socket.send(Message::Ping(bytes::Bytes::new())).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let sent = match next {
            None => return,
            Some(Outbound::Stage(_, since)) => {
                speech_end = Some(since);
                continue;
            }
            Some(Outbound::Event(event)) => {
                let audio = matches!(event, ServerEvent::OutputAudioDelta { .. });
                let sent = pen.send(&mut socket, &event).await;
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
                let frame = CloseFrame {
                    code,
                    reason: reason.into(),
                };
                let _ = socket.send(Message::Close(Some(frame))).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

impl Pen {
    async fn send(
        &mut self,
        socket: &mut SplitSink<WebSocket, Message>,
        event: &ServerEvent,
    ) -> Result<(), axum::Error> {
        match self.shape {
            Shape::Ga => {
                let mut text = String::new();
                fast::write_event(event, &self.ids.next("event"), &mut text);
                socket.send(Message::Text(text.into())).await
            }
            Shape::Beta => {
                for text in beta::write_events(event, &self.ids.next("event")) {
                    socket.send(Message::Text(text.into())).await?;
                }
                Ok(())
            }
        }
    }
}
