//! What the session says of its own accord: a greeting, an apology where a provider is missing; and what it tells the
//! client about that, once.
//! Entered at the start, and when transcription, language or speech fails.
//! Never ends a conversation because a provider is missing, and asks each of them again at the next occasion.

use wire::realtime::item::{ItemBody, Role};
use wire::realtime::response::CreateResponse;
use wire::realtime::{ErrorBody, SessionKind};

use super::input::ReplyId;
use super::output::{Mark, Output, Part};
use super::present::push_work;
use super::reply::{Joint, Stage};
use super::{Session, context, send_error};
use crate::ask::Finish;

/// A request that was refused for what it is says nothing about the provider.
const REFUSED: &str = "provider_rejected";
/// Characters of the caller's words that an apology repeats.
const ECHOED: usize = 200;

/// Words of the edge that wait at most; of more, the oldest are not said.
const KEPT_WORDS: usize = 4;

/// What the session does without at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Missing {
    ears: Gone,
    language: Gone,
    voice: Gone,
}

/// Whether a part is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Gone {
    #[default]
    No,
    Yes,
}

/// Whether the assistant has said goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ending {
    /// It has not.
    #[default]
    No,
    /// It has, at least in part, and nothing was said since.
    Farewell,
}

impl Missing {
    fn of(&mut self, part: Part) -> &mut Gone {
        match part {
            Part::Ears => &mut self.ears,
            Part::Language => &mut self.language,
            Part::Voice => &mut self.voice,
        }
    }
}

impl Session {
    /// Says something in a response of its own.
    pub(super) fn say(&mut self, words: &str, out: &mut Vec<Output>) {
        if self.is_duplex() {
            // the only voice there is speaks its own words unless it is told which
            let exactly = format!("Say exactly this and nothing else: \"{words}\"");
            let create = CreateResponse {
                instructions: Some(exactly),
                ..CreateResponse::default()
            };
            let reply = self.new_reply(create, Stage::Waiting);
            self.begin(reply, out);
            return;
        }
        let mut reply = self.new_reply(CreateResponse::default(), Stage::Asked);
        let mut work = Vec::new();
        reply.push_text(words, &mut work);
        reply.finish = Some(Finish::Stop);
        reply.end_text(&mut work);
        let id = reply.id;
        self.announce(&reply, out);
        push_work(&reply, work, out);
        self.replies.push(reply);
        self.advance(id, out);
    }

    /// What is said first, if anything is.
    pub fn greeting(&self) -> Option<&str> {
        self.policy.greeting.as_deref()
    }

    /// Says `words` first, in place of the greeting, and at once: there is no client whose settings might come. To be
    /// called before [`Session::start`].
    pub fn open_with(&mut self, words: String) {
        self.policy.greeting = Some(words);
        self.greets_at_ms = Some(0);
    }

    /// Words that the edge wants said.
    pub(super) fn keep_words(&mut self, words: Box<str>) {
        if self.to_say.len() == KEPT_WORDS {
            self.to_say.remove(0);
        }
        self.to_say.push(words);
    }

    /// Says what the edge wants said, once nobody speaks.
    pub(super) fn say_kept_words(&mut self, out: &mut Vec<Output>) {
        let is_quiet = || self.active_default().is_none() && self.current_utterance().is_none();
        if !self.to_say.is_empty() && is_quiet() {
            let words = self.to_say.remove(0);
            self.say(&words, out);
        }
    }

    /// Says the greeting, unless somebody was faster; while somebody seems to speak it waits.
    pub(super) fn greet(&mut self, out: &mut Vec<Output>) {
        self.greets_at_ms = None;
        if self.turns > 0 || self.settings.kind != SessionKind::Realtime {
            self.policy.greeting = None;
        }
        if self.utterances.is_empty()
            && let Some(greeting) = self.policy.greeting.take()
        {
            self.say(&greeting, out);
        }
    }

    /// What seemed to be speech was none: a greeting or the end that it kept back is due.
    pub(super) fn was_noise(&mut self) {
        if self.policy.greeting.is_some() && self.turns == 0 {
            self.greets_at_ms = Some(self.now_ms);
        }
        if self.ending == Ending::Farewell && self.active_default().is_none() {
            self.hangs_up_at_ms = Some(self.playback_end_ms());
        }
    }

    /// A part fails: the client is told once, with what happens until it is back.
    pub(super) fn lose(&mut self, part: Part, error: &ErrorBody, out: &mut Vec<Output>) {
        let code = error.code.as_deref().unwrap_or("provider_unavailable");
        if code == REFUSED || *self.missing.of(part) == Gone::Yes {
            return;
        }
        *self.missing.of(part) = Gone::Yes;
        out.push(Output::Mark(Mark::Missing {
            part,
            missing: true,
        }));
        let (own, until) = match part {
            Part::Ears => (
                "stt_degraded",
                "What the caller says cannot be understood: send text (conversation.item.create) until it can.",
            ),
            Part::Language => (
                "llm_degraded",
                "No language model answers: spoken responses apologise and repeat what was said until one does.",
            ),
            Part::Voice => (
                "tts_degraded",
                "Nothing can be spoken: responses come as their transcript alone until it can.",
            ),
        };
        let message = format!("{until} ({code}) It is tried again every time.");
        send_error(ErrorBody::server(own, message), out);
    }

    /// A part works again.
    pub(super) fn regain(&mut self, part: Part, out: &mut Vec<Output>) {
        if *self.missing.of(part) == Gone::Yes {
            *self.missing.of(part) = Gone::No;
            out.push(Output::Mark(Mark::Missing {
                part,
                missing: false,
            }));
        }
    }

    /// A response whose language model is missing apologises and repeats what was said; it is a failed response all the
    /// same. Returns whether it does.
    pub(super) fn apologise(
        &mut self,
        id: ReplyId,
        error: &ErrorBody,
        out: &mut Vec<Output>,
    ) -> bool {
        let mut apology = self.policy.apology.clone();
        if let Some(words) = self.last_words().filter(|_| !apology.trim().is_empty()) {
            apology.push_str(&format!(" {} {words}", self.policy.echo));
        }
        self.excuse_with(id, &apology, error, out)
    }

    /// A response that fails says these words, if it is heard by somebody and has said nothing of its answer yet.
    /// Returns whether it does.
    pub(super) fn excuse_with(
        &mut self,
        id: ReplyId,
        words: &str,
        error: &ErrorBody,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(reply) = self.replies.iter_mut().find(|reply| reply.id == id) else {
            return false;
        };
        // a model that speaks by itself is the voice that is missing
        let silent = reply.said_since_call().is_empty() && !reply.speaks_by_itself();
        let empty = silent && reply.calls.is_empty();
        if !empty || !reply.speaks() || !reply.is_active_default() || words.trim().is_empty() {
            return false;
        }
        let mut work = Vec::new();
        reply.excuse = Some(error.clone());
        reply.stage = Stage::Asked;
        reply.joint = Joint::behind(&reply.text);
        reply.push_text(words, &mut work);
        reply.finish = Some(Finish::Stop);
        reply.end_text(&mut work);
        push_work(reply, work, out);
        self.advance(id, out);
        true
    }

    /// Why a reply that has said everything is a failed one.
    pub(super) fn excuse_of(&mut self, id: ReplyId) -> Option<ErrorBody> {
        let reply = self.replies.iter_mut().find(|reply| reply.id == id)?;
        reply.excuse.take()
    }

    /// What the caller said last.
    fn last_words(&self) -> Option<String> {
        let entry = self.conversation.entries().iter().rfind(|entry| {
            matches!(
                &entry.item.body,
                ItemBody::Message {
                    role: Role::User,
                    ..
                }
            )
        })?;
        let message = context::message(&entry.item, entry.cut)?;
        let crate::ask::LlmMessage::User { text, .. } = message else {
            return None;
        };
        let words: String = text.chars().take(ECHOED).collect();
        (!words.trim().is_empty()).then_some(words)
    }

    /// A turn that should be answered was not understood because nobody could: the caller is told.
    pub(super) fn excuse_deafness(&mut self, out: &mut Vec<Output>) {
        let words = self.policy.unheard.clone();
        let speaks = self.settings.output_modalities == wire::realtime::session::Modality::Audio;
        let quiet = self.active_default().is_none() && self.current_utterance().is_none();
        if speaks && quiet && !words.trim().is_empty() {
            self.say(&words, out);
        }
    }

    /// A reply lost its voice: the rest of it is shown without sound.
    pub(super) fn fall_silent(&mut self, id: ReplyId, error: &ErrorBody, out: &mut Vec<Output>) {
        self.lose(Part::Voice, error, out);
        if let Some(reply) = self.replies.iter_mut().find(|reply| reply.id == id) {
            reply.mute();
        }
        self.advance(id, out);
    }
}
