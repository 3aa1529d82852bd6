//! Twilio Media Streams, and `SignalWire`'s, which are nearly the same: <https://www.twilio.com/docs/voice/media-streams/websocket-messages>.
//! Spoken by the leg.
//! Never accepts anything but `media`, `mark` and `clear`: everything else is error 31924.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{Asks, Names, Tongue, keys, object, parameters, payload, text};
use crate::carrier::Brand;
use crate::carrier::document::Document;

pub(super) struct Twilio {
    names: Names,
    sequence: u64,
}

impl Twilio {
    pub(super) const fn new(names: Names) -> Self {
        Self { names, sequence: 0 }
    }

    fn next(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
    }
}

impl Tongue for Twilio {
    fn begin(&mut self, document: &Document) -> Vec<Message> {
        let version = match self.names.brand {
            Brand::SignalWire => "0.2.0",
            _ => "1.0.0",
        };
        let sequence = self.next();
        let names = &self.names;
        vec![
            text(&json!({ "event": "connected", "protocol": "Call", "version": version })),
            text(&json!({
                "event": "start", "sequenceNumber": sequence, "streamSid": names.stream, "start": {
                "streamSid": names.stream, "accountSid": names.account, "callSid": names.call,
                "tracks": ["inbound"], "customParameters": parameters(document),
                "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 } } })),
        ]
    }

    fn sound(&mut self, sound: &[u8], at_ms: u64) -> Message {
        let sequence = self.next();
        text(
            &json!({ "event": "media", "sequenceNumber": sequence, "streamSid": self.names.stream,
            "media": { "track": "inbound", "chunk": sequence, "timestamp": at_ms.to_string(),
                "payload": STANDARD.encode(sound) } }),
        )
    }

    fn key(&mut self, key: char) -> Message {
        let sequence = self.next();
        text(
            &json!({ "event": "dtmf", "streamSid": self.names.stream, "sequenceNumber": sequence,
            "dtmf": { "track": "inbound_track", "digit": key.to_string() } }),
        )
    }

    fn echo(&mut self, mark: &str) -> Message {
        let mut frame =
            json!({ "event": "mark", "streamSid": self.names.stream, "mark": { "name": mark } });
        if self.names.brand == Brand::Twilio {
            frame["sequenceNumber"] = self.next().into();
        }
        text(&frame)
    }

    /// Marks that wait come back at once, though their sound was never heard.
    fn cleared(&mut self, marks: Vec<String>) -> Vec<Message> {
        marks.iter().map(|mark| self.echo(mark)).collect()
    }

    fn hang_up(&mut self) -> Vec<Message> {
        let sequence = self.next();
        let names = &self.names;
        vec![text(
            &json!({ "event": "stop", "sequenceNumber": sequence, "streamSid": names.stream,
            "stop": { "accountSid": names.account, "callSid": names.call } }),
        )]
    }

    fn read(&mut self, message: &Message) -> Asks {
        let frame = object(message);
        assert_eq!(frame["streamSid"], self.names.stream, "31924: {frame}");
        match frame["event"].as_str().unwrap() {
            "media" => {
                assert_eq!(keys(&frame), ["event", "media", "streamSid"], "31924");
                assert_eq!(keys(&frame["media"]), ["payload"], "31924");
                Asks::Play(payload(&frame["media"]).len())
            }
            "mark" => {
                assert_eq!(keys(&frame), ["event", "mark", "streamSid"], "31924");
                Asks::Mark(frame["mark"]["name"].as_str().unwrap().to_owned())
            }
            "clear" => {
                assert_eq!(keys(&frame), ["event", "streamSid"], "31924");
                Asks::Clear
            }
            "dtmf" if self.names.brand == Brand::SignalWire => {
                Asks::Keys(frame["dtmf"]["digit"].as_str().unwrap().to_owned())
            }
            other => panic!("31924: {other}"),
        }
    }
}
