//! The connection to a model that does everything: made when it is needed, made again where it was lost.
//! Entered by `duplex` with what the model is to be told, and by the news that it is gone.
//! Never lets a vendor that keeps nobody be asked without end, and never leaves waiting what only the lost one knew.

use wire::realtime::ErrorBody;

use super::super::Session;
use super::super::input::{ReplyId, UtteranceId};
use super::super::output::{Output, Part};
use super::super::reply::{Reply, Stage};
use super::super::respond::End;
use super::super::transcript::{Utterance, UtteranceState};
use super::Told;
use crate::ask::{DuplexCommand, DuplexItem, DuplexReply, LlmMessage};

/// What a model is told that joins in the middle of its own answer.
const CONTINUE: &str = "The connection broke while you were speaking. What you said so far, and the caller has heard, \
    is your last message. Continue exactly where it stops. Do not greet, apologise or repeat any of it.";

/// Why a caller's words stay unwritten.
const UNWRITTEN: &str =
    "The connection to the model was lost before it had written down what was said.";
/// Connections in a row that may be lost without a word of an answer; a vendor's cap or a restart of his ends one.
const MAX_LOSSES: u32 = 3;
/// Rest behind them, in ms: a caller's audio comes every 20 ms, and each frame would try.
const REST_MS: u64 = 2_000;

/// How far the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Link {
    /// There is none: it is made when it is needed.
    #[default]
    Down,
    /// Asked for.
    Joining,
    /// It has answered.
    Up,
}

impl Session {
    /// Whether these outputs are already what the model is to be told, as with nearly every frame of audio.
    pub(super) fn nothing_to_translate(&self, outputs: &[Output]) -> bool {
        let Some(duplex) = &self.duplex else {
            return true;
        };
        let settled = duplex.pending.is_empty() && !duplex.stale && !duplex.told.outdated;
        let audio = |output: &Output| matches!(output, Output::Duplex(DuplexCommand::Audio(_)));
        settled && (outputs.is_empty() || duplex.link != Link::Down && outputs.iter().all(audio))
    }

    /// Something of an answer has come: the vendor is well.
    pub(super) fn note_progress(&mut self) {
        if let Some(duplex) = &mut self.duplex {
            duplex.losses = 0;
        }
    }

    /// Gives commands to the connection, which is made first where there is none, and made anew where it is stale.
    pub(super) fn hand_over(&mut self, commands: Vec<DuplexCommand>, out: &mut Vec<Output>) {
        let idle = self.replies.is_empty() && self.utterances.is_empty();
        let now_ms = self.now_ms;
        let Some(duplex) = &mut self.duplex else {
            return;
        };
        if duplex.stale && idle {
            duplex.stale = false;
            if duplex.link != Link::Down {
                self.join(out);
                return;
            }
        }
        let Some(duplex) = &mut self.duplex else {
            return;
        };
        if duplex.link == Link::Down {
            // what is only said for the record is part of what it will be told when it joins
            let rests = now_ms < duplex.rests_until_ms;
            let needed = commands.iter().any(|command| match command {
                DuplexCommand::Reply(..) => true,
                DuplexCommand::Audio(_) => !rests,
                _ => false,
            });
            if needed {
                self.join(out);
                // the utterance under way and the replies are told with the joining
            } else {
                self.give_up_transcripts(out);
            }
            return;
        }
        if std::mem::take(&mut duplex.told.outdated) {
            self.configure(out);
        }
        out.extend(commands.into_iter().map(Output::Duplex));
    }

    /// Joins: the settings, what was said and heard, the utterance under way, the answers that are awaited.
    pub(in super::super) fn join(&mut self, out: &mut Vec<Output>) {
        let options = self.duplex_options();
        let resumed = self.resume_replies();
        let mut history = self.duplex_history();
        if let Some(said) = resumed {
            history.push(DuplexItem::Message(LlmMessage::Assistant(said)));
            history.push(DuplexItem::Message(LlmMessage::System(CONTINUE.to_owned())));
        }
        let Some(duplex) = &mut self.duplex else {
            return;
        };
        duplex.link = Link::Joining;
        duplex.told = Told {
            options: Some(options.clone()),
            outdated: false,
        };
        duplex.pending.clear();
        duplex.sent = 0;
        duplex.stale = false;
        out.push(Output::OpenDuplex(Box::new(options), history));
        self.give_up_transcripts(out);
        if self.current_utterance().is_some() {
            // the utterance under way is sent from its beginning
            self.forward_raw(out);
        }
        let awaited: Vec<ReplyId> = self
            .replies
            .iter()
            .filter(|reply| self.is_awaited(reply) && reply.calls.is_empty())
            .map(|reply| reply.id)
            .collect();
        for id in awaited {
            if let Some(reply) = self.ask_again(id) {
                out.push(Output::Duplex(DuplexCommand::Reply(id, Box::new(reply))));
            }
        }
    }

    /// Whether the model is writing it, or should be.
    fn is_awaited(&self, reply: &Reply) -> bool {
        let runs = self.runs.iter().any(|run| run.reply == Some(reply.id));
        reply.stage == Stage::Asked && reply.finish.is_none() && !runs
    }

    /// A connection writes down only what it has heard itself: what others have heard stays without words.
    fn give_up_transcripts(&mut self, out: &mut Vec<Output>) {
        let committed = |utterance: &&Utterance| utterance.state != UtteranceState::Open;
        let ids = self.utterances.iter().filter(committed);
        let ids: Vec<UtteranceId> = ids.map(|utterance| utterance.id).collect();
        for id in ids {
            let error = ErrorBody::server("provider_unavailable", UNWRITTEN);
            self.transcription_failed(id, &error, out);
        }
    }

    fn configure(&mut self, out: &mut Vec<Output>) {
        let options = self.duplex_options();
        if let Some(duplex) = &mut self.duplex
            && duplex.told.options.as_ref() != Some(&options)
        {
            duplex.told.options = Some(options.clone());
            out.push(Output::Duplex(DuplexCommand::Configure(Box::new(options))));
        }
    }

    fn ask_again(&mut self, id: ReplyId) -> Option<DuplexReply> {
        let at = self.replies.iter().position(|reply| reply.id == id)?;
        let reply = self.replies.remove(at);
        let request = self.request(&reply);
        self.replies.insert(at, reply);
        self.wanted_reply(id, request.ok()?)
    }

    /// The connection is gone: one that had been there is made again at once, one that could not be made, or that
    /// nobody may keep, ends what waits for it.
    pub(super) fn on_lost(&mut self, error: &ErrorBody, out: &mut Vec<Output>) {
        let idle = self.replies.is_empty() && self.current_utterance().is_none();
        let now_ms = self.now_ms;
        let Some(duplex) = &mut self.duplex else {
            return;
        };
        duplex.losses += 1;
        let was_up = duplex.link == Link::Up;
        if was_up && duplex.losses < MAX_LOSSES {
            self.rejoin(error, out);
            return;
        }
        duplex.link = Link::Down;
        duplex.rests_until_ms = now_ms + REST_MS;
        self.give_up_transcripts(out);
        if was_up && idle {
            // closed for want of anything to do: it is made again when there is
            return;
        }
        self.lose(Part::Language, error, out);
        let waiting: Vec<ReplyId> = self.replies.iter().map(|reply| reply.id).collect();
        for id in waiting {
            self.finish(id, End::Failed(error.clone()), out);
        }
    }

    fn rejoin(&mut self, error: &ErrorBody, out: &mut Vec<Output>) {
        self.join(out);
        // the client has seen the beginning of a call, which another connection would not continue
        let broken = |reply: &&Reply| self.is_awaited(reply) && !reply.calls.is_empty();
        let broken = self.replies.iter().filter(broken);
        let broken: Vec<ReplyId> = broken.map(|reply| reply.id).collect();
        for id in broken {
            self.finish(id, End::Failed(error.clone()), out);
        }
    }
}
