//! Exotel `AgentStream`, the two-way Voicebot applet: <https://developer.exotel.com/docs/agentstream/websocket-protocol>.
//! Spoken by the leg: linear sound at 8 kHz, in frames of 100 ms.
//! Never sends marks back after a clear, which its pages do not promise.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Asks, Names, Tongue, keys, linear, little_endian, object, parameters, payload, text};
use crate::carrier::document::Document;

pub(super) struct Exotel {
    names: Names,
    sequence: u64,
}

impl Exotel {
    pub(super) const fn new(names: Names) -> Self {
        Self { names, sequence: 0 }
    }

    fn frame(&mut self, mut frame: Value) -> Message {
        self.sequence += 1;
        frame["sequence_number"] = self.sequence.into();
        frame["stream_sid"] = self.names.stream.as_str().into();
        text(&frame)
    }
}

impl Tongue for Exotel {
    fn begin(&mut self, document: &Document) -> Vec<Message> {
        let names = self.names.clone();
        vec![
            text(&json!({ "event": "connected" })),
            self.frame(json!({ "event": "start", "start": {
                "stream_sid": names.stream, "call_sid": names.call, "account_sid": names.account,
                "from": names.from, "to": names.to, "custom_parameters": parameters(document),
                "media_format": { "encoding": "base64", "sample_rate": "8000", "bit_rate": "128kbps" } } })),
        ]
    }

    fn sound(&mut self, sound: &[u8], at_ms: u64) -> Message {
        let payload = STANDARD.encode(little_endian(&linear(sound)));
        let chunk = self.sequence;
        self.frame(json!({ "event": "media", "media": {
            "chunk": chunk, "timestamp": at_ms.to_string(), "payload": payload } }))
    }

    fn key(&mut self, key: char) -> Message {
        self.frame(
            json!({ "event": "dtmf", "dtmf": { "digit": key.to_string(), "duration": "120" } }),
        )
    }

    fn echo(&mut self, mark: &str) -> Message {
        self.frame(json!({ "event": "mark", "mark": { "name": mark } }))
    }

    fn cleared(&mut self, _marks: Vec<String>) -> Vec<Message> {
        Vec::new()
    }

    fn hang_up(&mut self) -> Vec<Message> {
        let names = self.names.clone();
        vec![self.frame(json!({ "event": "stop", "stop": {
            "call_sid": names.call, "account_sid": names.account, "reason": "callended" } }))]
    }

    fn read(&mut self, message: &Message) -> Asks {
        let frame = object(message);
        assert_eq!(frame["stream_sid"], self.names.stream, "{frame}");
        match frame["event"].as_str().unwrap() {
            "media" => {
                assert_eq!(keys(&frame["media"]), ["payload"]);
                let bytes = payload(&frame["media"]).len();
                assert!(bytes.is_multiple_of(320), "{bytes} bytes make gaps");
                assert!((3200..=100_000).contains(&bytes), "{bytes} bytes");
                Asks::Play(bytes / 2)
            }
            "mark" => Asks::Mark(frame["mark"]["name"].as_str().unwrap().to_owned()),
            "clear" => Asks::Clear,
            other => panic!("Exotel has no {other}"),
        }
    }

    fn frame_bytes(&self) -> usize {
        800
    }
}
