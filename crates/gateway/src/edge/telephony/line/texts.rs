//! Callers whose carrier hears and speaks for us: text in, text out (`ConversationRelay`).
//! Called by [`super::act`].
//! Never takes words for heard that the carrier says were cut off.

use engine::call::ledger::Marks;
use wire::realtime::ServerEvent;
use wire::realtime::client::{ClientAction, Position};
use wire::realtime::item::{ContentPart, ItemBody, Role};
use wire::telephony::{Dialect, Say, Words as Spoken};

use super::{Line, Replying};
use crate::calls::Entry;
use crate::edge::Outbound;

impl Line {
    /// Text mode: what the caller said.
    pub(super) fn on_prompt(&mut self, text: &str, now_ms: u64) {
        self.timers.caller_active(now_ms);
        if text.trim().is_empty() {
            return;
        }
        // what was said before was heard to its end
        self.heard_up_to(0);
        if let Some(turn) = self.words.caller_said("", text, now_ms) {
            self.book.note(Entry::Turn(turn));
        }
        if self.replying == Replying::Yes {
            self.hand_on_event(ClientAction::ResponseCancel { response_id: None });
        }
        self.hand_on_event(ClientAction::ItemCreate {
            position: Position::End,
            id: None,
            body: user(text),
        });
        self.answer();
    }

    /// Text mode: the caller spoke over us, and has heard this much.
    pub(super) fn on_interrupted(&mut self, heard: &str, now_ms: u64) {
        self.timers.caller_active(now_ms);
        let carrier = self.codec.dialect().name();
        self.app.metrics.calls().barged_in(carrier);
        if self.replying == Replying::Yes {
            self.hand_on_event(ClientAction::ResponseCancel { response_id: None });
        }
        if let Some(turn) = self.words.agent_interrupted(heard, now_ms) {
            self.book.note(Entry::Turn(turn));
        }
        self.hand_on_event(ClientAction::ItemCreate {
            position: Position::End,
            id: None,
            body: system(&format!(
                "The caller interrupted you. Of your last answer they heard only: {heard}"
            )),
        });
    }

    pub(super) fn speak_text(&mut self, token: &str, last: bool) {
        if self.codec.dialect() == Dialect::Relay {
            self.say(Say::Text(Spoken { token, last }));
        }
    }

    /// Asks the session what was heard of words that are being said, and waits for it.
    pub(super) async fn tell_heard(&mut self) {
        let now_ms = self.now_ms();
        if self.codec.dialect() == Dialect::Relay {
            self.heard_up_to(0);
            return;
        }
        let mut cuts = Vec::new();
        self.sound.interrupt(now_ms, &mut cuts);
        for cut in cuts {
            self.cut(&cut);
        }
        if self.sound.marks() == Marks::Clock {
            // what is not cut was heard to its end, by the clock
            self.heard_up_to(u64::MAX);
        }
        while self.words.awaits_words() && !self.session_over {
            self.offer();
            match self.from_session.recv().await {
                Some(Outbound::Event(event, _)) => {
                    if let ServerEvent::ItemRetrieved { .. }
                    | ServerEvent::TranscriptionCompleted { .. }
                    | ServerEvent::OutputTranscriptDone { .. } = &*event
                    {
                        self.on_event(*event);
                    }
                }
                Some(_) => {}
                None => self.session_over = true,
            }
        }
    }
}

/// A message of whoever runs the call.
pub(super) fn system(text: &str) -> ItemBody {
    message(Role::System, text)
}

/// A message of the caller's.
pub(super) fn user(text: &str) -> ItemBody {
    message(Role::User, text)
}

pub(super) fn message(role: Role, text: &str) -> ItemBody {
    ItemBody::Message {
        role,
        content: vec![ContentPart::InputText {
            text: text.to_owned(),
        }],
    }
}

/// What was said in an item.
pub(super) fn transcript_of(body: &ItemBody) -> String {
    let ItemBody::Message { content, .. } = body else {
        return String::new();
    };
    let spoken = content.iter().find_map(|part| match part {
        ContentPart::OutputAudio { transcript, .. } => transcript.clone(),
        _ => None,
    });
    spoken.unwrap_or_default()
}
