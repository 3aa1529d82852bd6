//! Frames from the client to events for the session.
//! Runs in the connection's own task until the client goes.
//! Never answers: what it cannot read it hands on as a refusal.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use tokio::sync::mpsc;
use wire::realtime::{beta, decode, fast};

use super::Shape;
use crate::edge::Inbound;

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

pub(super) async fn read(
    mut socket: SplitStream<WebSocket>,
    inbound: mpsc::Sender<Inbound>,
    shape: Shape,
) -> Gone {
    loop {
        let message = match tokio::time::timeout(SILENT_FOR, socket.next()).await {
            Err(_) => return Gone::Silent,
            Ok(None | Some(Err(_))) => return Gone::Lost,
            Ok(Some(Ok(message))) => message,
        };
        let heard = match message {
            Message::Text(text) => translate(text.as_str(), shape),
            Message::Binary(_) => Inbound::Rejected(decode::binary_frame().error),
            Message::Close(_) => return Gone::Closed,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        // a full queue stops the reading: TCP slows the client down, other sessions do not notice
        if inbound.send(heard).await.is_err() {
            return Gone::Closed;
        }
    }
}

fn translate(text: &str, shape: Shape) -> Inbound {
    if let Some(append) = fast::append(text) {
        let mut bytes = Vec::new();
        if engine::audio::b64::decode(append.audio, &mut bytes).is_ok() {
            return Inbound::Audio(Bytes::from(bytes));
        }
        // the slow path says exactly what is wrong
    }
    let decoded = match shape {
        Shape::Ga => decode::client_event(text),
        Shape::Beta => match serde_json::from_str(text) {
            Ok(value) => decode::client_value(&beta::client_to_ga(value)),
            Err(error) => Err(decode::not_json(&error)),
        },
    };
    match decoded {
        Ok(event) => Inbound::Event(event),
        Err(refused) => Inbound::Rejected(refused.error),
    }
}
