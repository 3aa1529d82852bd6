//! Plivo audio streaming: <https://www.plivo.com/docs/voice/xml/audio-stream>.
//! Spoken by the leg.
//! Never sends `connected` or `stop`, and never sends a checkpoint back whose sound was cleared.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Asks, Names, Tongue, keys, object, payload, text};
use crate::carrier::document::Document;

/// When its clock says that the stream began, in ms since 1970.
const EPOCH_MS: u64 = 1_790_000_000_000;

pub(super) struct Plivo {
    names: Names,
    sequence: u64,
}

impl Plivo {
    pub(super) const fn new(names: Names) -> Self {
        Self { names, sequence: 0 }
    }

    fn frame(&mut self, mut frame: Value) -> Message {
        self.sequence += 1;
        frame["sequenceNumber"] = self.sequence.into();
        text(&frame)
    }
}

impl Tongue for Plivo {
    fn begin(&mut self, document: &Document) -> Vec<Message> {
        let names = self.names.clone();
        let headers = document.parameters.iter();
        let headers: Vec<String> = headers
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        vec![self.frame(json!({ "event": "start",
            "start": { "callId": names.call, "streamId": names.stream, "accountId": names.account,
                "tracks": ["inbound"],
                "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000 } },
            "extra_headers": headers.join(",") }))]
    }

    fn sound(&mut self, sound: &[u8], at_ms: u64) -> Message {
        let stream = self.names.stream.clone();
        let chunk = self.sequence;
        self.frame(json!({ "event": "media", "streamId": stream, "media": {
            "track": "inbound", "timestamp": (EPOCH_MS + at_ms).to_string(), "chunk": chunk,
            "payload": STANDARD.encode(sound) }, "extra_headers": "" }))
    }

    fn key(&mut self, key: char) -> Message {
        let stream = self.names.stream.clone();
        self.frame(json!({ "event": "dtmf", "streamId": stream, "dtmf": {
            "track": "inbound", "digit": key.to_string(), "timestamp": EPOCH_MS.to_string() } }))
    }

    fn echo(&mut self, mark: &str) -> Message {
        let stream = self.names.stream.clone();
        self.frame(json!({ "event": "playedStream", "streamId": stream, "name": mark }))
    }

    fn cleared(&mut self, _marks: Vec<String>) -> Vec<Message> {
        let stream = self.names.stream.clone();
        vec![self.frame(json!({ "event": "clearedAudio", "streamId": stream }))]
    }

    fn hang_up(&mut self) -> Vec<Message> {
        Vec::new()
    }

    fn read(&mut self, message: &Message) -> Asks {
        let frame = object(message);
        let is_ours = frame["streamId"] == self.names.stream.as_str();
        match frame["event"].as_str().unwrap() {
            "playAudio" => {
                let media = &frame["media"];
                assert_eq!(keys(media), ["contentType", "payload", "sampleRate"]);
                assert_eq!(media["contentType"], "audio/x-mulaw", "{frame}");
                assert_eq!(media["sampleRate"], 8000, "{frame}");
                Asks::Play(payload(media).len())
            }
            "checkpoint" if is_ours => Asks::Mark(frame["name"].as_str().unwrap().to_owned()),
            "clearAudio" if is_ours => Asks::Clear,
            "sendDTMF" => Asks::Keys(frame["dtmf"].as_str().unwrap().to_owned()),
            _ => panic!("Plivo has no such message: {frame}"),
        }
    }
}
