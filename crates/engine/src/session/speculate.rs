//! Replies that are prepared while the end of the turn is still being decided.
//! Entered by `transcript` at a pause, and by whatever makes the preparation void.
//! Never shows one before the turn is over, and leaves no trace of one that was in vain.

use wire::realtime::response::CreateResponse;

use super::Session;
use super::input::{ReplyId, UtteranceId};
use super::output::{Mark, Output};
use super::reply::{Calling, Reply, Stage};
use super::respond::drop_work;

impl Session {
    /// Prepares a reply to what the caller seems to have said, invisible until the turn is decided.
    pub(super) fn prepare(
        &mut self,
        utterance: UtteranceId,
        words: String,
        out: &mut Vec<Output>,
    ) -> Option<ReplyId> {
        if self.refusal().is_some() || self.awaits_transcripts() {
            return None;
        }
        let mut reply = self.new_reply(CreateResponse::default(), Stage::Held(utterance));
        reply.prompt = Some(words);
        let mut request = self.request(&reply).ok()?;
        request.speculative = true;
        let id = reply.id;
        self.replies.push(reply);
        out.push(Output::AskLlm(id, Box::new(request)));
        Some(id)
    }

    /// Whether a prepared reply answers these words.
    pub(super) fn was_prepared_for(&self, id: ReplyId, words: &str) -> bool {
        let reply = self.replies.iter().find(|reply| reply.id == id);
        reply.is_some_and(|reply| reply.prompt.as_deref() == Some(words))
    }

    /// The turn was decided as expected: the prepared reply becomes visible.
    pub(super) fn release(&mut self, id: ReplyId, out: &mut Vec<Output>) {
        let Some(at) = self.replies.iter().position(|reply| reply.id == id) else {
            return;
        };
        let mut reply = self.replies.remove(at);
        reply.stage = Stage::Asked;
        reply.prompt = None;
        reply.input_audio_ms = self.input_audio_ms();
        out.push(Output::Mark(Mark::SpeculationUsed));
        self.announce(&reply, out);
        let mut work = Vec::new();
        reply.speak_more(&mut work);
        super::present::push_work(&reply, work, out);
        let calls = reply.calling == Calling::Complete;
        self.replies.push(reply);
        if calls {
            self.run_tools(id, out);
        }
        self.advance(id, out);
    }

    /// Discards a prepared reply that cannot be had; false when `id` is none. The caller may still go on; if not, the turn
    /// is asked again in the open.
    pub(super) fn drop_held(&mut self, id: ReplyId, out: &mut Vec<Output>) -> bool {
        let reply = self.replies.iter().find(|reply| reply.id == id);
        let Some(Stage::Held(utterance)) = reply.map(|reply| reply.stage) else {
            return false;
        };
        self.drop_speculation(out);
        if let Some(u) = self.utterances.iter_mut().find(|u| u.id == utterance) {
            u.partial = None;
        }
        true
    }

    /// Discards prepared replies without a trace.
    pub(super) fn drop_speculation(&mut self, out: &mut Vec<Output>) {
        while let Some(at) = self.replies.iter().position(Reply::is_held) {
            let reply = self.replies.remove(at);
            drop_work(&reply, out);
            out.push(Output::Mark(Mark::SpeculationDropped));
            if let Stage::Held(utterance) = reply.stage {
                for other in &mut self.utterances {
                    if other.id == utterance {
                        other.speculative = None;
                    }
                }
            }
        }
    }
}
