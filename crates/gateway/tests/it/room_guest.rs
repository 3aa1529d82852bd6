//! A client of a chat room as the original's are: a token in the address, JSON in frames.
//! The stories about rooms use it.
//! It never waits longer than `PATIENCE` for a message.

use futures_util::{SinkExt as _, StreamExt as _};
use gateway::Config;
use gateway::config::Secret;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::recorded::Recording;
use crate::world::{PATIENCE, World};

/// What the web application and the server share.
pub(crate) const SECRET: &str = "a-secret-of-the-web-application";

/// A configuration with that secret.
pub(crate) fn with_rooms(config: &mut Config) {
    config.chat.jwt_secret = Some(Secret::new(SECRET));
}

/// A token with these claims.
pub(crate) fn token(claims: &Value) -> String {
    signed(Algorithm::HS256, SECRET, claims)
}

/// The same, signed in another way.
pub(crate) fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(algorithm), claims, &key).unwrap()
}

/// The claims of somebody who has not signed in.
pub(crate) fn customer(user: &str, chat: &str) -> Value {
    json!({ "userId": user, "chatId": chat, "isAuthenticated": false })
}

/// The claims of somebody who has.
pub(crate) fn helper(user: &str, chat: &str) -> Value {
    json!({ "userId": user, "chatId": chat, "isAuthenticated": true, "name": format!("Name of {user}") })
}

/// An open socket.
pub(crate) struct Guest {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    recording: Recording,
}

impl Guest {
    /// Dials an address.
    pub(crate) async fn dial(url: &str) -> Self {
        let request = url.into_client_request().unwrap();
        let (socket, _) = connect_async(request).await.unwrap();
        Self::over(socket)
    }

    /// A client whose socket is open already.
    pub(crate) fn over(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        Self {
            socket,
            recording: Recording::of("chat"),
        }
    }

    /// Comes into a room of `world` with these claims, `more` behind the token, and is told so first.
    pub(crate) async fn enter(world: &World, claims: &Value, more: &str) -> Self {
        let path = format!("/chat?token={}{more}", token(claims));
        let mut guest = Self::dial(&world.url(&path).replacen("http", "ws", 1)).await;
        let connected = guest.next().await;
        assert_eq!(connected["type"], "connected", "{connected}");
        assert_eq!(connected["chatId"], claims["chatId"]);
        assert!(connected["timestamp"].as_str().unwrap().ends_with('Z'));
        guest
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        let message = Message::text(message.to_string());
        self.recording.said(&message);
        self.socket.send(message).await.unwrap();
    }

    /// Says something as `role`.
    pub(crate) async fn say(&mut self, words: &str, role: &str) {
        self.send(&json!({ "type": "message", "content": words, "role": role }))
            .await;
    }

    async fn frame(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.socket.next());
        let next = next.await.expect("waited too long for a message");
        let frame = next.expect("the server has closed").unwrap();
        self.recording.heard(&frame);
        frame
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match self.frame().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?} is no message"),
            }
        }
    }

    /// Everything up to the next message of this type, which is last.
    pub(crate) async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.next().await);
            if heard.last().unwrap()["type"] == kind {
                return heard;
            }
        }
    }

    /// The next message of this type.
    pub(crate) async fn hears(&mut self, kind: &str) -> Value {
        self.until(kind).await.pop().unwrap()
    }

    /// The words of the messages up to those with `last`, in order.
    pub(crate) async fn words_until(&mut self, last: &str) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            let message = self.next().await;
            if message["type"] != "message" {
                continue;
            }
            let said = message["data"]["content"].as_str().unwrap().to_owned();
            let over = said == last;
            words.push(said);
            if over {
                return words;
            }
        }
    }

    /// Reads to the close frame.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.frame().await {
                let frame = frame.unwrap();
                return (frame.code.into(), frame.reason.as_str().to_owned());
            }
        }
    }

    /// Leaves, and waits until the server has seen it.
    pub(crate) async fn leave(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
