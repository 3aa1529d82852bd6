//! A caller of the realtime route: sends sound and events, keeps every event it was sent.
//! The voice stories use it.
//! It never waits longer than `PATIENCE` for an event.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::audio::{Resampler, SampleRate};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::world::{KEY, PATIENCE, World};

/// Samples of one append: 20 ms at 24 kHz, as telephones and browsers send it.
const FRAME: usize = 480;
/// Id that every caller gives its connection.
pub(crate) const REQUEST_ID: &str = "trace-of-a-caller";
/// Silence that ends every turn, in ms.
const PAUSE_MS: usize = 900;

/// An open session and what happened in it.
pub(crate) struct Caller {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Every event so far, in order.
    pub(crate) events: Vec<Value>,
}

impl Caller {
    /// Calls `path` and sends `session` as the body of a `session.update`.
    pub(crate) async fn call(world: &World, path: &str, session: &Value) -> Self {
        Self::call_with(world, path, KEY, session).await
    }

    /// As [`Caller::call`], with another key.
    pub(crate) async fn call_with(world: &World, path: &str, key: &str, session: &Value) -> Self {
        let mut caller = Self::connect(world, path, key).await;
        caller.set_up(session).await;
        caller
    }

    /// Calls `path` and says nothing yet.
    pub(crate) async fn connect(world: &World, path: &str, key: &str) -> Self {
        let url = world.url(path).replacen("http", "ws", 1);
        let mut request = url.into_client_request().unwrap();
        let key = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", key);
        let id = REQUEST_ID.parse().unwrap();
        request.headers_mut().insert("x-request-id", id);
        let (socket, _) = connect_async(request).await.unwrap();
        let mut caller = Self {
            socket,
            events: Vec::new(),
        };
        caller.until("session.created").await;
        caller
    }

    /// Sends `session` as the body of a `session.update`.
    pub(crate) async fn set_up(&mut self, session: &Value) {
        self.send(&json!({ "type": "session.update", "session": session }))
            .await;
        self.until("session.updated").await;
    }

    pub(crate) async fn send(&mut self, event: &Value) {
        let message = Message::text(event.to_string());
        self.socket.send(message).await.unwrap();
    }

    /// Writes something and asks for an answer.
    pub(crate) async fn write(&mut self, words: &str) {
        let content = json!([{ "type": "input_text", "text": words }]);
        let item = json!({ "type": "message", "role": "user", "content": content });
        self.send(&json!({ "type": "conversation.item.create", "item": item }))
            .await;
        self.send(&json!({ "type": "response.create" })).await;
    }

    /// Id of the session, as its first event says.
    pub(crate) fn session_id(&self) -> &str {
        self.events[0]["session"]["id"].as_str().unwrap()
    }

    /// The line is dead from now on: nothing says goodbye.
    pub(crate) fn drop_line(self) -> Vec<Value> {
        self.events
    }

    /// Leaves, and waits until the server has seen it.
    pub(crate) async fn hang_up(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Sends sound at 24 kHz, faster than it would be spoken.
    pub(crate) async fn append(&mut self, samples: &[i16]) {
        for frame in samples.chunks(FRAME) {
            let bytes: Vec<u8> = frame.iter().flat_map(|it| it.to_le_bytes()).collect();
            let audio = STANDARD.encode(bytes);
            self.send(&json!({ "type": "input_audio_buffer.append", "audio": audio }))
                .await;
        }
    }

    /// Speaks, then is silent long enough for the turn to be over.
    pub(crate) async fn say(&mut self, samples: &[i16]) {
        self.append(samples).await;
        self.append(&vec![0; PAUSE_MS * 24]).await;
    }

    /// Reads up to the next event of this type and returns it; an error is one only where it is asked for.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.message(kind).await;
            let Message::Text(text) = message else {
                continue;
            };
            let event: Value = serde_json::from_str(&text).unwrap();
            assert!(kind == "error" || event["type"] != "error", "{event}");
            self.events.push(event.clone());
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Reads up to the end and returns the code of the close frame.
    pub(crate) async fn until_closed(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.message("close").await {
                return frame.unwrap().code.into();
            }
        }
    }

    /// Goes on sending sound, without a pause, until it sees the close frame; returns its code.
    pub(crate) async fn talk_until_closed(self) -> u16 {
        let (mut sink, mut stream) = self.socket.split();
        let talking = async {
            let audio = STANDARD.encode([0; 2 * FRAME]);
            let append = json!({ "type": "input_audio_buffer.append", "audio": audio }).to_string();
            while sink.send(Message::text(append.as_str())).await.is_ok() {
                tokio::task::yield_now().await;
            }
            panic!("the connection was reset before the close frame was seen");
        };
        let listening = async {
            loop {
                if let Message::Close(frame) = stream.next().await.unwrap().unwrap() {
                    return frame.unwrap().code.into();
                }
            }
        };
        let closed = async {
            tokio::select! { code = listening => code, () = talking => 0 }
        };
        tokio::time::timeout(PATIENCE, closed).await.unwrap()
    }

    async fn message(&mut self, awaited: &str) -> Message {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        message
            .unwrap_or_else(|_| panic!("no {awaited} came after {:?}", self.kinds()))
            .unwrap_or_else(|| panic!("the socket closed before {awaited}"))
            .unwrap()
    }

    /// Types of all events but sound, for messages.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        let kinds = self.events.iter().filter_map(|it| it["type"].as_str());
        kinds.filter(|kind| !kind.contains(".delta")).collect()
    }

    /// The sound of a response, 24 kHz.
    pub(crate) fn heard(&self, response_id: &Value) -> Vec<i16> {
        let deltas = self.events.iter().filter(|it| {
            it["type"] == "response.output_audio.delta" && it["response_id"] == *response_id
        });
        deltas
            .flat_map(|it| STANDARD.decode(it["delta"].as_str().unwrap()).unwrap())
            .collect::<Vec<u8>>()
            .chunks_exact(2)
            .map(|it| i16::from_le_bytes([it[0], it[1]]))
            .collect()
    }

    /// What was understood of the caller since the start, joined.
    pub(crate) fn understood(&self) -> String {
        let done = "conversation.item.input_audio_transcription.completed";
        let transcripts = self.events.iter().filter(|it| it["type"] == done);
        let words: Vec<&str> = transcripts
            .filter_map(|it| it["transcript"].as_str())
            .collect();
        words.join(" ")
    }
}

/// `samples` at another rate.
pub(crate) fn resample(samples: &[i16], from: SampleRate, to: SampleRate) -> Vec<i16> {
    let mut out = Vec::new();
    let mut resampler = Resampler::new(from, to);
    resampler.push(samples, &mut out);
    resampler.flush(&mut out);
    out
}
