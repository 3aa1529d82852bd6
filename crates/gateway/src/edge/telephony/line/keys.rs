//! Keys of the caller, and functions of ours that the model calls.
//! Called by [`super::act`].
//! Never presses a key that the carrier cannot send.

use engine::call::dtmf::{self, Gathered, Key};
use serde_json::{Value, json};
use wire::realtime::client::{ClientAction, Position};
use wire::realtime::item::ItemBody;
use wire::telephony::Say;

use super::Line;
use super::texts::user;

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
            _ => json!({ "error": format!("{name} cannot be done in this call") }),
        };
        self.note("tool", json!({ "name": name, "output": output }));
        self.hand_on_event(ClientAction::ItemCreate {
            position: Position::End,
            id: None,
            body: ItemBody::FunctionCallOutput {
                call_id,
                output: output.to_string(),
            },
        });
        // the response that called the function is still being made
        self.owed_answers += 1;
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
