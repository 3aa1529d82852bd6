//! A connection from its first message to the session: who is there, and whether it may come in.
//! Called by `upgrade`; hands over to `converse`.
//! Never hears sound, and never lets a stranger wait for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use axum::http::request::Parts;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until};
use wire::voice::{ClientMessage, ServerMessage, SessionStart, code, decode, write};

use super::begin::begin;
use super::converse::{Greeted, converse};
use super::desk::Counted;
use super::refusal::Refusal;
use crate::App;
use crate::config::VoiceAdmits;
use crate::edge::realtime::linger;
use crate::registry::Active;

/// First words of every connection.
const WELCOME: &str = "Voice V2 server ready";

/// Somebody who has opened a connection.
pub(super) struct Visitor {
    pub(super) counted: Counted,
    pub(super) active: Active,
    pub(super) parts: Parts,
}

/// What came of waiting for the first message.
enum Came {
    /// With the sound that it began with, where nobody has to say who they are.
    Start(Box<SessionStart>, Bytes),
    Refused(Refusal),
    /// The visitor has closed the connection.
    Goodbye,
    /// The visitor has gone.
    Nobody,
}

struct Lobby {
    app: Arc<App>,
    socket: WebSocket,
    session_id: String,
}

/// Takes care of one connection until it is closed.
pub(super) async fn receive(app: Arc<App>, visitor: Visitor, socket: WebSocket) {
    let opened_at = app.clock.utc();
    let session_id = uuid(app.seed());
    let mut lobby = Lobby {
        app,
        socket,
        session_id,
    };
    let came = lobby.wait().await;
    let refusal = match came {
        Came::Nobody => return,
        // who closes is answered with a close (RFC 6455 §5.5.1), which goes out when the socket is read on
        Came::Goodbye => return linger(lobby.socket).await,
        Came::Refused(refusal) => refusal,
        Came::Start(start, first_sound) => {
            let greeted = Greeted {
                session_id: lobby.session_id.clone(),
                opened_at,
                first_sound,
            };
            match Box::pin(begin(&lobby.app, visitor, *start, &greeted)).await {
                Ok(begun) => {
                    let Lobby { app, socket, .. } = lobby;
                    return Box::pin(converse(app, begun, greeted, socket)).await;
                }
                Err(refusal) => refusal,
            }
        }
    };
    lobby.refuse(refusal).await;
}

impl Lobby {
    async fn say(&mut self, message: &ServerMessage) -> bool {
        let now_ms = self.app.clock.utc().timestamp_millis();
        let text = write(message, &self.session_id, now_ms);
        self.socket.send(Message::Text(text.into())).await.is_ok()
    }

    /// Waits for a message that begins a session.
    async fn wait(&mut self) -> Came {
        let welcome = ServerMessage::Connected {
            message: WELCOME.to_owned(),
        };
        if !self.say(&welcome).await {
            return Came::Nobody;
        }
        let admits = self.app.config.voice.admits;
        if admits == VoiceAdmits::Soon {
            return Came::Refused(Refusal::coming_soon());
        }
        let patience = Duration::from_secs(self.app.config.voice.auth_timeout_s);
        let until = Instant::now() + patience;
        let soft = self.app.lifecycle.soft().clone();
        loop {
            let message = tokio::select! {
                message = self.socket.next() => message,
                () = soft.cancelled() => return Came::Refused(Refusal::unavailable("This server is shutting down.")),
                () = sleep_until(until) => return Came::Refused(Refusal::no_token()),
            };
            let answer = match message {
                None | Some(Err(_)) => return Came::Nobody,
                Some(Ok(Message::Close(_))) => return Came::Goodbye,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Binary(sound))) if admits == VoiceAdmits::Anybody => {
                    return Came::Start(Box::default(), sound);
                }
                Some(Ok(Message::Binary(_))) => unauthenticated(),
                Some(Ok(Message::Text(text))) => match decode(text.as_str()) {
                    Ok(ClientMessage::SessionStart(start)) => {
                        return Came::Start(start, Bytes::new());
                    }
                    Ok(ClientMessage::Ping) => ServerMessage::Pong {},
                    Ok(_) => unauthenticated(),
                    Err(refused) => {
                        ServerMessage::error(code::INVALID_MESSAGE, refused.to_string())
                    }
                },
            };
            if !self.say(&answer).await {
                return Came::Nobody;
            }
        }
    }

    async fn refuse(mut self, refusal: Refusal) {
        if !self.say(&refusal.message).await {
            return;
        }
        let frame = CloseFrame {
            code: refusal.code,
            reason: refusal.reason.into(),
        };
        let _ = self.socket.send(Message::Close(Some(frame))).await;
        linger(self.socket).await;
    }
}

fn unauthenticated() -> ServerMessage {
    let sentence = "Session not authenticated. Send session_start first.";
    ServerMessage::error(code::AUTH_REQUIRED, sentence)
}

/// A random UUID (RFC 9562 §5.4), as the original names its sessions.
pub(super) fn uuid(seed: u128) -> String {
    let bits = seed & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sessions_are_random_uuids() {
        for seed in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let id = uuid(seed);
            assert_eq!(id.len(), 36);
            assert_eq!(&id[14..15], "4", "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
        assert_eq!(
            uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            "01234567-89ab-4def-8123-456789abcdef"
        );
    }
}
