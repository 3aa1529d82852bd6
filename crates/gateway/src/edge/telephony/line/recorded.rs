//! What of a call is recorded: handed on as it comes and goes, and not where somebody reads out the number of a card.
//! Called by [`super::act`], by functions of the model's and by orders from outside.
//! Never awaits the disk: what has no room in the queue is left out.

use serde_json::{Value, json};

use super::Line;

impl Line {
    /// Keeps nothing from now on, or everything again; what comes back is for whoever has asked.
    pub(super) fn pause_recording(&mut self, paused: bool) -> Value {
        let now_ms = self.now_ms();
        let Some(recorder) = &mut self.recorder else {
            return json!({ "recording": "off" });
        };
        if recorder.pause(now_ms, paused) {
            let kind = if paused {
                "recording_paused"
            } else {
                "recording_resumed"
            };
            self.note(kind, json!({ "at_ms": now_ms }));
        }
        json!({ "recording": if paused { "paused" } else { "on" } })
    }

    /// The carrier throws away what it has not played.
    pub(super) fn record_cut(&mut self, now_ms: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.cut(now_ms);
        }
    }
}
