//! Vonage Voice API over WebSocket: <https://developer.vonage.com/en/voice/voice-api/guides/websockets>.
//! Spoken by the leg: linear sound at 16 kHz, 20 ms a binary frame.
//! Never sends an id: our own parameters are all that names the call. Never sends notifications back that a clear dropped.

use engine::audio::{Resampler, SampleRate};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{Asks, Tongue, linear, little_endian, object, parameters, text};
use crate::carrier::document::Document;

/// Bytes of 20 ms.
const FRAME: usize = 640;

pub(super) struct Vonage {
    resampler: Resampler,
    /// Sound that does not make a frame yet.
    rest: Vec<i16>,
}

impl Vonage {
    pub(super) fn new() -> Self {
        Self {
            resampler: Resampler::new(SampleRate::HZ_8K, SampleRate::HZ_16K),
            rest: Vec::new(),
        }
    }
}

impl Tongue for Vonage {
    fn begin(&mut self, document: &Document) -> Vec<Message> {
        let mut first = parameters(document);
        first["event"] = "websocket:connected".into();
        first["content-type"] = "audio/l16;rate=16000".into();
        vec![text(&first)]
    }

    fn sound(&mut self, sound: &[u8], _at_ms: u64) -> Message {
        self.resampler.push(&linear(sound), &mut self.rest);
        // the resampler holds a little back: silence before it, once, keeps frames whole
        let wanted = FRAME / 2;
        let lacking = wanted.saturating_sub(self.rest.len());
        let mut frame = vec![0; lacking];
        frame.extend(self.rest.drain(..wanted - lacking));
        Message::binary(little_endian(&frame))
    }

    fn key(&mut self, key: char) -> Message {
        text(&json!({ "event": "websocket:dtmf", "digit": key.to_string(), "duration": 260 }))
    }

    fn echo(&mut self, mark: &str) -> Message {
        let mark: u64 = mark.parse().unwrap();
        text(&json!({ "event": "websocket:notify", "payload": { "mark": mark } }))
    }

    fn cleared(&mut self, _marks: Vec<String>) -> Vec<Message> {
        vec![text(&json!({ "event": "websocket:cleared" }))]
    }

    fn hang_up(&mut self) -> Vec<Message> {
        Vec::new()
    }

    fn read(&mut self, message: &Message) -> Asks {
        if let Message::Binary(sound) = message {
            assert_eq!(sound.len(), FRAME, "20 ms a frame");
            return Asks::Play(sound.len() / 4);
        }
        let frame = object(message);
        match frame["action"].as_str() {
            Some("clear") => Asks::Clear,
            Some("notify") => Asks::Mark(frame["payload"]["mark"].to_string()),
            _ => panic!("Vonage has no such action: {frame}"),
        }
    }
}
