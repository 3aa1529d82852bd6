//! An app at the voice socket: sends sound as it sends it, keeps every message, and holds each to the AsyncAPI document.
//! The stories of this folder use it.
//! It never waits longer than `PATIENCE` for a message.

use std::collections::HashMap;
use std::sync::OnceLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use engine::audio::{SampleRate, wav};
use futures_util::{SinkExt as _, StreamExt as _};
use jsonschema::Validator;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::caller::resample;
use crate::recorded::Recording;
use crate::world::{PATIENCE, World};

/// Secret of the issuer of users' tokens.
pub(crate) const SECRET: &str = "the secret of an issuer of tokens";
/// Bytes of one frame of sound, as a desktop sends them.
const FRAME_BYTES: usize = 4096;
/// A person who speaks, as the page of this server has it.
const SPEECH: &[u8] = include_bytes!("../../../../../portal/public/sample.wav");

/// A server whose users come with tokens of [`SECRET`].
pub(crate) async fn server(change: impl FnOnce(&mut gateway::Config)) -> World {
    World::start(|config| {
        config.voice.token_secret = Some(gateway::config::Secret::new(SECRET));
        change(config);
    })
    .await
}

/// A user's token that ends so many seconds from now.
pub(crate) fn token(world: &World, user: &str, ends_in_s: i64) -> String {
    let end = world.app().clock.unix_s() + ends_in_s;
    signed(&json!({ "sub": user, "exp": end, "aud": "authenticated" }))
}

/// A token with these claims.
pub(crate) fn signed(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = json!({ "alg": "HS256", "typ": "JWT" });
    let text = format!("{}.{}", part(&head), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes()));
    format!("{text}.{signature}")
}

/// A `session_start` as the app writes it.
pub(crate) fn start(token: &str) -> Value {
    json!({ "type": "session_start", "userId": "somebody-else", "conversationId": "", "authToken": token })
}

/// A second and a half of speech at 16 kHz, and silence behind it.
pub(crate) fn speech() -> Vec<u8> {
    let spoken = wav::read(SPEECH, 1_000_000).unwrap();
    let mut samples = resample(&spoken.samples, spoken.rate, SampleRate::HZ_16K);
    samples.extend(vec![0; 16 * 900]);
    samples.iter().flat_map(|it| it.to_le_bytes()).collect()
}

/// An open connection and what was said on it.
pub(crate) struct App {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    recording: Recording,
    /// Every message so far, in order.
    pub(crate) messages: Vec<Value>,
}

impl App {
    /// Opens a connection.
    pub(crate) async fn open(world: &World) -> Self {
        Self::open_at(&world.url("/voice")).await
    }

    /// Opens a connection at this address.
    pub(crate) async fn open_at(url: &str) -> Self {
        let url = url.replacen("http", "ws", 1);
        let (socket, _) = connect_async(url).await.unwrap();
        let mut app = Self {
            socket,
            recording: Recording::of("voice"),
            messages: Vec::new(),
        };
        let connected = app.until("connected").await;
        assert_eq!(app.messages.len(), 1, "{connected}");
        app
    }

    /// Opens a connection and begins a session as `user`.
    pub(crate) async fn call(world: &World, user: &str) -> Self {
        let mut app = Self::open(world).await;
        app.send(&start(&token(world, user, 3600))).await;
        app.until("session_started").await;
        app
    }

    /// Whether a session of `user` begins; it ends again.
    pub(crate) async fn may_begin(world: &World, user: &str) -> bool {
        let mut app = Self::open(world).await;
        app.send(&start(&token(world, user, 60))).await;
        loop {
            match app.next("an answer").await {
                Message::Text(text) => match app.keep(&text)["type"].as_str() {
                    Some("session_started") => return true,
                    Some("error") => return false,
                    _ => {}
                },
                Message::Close(_) => return false,
                _ => {}
            }
        }
    }

    /// As [`App::call`], in a conversation.
    pub(crate) async fn call_in(world: &World, user: &str, conversation: &str) -> Self {
        let mut app = Self::open(world).await;
        let mut start = start(&token(world, user, 3600));
        start["conversationId"] = json!(conversation);
        app.send(&start).await;
        app.until("session_started").await;
        app
    }

    /// As the server calls the session.
    pub(crate) fn session_id(&self) -> String {
        self.messages[0]["sessionId"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        let message = Message::text(text);
        self.recording.said(&message);
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn send_sound(&mut self, bytes: &[u8]) {
        let message = Message::binary(bytes.to_vec());
        self.recording.said(&message);
        self.socket.send(message).await.unwrap();
    }

    /// Speaks, in frames as the app sends them.
    pub(crate) async fn speak(&mut self) {
        self.speak_in(FRAME_BYTES).await;
    }

    /// Speaks, in frames of so many bytes.
    pub(crate) async fn speak_in(&mut self, frame_bytes: usize) {
        let sound = speech();
        for frame in sound.chunks(frame_bytes) {
            if frame.len() >= 100 {
                self.send_sound(frame).await;
            }
        }
    }

    /// Speaks, and falls silent for good once it has seen what was heard so far.
    pub(crate) async fn speak_and_pause(&mut self) -> Value {
        let sound = speech();
        // 300 ms of silence are a pause, and no end
        let (spoken, silence) = sound.split_at(sound.len() - 2 * 16 * 600);
        for frame in spoken.chunks(FRAME_BYTES) {
            self.send_sound(frame).await;
        }
        let partial = self.until("partial_transcript").await;
        for frame in silence.chunks(FRAME_BYTES) {
            self.send_sound(frame).await;
        }
        partial
    }

    /// Speaks and hears the answer out.
    pub(crate) async fn turn(&mut self) -> Value {
        self.speak().await;
        self.until("ai_response_complete").await
    }

    /// Reads up to the next message of this type; an error is one only where it is asked for.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = match self.next(kind).await {
                Message::Text(text) => self.keep(&text),
                Message::Close(frame) => panic!("closed with {frame:?} before {kind}"),
                _ => continue,
            };
            assert!(kind == "error" || message["type"] != "error", "{message}");
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// As [`App::until`], whatever errors come before.
    pub(crate) async fn until_quietly(&mut self, kind: &str) -> Value {
        loop {
            let Message::Text(text) = self.next(kind).await else {
                continue;
            };
            let message = self.keep(&text);
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Reads up to the next message of either type.
    pub(crate) async fn until_either(&mut self, one: &str, other: &str) -> Value {
        loop {
            let Message::Text(text) = self.next(one).await else {
                continue;
            };
            let message = self.keep(&text);
            if message["type"] == one || message["type"] == other {
                return message;
            }
        }
    }

    /// Reads until so many answers have come to their end.
    pub(crate) async fn until_complete(&mut self, answers: usize) {
        while self.all("ai_response_complete").len() < answers {
            self.until("ai_response_complete").await;
        }
    }

    /// Reads up to the end; code and reason of the close frame.
    pub(crate) async fn until_closed(&mut self) -> (u16, String) {
        loop {
            match self.next("the close frame").await {
                Message::Text(text) => {
                    self.keep(&text);
                }
                Message::Close(frame) => {
                    let frame = frame.unwrap();
                    return (frame.code.into(), frame.reason.to_string());
                }
                _ => {}
            }
        }
    }

    /// Hangs up, and waits until the server has seen it.
    pub(crate) async fn hang_up(mut self) -> Vec<Value> {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
        self.messages
    }

    /// Closes the connection; the code that the server answers with.
    pub(crate) async fn goodbye(mut self) -> u16 {
        let frame = CloseFrame {
            code: 1000.into(),
            reason: "".into(),
        };
        self.socket.close(Some(frame)).await.unwrap();
        self.until_closed().await.0
    }

    fn keep(&mut self, text: &str) -> Value {
        let message: Value = serde_json::from_str(text).unwrap();
        check(&message);
        self.messages.push(message.clone());
        message
    }

    async fn next(&mut self, awaited: &str) -> Message {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        let message = message
            .unwrap_or_else(|_| panic!("no {awaited} came after {:?}", self.kinds()))
            .unwrap_or_else(|| panic!("the socket ended before {awaited}"))
            .unwrap();
        self.recording.heard(&message);
        message
    }

    /// Types of all messages.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        let kinds = self.messages.iter();
        kinds.filter_map(|it| it["type"].as_str()).collect()
    }

    /// All messages of a type.
    pub(crate) fn all(&self, kind: &str) -> Vec<&Value> {
        let all = self.messages.iter();
        all.filter(|it| it["type"] == kind).collect()
    }

    /// What was said with every status.
    pub(crate) fn statuses(&self) -> Vec<&str> {
        let all = self.all("status").into_iter();
        all.filter_map(|it| it["status"].as_str()).collect()
    }
}

/// The sound of a message.
pub(crate) fn sound(message: &Value) -> Vec<u8> {
    STANDARD.decode(message["audio"].as_str().unwrap()).unwrap()
}

/// Holds a message to what the AsyncAPI document says of its type.
fn check(message: &Value) {
    static KINDS: OnceLock<HashMap<String, Validator>> = OnceLock::new();
    let kinds = KINDS.get_or_init(|| {
        let document: Value = serde_json::from_str(&gateway::asyncapi_json()).unwrap();
        let messages = document["components"]["messages"].as_object().unwrap();
        let of_door = messages
            .iter()
            .filter_map(|(name, it)| Some((name.strip_prefix("voice_server_")?, it)));
        of_door
            .map(|(kind, it)| {
                let mut schema = it["payload"].clone();
                schema["components"] = document["components"].clone();
                (kind.to_owned(), jsonschema::validator_for(&schema).unwrap())
            })
            .collect()
    });
    let kind = message["type"].as_str().unwrap();
    let validator = kinds
        .get(kind)
        .unwrap_or_else(|| panic!("{kind} is not in the document"));
    if let Err(error) = validator.validate(message) {
        panic!("{message}: {error}");
    }
}
