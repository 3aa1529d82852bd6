//! Keys of the caller, and functions of ours that the model calls.
//! Called by [`super::act`].
//! Never presses a key that the carrier cannot send.

use engine::call::dtmf::{self, Gathered, Key};
use serde_json::{Value, json};
use wire::realtime::client::{ClientAction, Position};
use wire::realtime::item::ItemBody;
use wire::rest::calls::webhook::CallTool;
use wire::telephony::Say;

use super::texts::user;
use super::{Line, Replying};
use crate::calls::Entry;

impl Line {
    /// A key is pressed: whoever presses one wants to be listened to.
    pub(super) fn on_key(&mut self, key: Key, now_ms: u64) {
        self.app.metrics.calls().key("in");
        self.timers.caller_active(now_ms);
        self.cut_short(now_ms);
        if let Some(gathered) = self.keys.press(key, now_ms) {
            self.on_keys(&gathered);
        }
    }

    /// Keys were pressed, and no more follow.
    pub(super) fn on_keys(&mut self, gathered: &Gathered) {
        if gathered.keys.is_empty() {
            return;
        }
        self.note("dtmf", json!({ "keys": gathered.keys }));
        self.hand_on_event(ClientAction::ItemCreate {
            position: Position::End,
            id: None,
            body: user(&format!("DTMF: {}", gathered.keys)),
        });
        self.answer();
    }

    /// A function that only whoever holds the line can do.
    pub(super) fn on_function(&mut self, call_id: String, name: &str, arguments: &str) {
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let output = match name {
            "send_dtmf" => self.press(arguments["digits"].as_str().unwrap_or_default()),
            "pause_recording" => self.pause_recording(arguments["paused"] != false),
            "transfer_call" => match self.want_transfer(&call_id, &arguments) {
                // it is answered once it is known what came of it
                Ok(()) => return,
                Err(why) => json!({ "error": why }),
            },
            _ => json!({ "error": format!("{name} cannot be done in this call") }),
        };
        self.answer_function(call_id, (name, arguments), &output);
    }

    /// Tells the model what came of a function, and writes it down.
    pub(super) fn answer_function(
        &mut self,
        call_id: String,
        (name, arguments): (&str, Value),
        output: &Value,
    ) {
        let error = output.get("error").and_then(Value::as_str);
        self.book.note(Entry::Tool {
            id: call_id.clone(),
            used: CallTool {
                name: name.to_owned(),
                arguments,
                output: error.is_none().then(|| output.clone()),
                error: error.map(str::to_owned),
            },
        });
        self.hand_on_event(ClientAction::ItemCreate {
            position: Position::End,
            id: None,
            body: ItemBody::FunctionCallOutput {
                call_id,
                output: output.to_string(),
            },
        });
        if self.replying == Replying::Yes {
            // the response that called the function is still being made
            self.owed_answers += 1;
        } else {
            self.answer();
        }
    }

    /// Presses keys: with the carrier's own frame, or as sound where it has none.
    pub(super) fn press(&mut self, digits: &str) -> Value {
        let presses = match dtmf::presses(digits) {
            Ok(presses) => presses,
            Err(error) => return json!({ "error": error.to_string() }),
        };
        self.app.metrics.calls().key("out");
        let plain: String = digits
            .chars()
            .filter(|face| Key::of(*face).is_some())
            .collect();
        let has_pauses = plain.len() != digits.len();
        let upper = plain.to_ascii_uppercase();
        if has_pauses || !self.say(Say::Dtmf(&upper)) {
            let mut samples = Vec::new();
            dtmf::sound(&presses, self.sound.rate_hz(), &mut samples);
            self.sound.play_samples(&samples);
        }
        json!({ "sent": digits })
    }
}
