//! Twilio `ConversationRelay`: the carrier hears and speaks, text goes over the socket
//! (<https://www.twilio.com/docs/voice/conversationrelay/websocket-messages>).
//! Spoken by the leg; its buffer holds characters that wait to be spoken, ten milliseconds each.
//! Never accepts a message that is not one of its own: that is error 64107.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{Asks, Names, Tongue, object, parameters, text};
use crate::carrier::document::Document;

pub(super) struct Relay {
    names: Names,
}

impl Relay {
    pub(super) const fn new(names: Names) -> Self {
        Self { names }
    }
}

impl Tongue for Relay {
    fn begin(&mut self, document: &Document) -> Vec<Message> {
        let names = &self.names;
        vec![text(
            &json!({ "type": "setup", "sessionId": "VX00000000000000000000000000000007",
            "accountSid": names.account, "callSid": names.call, "parentCallSid": "",
            "from": names.from, "to": names.to, "forwardedFrom": "", "callType": "PSTN",
            "callerName": "", "direction": "inbound", "callStatus": "RINGING",
            "customParameters": parameters(document) }),
        )]
    }

    fn sound(&mut self, _sound: &[u8], _at_ms: u64) -> Message {
        panic!("no sound goes over this socket")
    }

    fn key(&mut self, key: char) -> Message {
        text(&json!({ "type": "dtmf", "digit": key.to_string() }))
    }

    fn echo(&mut self, mark: &str) -> Message {
        panic!("64107: a mark {mark}")
    }

    fn cleared(&mut self, _marks: Vec<String>) -> Vec<Message> {
        Vec::new()
    }

    fn hang_up(&mut self) -> Vec<Message> {
        Vec::new()
    }

    fn read(&mut self, message: &Message) -> Asks {
        let frame = object(message);
        let known: &[&str] = match frame["type"].as_str().unwrap() {
            "text" => &[
                "type",
                "token",
                "last",
                "lang",
                "interruptible",
                "preemptible",
            ],
            "sendDigits" => &["type", "digits"],
            "language" => &["type", "ttsLanguage", "transcriptionLanguage"],
            "end" => &["type", "handoffData"],
            "play" => &["type", "source", "loop", "interruptible", "preemptible"],
            other => panic!("64107: {other}"),
        };
        for key in super::keys(&frame) {
            assert!(known.contains(&key), "64107: {key} in {frame}");
        }
        match frame["type"].as_str().unwrap() {
            "text" => {
                assert!(frame["last"].is_boolean(), "64107: {frame}");
                Asks::Speak(frame["token"].as_str().unwrap().to_owned())
            }
            "sendDigits" => Asks::Keys(frame["digits"].as_str().unwrap().to_owned()),
            "end" => Asks::End,
            other => Asks::Answer(other.to_owned()),
        }
    }
}
