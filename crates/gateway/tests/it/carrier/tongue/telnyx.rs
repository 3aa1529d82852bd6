//! Telnyx media streaming in RTP mode: <https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket>.
//! Spoken by the leg.
//! Never accepts a stream id from us, nor sound of less than 20 ms or more than 30 s in a frame.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Asks, Names, Tongue, keys, object, parameters, payload, text};
use crate::carrier::document::Document;

pub(super) struct Telnyx {
    names: Names,
    sequence: u64,
    chunk: u64,
}

impl Telnyx {
    pub(super) const fn new(names: Names) -> Self {
        Self {
            names,
            sequence: 0,
            chunk: 0,
        }
    }

    fn frame(&mut self, mut frame: Value) -> Message {
        self.sequence += 1;
        frame["sequence_number"] = self.sequence.to_string().into();
        frame["stream_id"] = self.names.stream.as_str().into();
        text(&frame)
    }
}

impl Tongue for Telnyx {
    fn begin(&mut self, document: &Document) -> Vec<Message> {
        let names = self.names.clone();
        let mut start = json!({
            "user_id": names.account, "call_control_id": names.call,
            "call_session_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1",
            "from": names.from, "to": names.to, "tags": [],
            "media_format": { "encoding": "PCMU", "sample_rate": 8000, "channels": 1 },
        });
        if let Some(state) = &document.client_state {
            start["client_state"] = state.as_str().into();
        }
        if !document.parameters.is_empty() {
            start["custom_parameters"] = parameters(document);
        }
        vec![
            text(&json!({ "event": "connected", "version": "1.0.0" })),
            self.frame(json!({ "event": "start", "start": start })),
        ]
    }

    fn sound(&mut self, sound: &[u8], at_ms: u64) -> Message {
        self.chunk += 1;
        let chunk = self.chunk.to_string();
        self.frame(json!({ "event": "media", "media": {
            "track": "inbound", "chunk": chunk, "timestamp": at_ms.to_string(),
            "payload": STANDARD.encode(sound) } }))
    }

    fn key(&mut self, key: char) -> Message {
        let now = "2026-01-02T03:04:05.678Z";
        self.frame(
            json!({ "event": "dtmf", "occurred_at": now, "dtmf": { "digit": key.to_string() } }),
        )
    }

    fn echo(&mut self, mark: &str) -> Message {
        self.frame(json!({ "event": "mark", "mark": { "name": mark } }))
    }

    /// All of them are sent back.
    fn cleared(&mut self, marks: Vec<String>) -> Vec<Message> {
        marks.iter().map(|mark| self.echo(mark)).collect()
    }

    fn hang_up(&mut self) -> Vec<Message> {
        let names = self.names.clone();
        vec![self.frame(json!({ "event": "stop",
            "stop": { "user_id": names.account, "call_control_id": names.call } }))]
    }

    fn read(&mut self, message: &Message) -> Asks {
        let frame = object(message);
        match frame["event"].as_str().unwrap() {
            "media" => {
                assert_eq!(keys(&frame), ["event", "media"], "{frame}");
                assert_eq!(keys(&frame["media"]), ["payload"]);
                let bytes = payload(&frame["media"]).len();
                assert!((160..=240_000).contains(&bytes), "{bytes}: 20 ms to 30 s");
                Asks::Play(bytes)
            }
            "mark" => Asks::Mark(frame["mark"]["name"].as_str().unwrap().to_owned()),
            "clear" => {
                assert_eq!(keys(&frame), ["event"]);
                Asks::Clear
            }
            other => panic!("malformed_frame: {other}"),
        }
    }
}
