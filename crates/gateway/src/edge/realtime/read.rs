//! Frames from the client to events for the session.
//! Runs in the connection's task until the client goes.
//! Never answers: what it cannot read it hands on as a refusal.

use std::pin::pin;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{Instant, sleep};
use wire::realtime::client::ClientAction;
use wire::realtime::{ClientEvent, ErrorBody, beta, decode, fast};

use super::Shape;
use crate::edge::{Budget, Inbound, SLICE_BYTES, Sender};
use crate::observe::Outcome;

/// A client that answers no ping for so long has vanished; pings go out every 20 s (spec/realtime §1.1).
const SILENT_FOR: Duration = Duration::from_secs(65);

/// Why the client is gone.
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

/// What a text frame holds.
enum Heard {
    /// Sound, and the id that the client gave the event.
    Audio(Bytes, Option<String>),
    Event(ClientEvent),
    Refused(ErrorBody),
}

pub(super) async fn read(
    socket: &mut SplitStream<WebSocket>,
    inbound: Sender<Inbound>,
    room: Budget,
    shape: Shape,
) -> Gone {
    // set again when it goes off, and not for every frame
    let mut patience = pin!(sleep(SILENT_FOR));
    let mut heard_at = Instant::now();
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
                patience.as_mut().reset(heard_at + SILENT_FOR);
                continue;
            }
        };
        heard_at = Instant::now();
        let message = match message {
            Message::Text(text) => {
                let size = text.len();
                let heard = translate(text.as_str(), shape);
                // an append of 20 MiB is not kept while its slices wait
                drop(text);
                match heard {
                    Heard::Audio(bytes, id) if bytes.len() > SLICE_BYTES => {
                        // boxed, like the wait for room: the future of a quiet connection is small
                        let slices = Box::pin(hand_on_in_slices(&inbound, bytes, id));
                        if slices.await.is_err() {
                            return Gone::Closed;
                        }
                        continue;
                    }
                    Heard::Audio(bytes, id) => sound(bytes, id),
                    Heard::Event(event) => {
                        let event = Box::new(event);
                        Inbound::Event(event, Box::pin(room.take(size)).await)
                    }
                    Heard::Refused(error) => Inbound::Rejected(Box::new(error)),
                }
            }
            Message::Binary(_) => Inbound::Rejected(Box::new(decode::binary_frame().error)),
            Message::Close(_) => return Gone::Closed,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        // a full queue stops the reading: TCP slows the client down, other sessions do not notice. The session has its turn
        // behind this one
        if inbound.send_ahead(message).await.is_err() {
            return Gone::Closed;
        }
    }
}

/// Sound for the session; an id travels along only where the client gave one, for the errors that quote it.
fn sound(bytes: Bytes, event_id: Option<String>) -> Inbound {
    if event_id.is_none() {
        return Inbound::Audio(bytes);
    }
    let action = ClientAction::AudioAppend(bytes);
    Inbound::Event(Box::new(ClientEvent { event_id, action }), None)
}

async fn hand_on_in_slices(
    inbound: &Sender<Inbound>,
    mut bytes: Bytes,
    event_id: Option<String>,
) -> Result<(), SendError<Inbound>> {
    let first = bytes.split_to(SLICE_BYTES);
    inbound.send(sound(first, event_id)).await?;
    while !bytes.is_empty() {
        let slice = bytes.split_to(bytes.len().min(SLICE_BYTES));
        inbound.send(Inbound::MoreAudio(slice)).await?;
    }
    Ok(())
}

fn translate(text: &str, shape: Shape) -> Heard {
    if let Some(append) = fast::append(text) {
        let mut bytes = Vec::new();
        if engine::audio::b64::decode(append.audio, &mut bytes).is_ok() {
            return Heard::Audio(Bytes::from(bytes), append.event_id.map(str::to_owned));
        }
        // the slow path says exactly what is wrong
    }
    let decoded = decode::check_size(text).and_then(|()| match shape {
        Shape::Ga => decode::client_event(text),
        Shape::Beta => match serde_json::from_str(text) {
            Ok(value) => decode::client_value(&beta::client_to_ga(value)),
            Err(error) => Err(decode::not_json(&error)),
        },
    });
    match decoded {
        Ok(ClientEvent {
            action: ClientAction::AudioAppend(bytes),
            event_id,
        }) => Heard::Audio(bytes, event_id),
        Ok(event) => Heard::Event(event),
        Err(refused) => Heard::Refused(refused.error),
    }
}

#[cfg(test)]
mod tests;
