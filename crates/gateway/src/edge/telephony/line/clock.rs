//! What the clock alone brings about: limits of a call, and silence for a carrier that has stopped sending.
//! Called by [`super::act`].
//! Never ends a call without a word, where there is one for it.

use engine::call::limits::Due;
use engine::call::state::{HangupReason, Party};
use serde_json::json;
use wire::realtime::client::{ClientAction, Position};

use super::texts::system;
use super::{Caller, Line, ending};
use crate::calls::Ending;

/// A carrier that sends nothing for so long while the caller speaks has stopped sending silence, in ms.
const STALLED_MS: u64 = 750;
/// What stands for that, in ms: enough for the turn to end.
const STALL_SILENCE_MS: u64 = 1000;
/// Told to the model when time is running out.
const TIME_IS_UP: &str =
    "The call ends in 30 seconds. Bring it to a good end: answer briefly, and begin nothing new.";

impl Line {
    /// A carrier that stops sending while the caller speaks would leave the turn open for ever.
    pub(super) fn fill_stall(&mut self, now_ms: u64) {
        let stalled = self.caller == Caller::Speaks
            && self.filled == 0
            && now_ms.saturating_sub(self.heard_at_ms) >= STALLED_MS;
        if stalled {
            self.filled = STALL_SILENCE_MS;
            let silence = self.ear.silence(STALL_SILENCE_MS);
            self.hand_on_silence(&silence);
        }
    }

    pub(super) fn on_limit(&mut self, due: Due) {
        let telephony = &self.app.config.telephony;
        match due {
            Due::Warn => {
                let words = telephony.time_warning.clone();
                self.note("time_warning", json!({}));
                self.hand_on_event(ClientAction::ItemCreate {
                    position: Position::End,
                    id: None,
                    body: system(TIME_IS_UP),
                });
                self.speak(words);
            }
            Due::Goodbye => {
                let words = telephony.goodbye.clone();
                let over = self.time_is_up();
                self.leave(Some(words), over);
            }
            Due::HangUp => {
                let over = self.time_is_up();
                self.leave(None, over);
            }
            Due::Prompt => {
                let words = telephony.inactivity_prompt.clone();
                self.note("inactivity_prompt", json!({}));
                self.speak(words);
            }
            Due::GiveUp => self.leave(None, ending(HangupReason::Inactivity, Party::System)),
        }
    }

    pub(super) fn time_is_up(&self) -> Ending {
        if self.app.lifecycle.stopping() {
            super::shutdown()
        } else {
            ending(HangupReason::MaxDuration, Party::System)
        }
    }
}
