//! Responses begin and end here: asked for by a client, by a turn, by a silence, or prepared in advance.
//! Uses `request` for what the model reads and `present` for what the client sees.
//! Never holds a conversation of its own: at most one response writes to the default one.

use wire::realtime::item::{ContentPart, ItemBody};
use wire::realtime::response::{
    ConversationTarget, CreateResponse, InputItem, Response, ResponseAudio, ResponseAudioOutput,
    StatusDetails,
};
use wire::realtime::session::{Modality, TurnDetection, Voice};
use wire::realtime::{
    AudioFormat, ErrorBody, ItemStatus, ResponseStatus, ServerEvent, SessionKind, Usage,
};

use super::input::ReplyId;
use super::items::Entry;
use super::output::{Mark, Output, Part};
use super::own_words::Ending;
use super::reply::{Reply, Stage};
use super::unanswered::Owed;
use super::{Session, send_error, settings};
use crate::ask::SpeakOptions;

/// The hosted service counts a token for every 100 ms of the caller's audio, and one for every 50 ms of its own.
const INPUT_MS_PER_TOKEN: u64 = 100;
const OUTPUT_MS_PER_TOKEN: u64 = 50;

/// How a response came to its end.
#[derive(Debug)]
pub(super) enum End {
    Completed,
    Cancelled(&'static str),
    Incomplete(&'static str),
    Failed(ErrorBody),
}

impl Session {
    /// The running response of the default conversation.
    pub(super) fn active_default(&self) -> Option<&Reply> {
        self.replies.iter().find(|reply| reply.is_active_default())
    }

    /// `response.create`.
    pub(super) fn create_response(
        &mut self,
        create: CreateResponse,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorBody> {
        if self.settings.kind == SessionKind::Transcription {
            return Err(ErrorBody::invalid(
                "invalid_value",
                "A transcription session creates no responses: open a realtime session for that.",
            )
            .at("type"));
        }
        self.check_references(&create)?;
        self.check_voice(create.voice.as_ref(), "response.audio.output.voice")?;
        if create.conversation == ConversationTarget::Auto {
            if let Some(active) = self.active_default() {
                return Err(ErrorBody::invalid(
                    "conversation_already_has_active_response",
                    format!(
                        "Conversation already has an active response in progress: {}. Wait until the response is finished before creating a new one.",
                        active.response.id
                    ),
                ));
            }
        } else if self.replies.len() > self.policy.max_parallel_responses {
            return Err(ErrorBody::invalid(
                "too_many_responses",
                format!(
                    "{} responses are running; wait until one of them is done.",
                    self.replies.len()
                ),
            ));
        }
        if create.conversation == ConversationTarget::Auto {
            // the client answers the turn itself
            for utterance in &mut self.utterances {
                if utterance.answers_by_itself() {
                    utterance.state = super::transcript::UtteranceState::Committed;
                }
            }
        }
        let reply = self.new_reply(create, Stage::Waiting);
        self.begin(reply, out);
        Ok(())
    }

    /// The voice that the session has is not asked for, it is sent along by clients that repeat their settings.
    pub(super) fn check_voice(&self, asked: Option<&Voice>, param: &str) -> Result<(), ErrorBody> {
        let own = &self.settings.output.voice;
        let Some(asked) = asked.filter(|asked| *asked != own) else {
            return Ok(());
        };
        settings::check_voice(asked, self.policy.voices.as_deref(), param)
    }

    fn check_references(&self, create: &CreateResponse) -> Result<(), ErrorBody> {
        for item in create.input.as_deref().unwrap_or_default() {
            let message = match item {
                InputItem::Reference { id } if self.conversation.get(id).is_none() => {
                    format!("Error creating response: the item with id '{id}' does not exist.")
                }
                InputItem::Inline { body, .. } if is_unread_audio(body) => {
                    "Audio in response.input is not transcribed: add it with conversation.item.create and name that item with an item_reference, or send its transcript along.".to_owned()
                }
                _ => continue,
            };
            return Err(ErrorBody::invalid("invalid_value", message).at("response.input"));
        }
        Ok(())
    }

    /// Answers a turn whose transcript is known.
    pub(super) fn answer_turn(&mut self, out: &mut Vec<Output>) {
        if self.active_default().is_some() {
            self.owed = Owed::AfterResponse;
            return;
        }
        let reply = self.new_reply(CreateResponse::default(), Stage::Waiting);
        self.begin(reply, out);
    }

    /// Speaks up after a silence.
    pub(super) fn answer_silence(&mut self, out: &mut Vec<Output>) {
        let mut reply = self.new_reply(CreateResponse::default(), Stage::Waiting);
        reply.prompt = Some("(silence)".to_owned());
        self.begin(reply, out);
    }

    fn speak_options(&self, voice: &Voice, format: AudioFormat) -> SpeakOptions {
        SpeakOptions {
            session: self.settings.id.clone(),
            turn: self.next_turn(),
            voice: voice.name().to_owned(),
            speed: self.settings.output.speed,
            preferred_rate_hz: super::listen::format_of(format).rate().hz(),
        }
    }

    /// What the session's utterances and replies will ask of providers, so that they can get ready.
    pub(super) fn preparation(&self) -> Output {
        let settings = &self.settings;
        let speaks =
            settings.kind == SessionKind::Realtime && settings.output_modalities == Modality::Audio;
        let output = &settings.output;
        let speak = speaks.then(|| self.speak_options(&output.voice, output.format));
        Output::Prepare(self.stt_options(), speak)
    }

    pub(super) fn new_reply(&mut self, create: CreateResponse, stage: Stage) -> Reply {
        let settings = &self.settings;
        let format = create.output_format.unwrap_or(settings.output.format);
        let voice = create
            .voice
            .clone()
            .unwrap_or_else(|| settings.output.voice.clone());
        let in_conversation = create.conversation == ConversationTarget::Auto;
        let speak = self.speak_options(&voice, format);
        let response = Response {
            object: "realtime.response",
            id: self.ids.next("resp"),
            status: ResponseStatus::InProgress,
            status_details: None,
            output: Vec::new(),
            conversation_id: in_conversation.then(|| self.conversation_id.clone()),
            output_modalities: create
                .output_modalities
                .unwrap_or(settings.output_modalities),
            max_output_tokens: create
                .max_output_tokens
                .unwrap_or(settings.max_output_tokens),
            audio: ResponseAudio {
                output: ResponseAudioOutput { format, voice },
            },
            usage: None,
            metadata: create.metadata.clone(),
        };
        let id = self.number();
        let mut reply = Reply::new(id, stage, response, create, speak);
        if self.is_duplex() {
            reply.let_model_speak();
        }
        reply
    }

    pub(super) fn announce(&mut self, reply: &Reply, out: &mut Vec<Output>) {
        if reply.is_active_default() {
            self.idle_at_ms = None;
            self.hangs_up_at_ms = None;
            self.ending = Ending::No;
            self.turns += 1;
            self.turn_is_answered();
        }
        out.push(Output::Send(ServerEvent::ResponseCreated {
            response: Box::new(reply.response.clone()),
        }));
    }

    pub(super) fn begin(&mut self, reply: Reply, out: &mut Vec<Output>) {
        let id = reply.id;
        self.announce(&reply, out);
        self.replies.push(reply);
        if let Some(error) = self.refusal() {
            self.finish(id, End::Failed(error), out);
            return;
        }
        self.ask_if_ready(id, out);
    }

    /// Whether a transcript that a reply must read is still on its way.
    pub(super) fn awaits_transcripts(&self) -> bool {
        // a model that hears by itself needs no words
        if self.is_duplex() {
            return false;
        }
        self.conversation
            .entries()
            .iter()
            .any(|entry| entry.transcript_pending)
    }

    pub(super) fn ask_if_ready(&mut self, id: ReplyId, out: &mut Vec<Output>) {
        let Some(at) = self.replies.iter().position(|reply| reply.id == id) else {
            return;
        };
        let waits = match &self.replies[at].create.input {
            None => self.awaits_transcripts(),
            Some(_) if self.is_duplex() => false,
            Some(input) => input.iter().any(|item| {
                matches!(item, InputItem::Reference { id }
                    if self.conversation.get(id).is_some_and(|entry| entry.transcript_pending))
            }),
        };
        if waits || self.replies[at].stage != Stage::Waiting {
            return;
        }
        let reply = self.replies.remove(at);
        let request = self.request(&reply);
        self.replies.insert(at, reply);
        let Ok(request) = request else {
            let message =
                "The conversation is longer than the model's context and truncation is disabled.";
            let error = ErrorBody::invalid("context_length_exceeded", message);
            self.finish(id, End::Failed(error), out);
            return;
        };
        self.replies[at].stage = Stage::Asked;
        self.replies[at].input_audio_ms = self.input_audio_ms();
        out.push(Output::AskLlm(id, Box::new(request)));
    }

    /// A transcript came: replies that waited for it may ask now.
    pub(super) fn wake_waiting(&mut self, out: &mut Vec<Output>) {
        let waiting: Vec<ReplyId> = self.waiting().collect();
        for id in waiting {
            self.ask_if_ready(id, out);
        }
    }

    /// A transcript will not come: replies that waited for it fail.
    pub(super) fn fail_waiting(&mut self, error: &ErrorBody, out: &mut Vec<Output>) {
        if self.awaits_transcripts() {
            return;
        }
        let waiting: Vec<ReplyId> = self.waiting().collect();
        let unheard = self.policy.unheard.clone();
        for id in waiting {
            if !self.excuse_with(id, &unheard, error, out) {
                self.finish(id, End::Failed(error.clone()), out);
            }
        }
    }

    fn waiting(&self) -> impl Iterator<Item = ReplyId> {
        self.replies
            .iter()
            .filter(|reply| reply.stage == Stage::Waiting)
            .map(|reply| reply.id)
    }

    pub(super) fn input_audio_ms(&self) -> u64 {
        let user_audio = |entry: &&Entry| !entry.is_assistant_audio();
        self.conversation
            .entries()
            .iter()
            .filter(user_audio)
            .map(|entry| entry.audio_ms)
            .sum()
    }

    /// `response.cancel`.
    pub(super) fn cancel_by_client(
        &mut self,
        response_id: Option<&str>,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorBody> {
        let target = match response_id {
            Some(id) => self
                .replies
                .iter()
                .find(|reply| !reply.is_held() && reply.response.id == id),
            None => self.active_default(),
        };
        let Some(id) = target.map(|reply| reply.id) else {
            return Err(ErrorBody::invalid(
                "response_cancel_not_active",
                "Cancellation failed: no active response found",
            ));
        };
        self.finish(id, End::Cancelled("client_cancelled"), out);
        Ok(())
    }

    /// Ends a response: closes what is open, reports usage, lets the next one begin.
    pub(super) fn finish(&mut self, id: ReplyId, end: End, out: &mut Vec<Output>) {
        let Some(at) = self.replies.iter().position(|reply| reply.id == id) else {
            return;
        };
        let mut reply = self.replies.remove(at);
        let (status, reason, error) = match end {
            End::Completed => (ResponseStatus::Completed, None, None),
            End::Cancelled(reason) => (ResponseStatus::Cancelled, Some(reason), None),
            End::Incomplete(reason) => (ResponseStatus::Incomplete, Some(reason), None),
            End::Failed(error) => (ResponseStatus::Failed, None, Some(error)),
        };
        let completed = status == ResponseStatus::Completed;
        if !completed {
            drop_work(&reply, out);
        }
        self.leave_runs(id, out);
        if !reply.rounds.is_empty() {
            self.change_options();
        }
        if completed {
            self.note_pace(&reply);
        }
        self.close_open_items(
            &mut reply,
            if completed {
                ItemStatus::Completed
            } else {
                ItemStatus::Incomplete
            },
            out,
        );
        reply.response.status = status;
        reply.response.status_details = (!completed).then(|| StatusDetails {
            kind: status,
            reason: reason.map(str::to_owned),
            error: error.as_ref().map(Into::into),
        });
        let usage = usage(&reply);
        reply.response.usage = Some(usage);
        self.spend(&reply, usage.total_tokens);
        out.push(Output::Mark(Mark::ReplyEnded {
            completed,
            turn: reply.speak.turn,
            response: reply
                .response
                .conversation_id
                .is_some()
                .then(|| reply.response.id.clone()),
        }));
        let in_conversation = reply.response.conversation_id.is_some();
        let ends_call = reply.ends_call();
        out.push(Output::Send(ServerEvent::ResponseDone {
            response: Box::new(reply.response),
        }));
        self.report_limits(out);
        if ends_call {
            self.ending = Ending::Farewell;
            if completed {
                self.hangs_up_at_ms = Some(self.playback_end_ms());
                return;
            }
        }
        if in_conversation {
            self.after_default_response(completed, out);
        }
    }

    fn after_default_response(&mut self, completed: bool, out: &mut Vec<Output>) {
        if self.owed == Owed::AfterResponse {
            self.answer_turn(out);
            return;
        }
        // a prompt that has to lose its beginning is read anew while the answer is still being heard
        let request = self.warm_request();
        out.push(Output::WarmLlm(request));
        if let Some(TurnDetection::ServerVad {
            idle_timeout_ms: Some(timeout),
            ..
        }) = self.settings.input.turn_detection
            && completed
            && self.current_utterance().is_none()
        {
            self.idle_at_ms = Some(self.playback_end_ms() + u64::from(timeout));
        }
    }

    /// The response could not go on.
    pub(super) fn fail(&mut self, id: ReplyId, error: ErrorBody, out: &mut Vec<Output>) {
        let is_known = self.replies.iter().any(|reply| reply.id == id);
        if !is_known || self.drop_held(id, out) {
            return;
        }
        if error.code.is_none() {
            send_error(error.clone(), out);
        }
        self.lose(Part::Language, &error, out);
        if !self.apologise(id, &error, out) {
            self.finish(id, End::Failed(error), out);
        }
    }
}

/// Whether there is audio in it that nobody has put into words.
fn is_unread_audio(body: &ItemBody) -> bool {
    let ItemBody::Message { content, .. } = body else {
        return false;
    };
    content.iter().any(|part| {
        matches!(
            part,
            ContentPart::InputAudio {
                transcript: None,
                ..
            }
        )
    })
}

pub(super) fn drop_work(reply: &Reply, out: &mut Vec<Output>) {
    if reply.finish.is_none() && reply.stage != Stage::Waiting {
        out.push(Output::DropLlm(reply.id));
    }
    if reply.synthesis_opened() {
        out.push(Output::DropTts(reply.id));
    }
}

fn usage(reply: &Reply) -> Usage {
    let tokens = |ms: u64, each: u64| u32::try_from(ms / each).unwrap_or(u32::MAX / 4);
    let (audio_in, audio_out) = if reply.speaks_by_itself() {
        (
            reply.audio_usage.input_tokens,
            reply.audio_usage.output_tokens,
        )
    } else {
        (
            tokens(reply.input_audio_ms, INPUT_MS_PER_TOKEN),
            tokens(reply.audio_ms(), OUTPUT_MS_PER_TOKEN),
        )
    };
    let cached_audio = reply.audio_usage.cached_tokens;
    let mut usage = Usage::default();
    usage.input_token_details.cached_tokens_details.audio_tokens = cached_audio;
    usage.input_token_details.text_tokens = reply.usage.input_tokens;
    usage.input_token_details.audio_tokens = audio_in;
    usage.input_token_details.cached_tokens = reply.usage.cached_tokens + cached_audio;
    usage.input_token_details.cached_tokens_details.text_tokens = reply.usage.cached_tokens;
    usage.output_token_details.text_tokens = reply.usage.output_tokens;
    usage.output_token_details.audio_tokens = audio_out;
    usage.input_tokens = reply.usage.input_tokens + audio_in;
    usage.output_tokens = reply.usage.output_tokens + audio_out;
    usage.total_tokens = usage.input_tokens + usage.output_tokens;
    usage
}
