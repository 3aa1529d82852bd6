//! Turns left without an answer because the caller seemed to go on, remembered until it is known what he said.
//! Called by `barge_in` when an answer becomes void, by `transcript` when a transcript says nothing, and by `respond`.
//! Never answers again what was heard, or what a client asked for in its own way.

use wire::realtime::SessionKind;
use wire::realtime::response::CreateResponse;

use super::Session;
use super::input::ReplyId;
use super::items::Cut;
use super::output::Output;
use super::reply::{Message, Reply};
use super::transcript::UtteranceState;

/// Whether a turn whose words are known still waits for its answer, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    /// No turn waits.
    Nothing,
    /// It ended while a response that may not be interrupted was running.
    AfterResponse,
    /// Its answer became void before anything of it was heard, because the caller seemed to go on.
    AfterSpeech,
}

impl Session {
    /// Answers that have not begun are void: the caller goes on, and all he says is answered together.
    pub(super) fn void_answers(&mut self) {
        for utterance in &mut self.utterances {
            if utterance.state == UtteranceState::Answered {
                utterance.state = UtteranceState::Voided;
            }
        }
        if self.owed == Owed::AfterResponse {
            self.owed = Owed::AfterSpeech;
        }
    }

    /// A reply is about to be cut off: when nothing of it was heard its turn is still unanswered.
    pub(super) fn void_reply(&mut self, id: ReplyId) {
        let reply = self.replies.iter().find(|reply| reply.id == id);
        if reply.is_some_and(|reply| answers_a_turn(reply) && !self.was_perceived(reply)) {
            self.owed = Owed::AfterSpeech;
        }
    }

    fn was_perceived(&self, reply: &Reply) -> bool {
        let called = reply.calls.iter().any(|call| call.opened.is_some());
        called
            || match &reply.message {
                Message::Unopened => false,
                Message::Open(item_id, _) if reply.speaks() => {
                    let entry = self.conversation.get(item_id);
                    entry.is_some_and(|entry| entry.cut != Cut::Heard(0))
                }
                Message::Open(..) => reply.text_sent > 0,
                Message::Closed => true,
            }
    }

    /// A response of the default conversation begins: it answers all that was said.
    pub(super) fn turn_is_answered(&mut self) {
        self.owed = Owed::Nothing;
        for utterance in &mut self.utterances {
            if utterance.state == UtteranceState::Voided {
                utterance.state = UtteranceState::Committed;
            }
        }
    }

    /// What seemed to be the caller going on was no words: what he said before is answered after all.
    pub(super) fn answer_what_is_left(&mut self, out: &mut Vec<Output>) {
        if self.settings.kind != SessionKind::Realtime {
            return;
        }
        if self.owed == Owed::AfterSpeech {
            self.answer_turn(out);
            return;
        }
        // whether there is anything to answer is known once its transcript comes
        for utterance in &mut self.utterances {
            if utterance.state == UtteranceState::Voided {
                utterance.state = UtteranceState::Answered;
            }
        }
    }
}

/// Whether it is the answer that a turn gets by itself, or one asked for in the same words.
fn answers_a_turn(reply: &Reply) -> bool {
    reply.prompt.is_none() && reply.create == CreateResponse::default()
}
