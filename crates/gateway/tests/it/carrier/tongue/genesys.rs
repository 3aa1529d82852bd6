//! Genesys `AudioHook`, version 2, and Audio Connector: <https://developer.genesys.cloud/devapps/audiohook/protocol-reference>.
//! Spoken by the leg, after the vendor's reference client: mu-law in binary frames of 200 ms, positions, numbers both ways.
//! Never sends sound before `opened`, and never lets the server's numbers, or an answer that it owes, slip.

use std::time::Instant;

use gateway::clock::Clock;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Asks, Names, Tongue, object, text};
use crate::carrier::document::Document;

/// Binary messages that are taken at once, and how many more a second.
const BURST: f64 = 25.0;
const A_SECOND: f64 = 5.0;

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Opened,
    Closed,
}

pub(super) struct Genesys {
    names: Names,
    seq: u64,
    server_seq: u64,
    position_ms: u64,
    stage: Stage,
    room: f64,
    clock: Clock,
    looked: Instant,
}

impl Genesys {
    pub(super) fn new(names: Names, clock: Clock) -> Self {
        Self {
            names,
            seq: 0,
            server_seq: 0,
            position_ms: 0,
            stage: Stage::Opening,
            room: BURST,
            looked: clock.now(),
            clock,
        }
    }

    /// A message of the client's.
    fn frame(&mut self, kind: &str, parameters: &Value) -> Message {
        self.seq += 1;
        let position = format!(
            "PT{}.{:03}S",
            self.position_ms / 1000,
            self.position_ms % 1000
        );
        text(
            &json!({ "version": "2", "id": self.names.stream, "type": kind, "seq": self.seq,
            "serverseq": self.server_seq, "position": position, "parameters": parameters }),
        )
    }

    /// Binary messages are limited: 429 for what is too many.
    fn take_room(&mut self) {
        let now = self.clock.now();
        let passed = now.duration_since(self.looked).as_secs_f64();
        self.looked = now;
        self.room = (self.room + passed * A_SECOND).min(BURST) - 1.0;
        assert!(self.room >= 0.0, "429: too many binary messages");
    }
}

impl Tongue for Genesys {
    fn begin(&mut self, document: &Document) -> Vec<Message> {
        let names = self.names.clone();
        let offer = |channels: &[&str]| json!({ "type": "audio", "format": "PCMU", "channels": channels, "rate": 8000 });
        let (call, offers) = if document.probe {
            ("00000000-0000-0000-0000-000000000000", json!([]))
        } else {
            let both = offer(&["external", "internal"]);
            let offers = json!([both, offer(&["external"]), offer(&["internal"])]);
            (names.call.as_str(), offers)
        };
        let open = json!({
            "organizationId": names.account, "conversationId": call,
            "participant": { "id": "883efee8-3d6c-4537-b500-6d7ca4b92fa0", "ani": names.from,
                "aniName": "", "dnis": names.to },
            "media": offers, "language": "en-US",
        });
        vec![self.frame("open", &open)]
    }

    fn sound(&mut self, sound: &[u8], at_ms: u64) -> Message {
        assert!(self.stage == Stage::Opened, "sound outside the session");
        self.position_ms = at_ms;
        Message::binary(sound.to_vec())
    }

    fn key(&mut self, key: char) -> Message {
        self.frame("dtmf", &json!({ "digit": key.to_string() }))
    }

    fn echo(&mut self, mark: &str) -> Message {
        panic!("there are no marks: {mark}")
    }

    fn cleared(&mut self, _marks: Vec<String>) -> Vec<Message> {
        vec![self.frame("playback_completed", &json!({}))]
    }

    fn hang_up(&mut self) -> Vec<Message> {
        vec![self.frame("close", &json!({ "reason": "end" }))]
    }

    fn said(&mut self, messages: u64) {
        self.seq += messages;
    }

    fn renamed(&mut self, id: &str) {
        id.clone_into(&mut self.names.stream);
    }

    fn read(&mut self, message: &Message) -> Asks {
        assert!(self.stage != Stage::Closed, "after closed: {message:?}");
        if let Message::Binary(sound) = message {
            assert!(self.stage != Stage::Opening, "sound before opened");
            self.take_room();
            return Asks::Play(sound.len());
        }
        let frame = object(message);
        assert_eq!(frame["version"], "2", "{frame}");
        assert_eq!(frame["id"], self.names.stream.as_str(), "{frame}");
        self.server_seq += 1;
        assert_eq!(frame["seq"], self.server_seq, "{frame}");
        let known = frame["clientseq"].as_u64().unwrap();
        assert!(
            known <= self.seq,
            "of a message that there was not: {frame}"
        );
        assert!(
            frame.get("position").is_none(),
            "the client's alone: {frame}"
        );
        let parameters = &frame["parameters"];
        let kind = frame["type"].as_str().unwrap();
        match kind {
            "opened" => {
                assert_eq!(self.stage, Stage::Opening, "twice: {frame}");
                self.stage = Stage::Opened;
                let media = parameters["media"].as_array().unwrap();
                assert!(media.len() <= 1, "one of the offers: {frame}");
            }
            "pong" | "updated" | "pause" | "resume" => {}
            "closed" => {
                assert_eq!(known, self.seq, "{frame}");
                self.stage = Stage::Closed;
            }
            "event" => {
                let entities = parameters["entities"].as_array().unwrap();
                let barge_in = entities.iter().any(|it| it["type"] == "barge_in");
                return if barge_in {
                    Asks::Clear
                } else {
                    Asks::Answer(kind.to_owned())
                };
            }
            "disconnect" => {
                let reason = parameters["reason"].as_str().unwrap();
                assert!(["completed", "unauthorized", "error"].contains(&reason));
                return Asks::End;
            }
            other => panic!("no server says {other}: {frame}"),
        }
        Asks::Answer(kind.to_owned())
    }

    fn frame_bytes(&self) -> usize {
        1600
    }
}
