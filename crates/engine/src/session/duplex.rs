//! A conversation whose ears, language and voice are one model: what the stages would be asked becomes what it is told.
//! Entered behind every input of a session with such a model, and by the model's news.
//! Never lets it decide a turn or remember what nobody heard: where a connection is lost, it is told everything anew.

mod link;
mod resumed;

use bytes::Bytes;
use wire::realtime::ItemStatus;
use wire::realtime::client::Position;
use wire::realtime::item::ItemBody;
use wire::realtime::session::{MaxTokens, Modality, ToolChoice};

use super::input::{DuplexNews, ReplyId};
use super::items::Entry;
use super::output::{Output, Part};
use super::reply::{Message, Reply};
use super::{Session, context};
use crate::ask::{DuplexCommand, DuplexItem, DuplexOptions, DuplexReply, LlmMessage, LlmRequest};

use link::Link;
pub(super) use resumed::Resumed;

/// The connection to the model.
#[derive(Debug, Default)]
pub(super) struct Duplex {
    link: Link,
    told: Told,
    /// What it must be told besides, in order.
    pending: Vec<DuplexCommand>,
    /// Bytes of the buffered utterance that it has.
    sent: usize,
    /// What it believes to have been said is not what the conversation holds.
    stale: bool,
    /// Characters that it has spoken to their end, and how many ms that took.
    pace: (u64, u64),
    /// Connections that were lost one behind the other without a word of an answer in between.
    losses: u32,
    /// Until then the caller's audio alone makes no new connection, in ms.
    rests_until_ms: u64,
}

/// The settings that the model was told last.
#[derive(Debug, Default)]
struct Told {
    options: Option<DuplexOptions>,
    /// They may have changed since.
    outdated: bool,
}

impl Session {
    /// Whether one model does everything.
    pub(super) fn is_duplex(&self) -> bool {
        self.duplex.is_some()
    }

    /// Tells the model something.
    pub(super) fn tell(&mut self, command: DuplexCommand) {
        if let Some(duplex) = &mut self.duplex {
            duplex.pending.push(command);
        }
    }

    /// The client changes the conversation: an item at its end is told, anything else makes the model join anew.
    pub(super) fn tell_item(&mut self, entry: &Entry, position: &Position) {
        let Some(duplex) = &mut self.duplex else {
            return;
        };
        let item = if entry.audio.is_empty() {
            context::message(&entry.item, entry.cut).map(DuplexItem::Message)
        } else {
            Some(DuplexItem::Speech(entry.audio.clone()))
        };
        match (item, position) {
            (Some(item), Position::End) => duplex.pending.push(DuplexCommand::Add(item)),
            (None, _) => {}
            _ => duplex.stale = true,
        }
    }

    /// The conversation was changed behind the model's back.
    pub(super) fn forget_told(&mut self) {
        if let Some(duplex) = &mut self.duplex {
            duplex.stale = true;
        }
    }

    /// Only the beginning of an answer was heard.
    pub(super) fn tell_heard(&mut self, item_id: &str, audio_ms: u64) {
        let Some(entry) = self.conversation.get(item_id).filter(|_| self.is_duplex()) else {
            return;
        };
        let Some(reply) = entry.reply else { return };
        let text = match context::message(&entry.item, entry.cut) {
            Some(LlmMessage::Assistant(text)) => text,
            _ => String::new(),
        };
        self.tell(DuplexCommand::Heard {
            reply,
            audio_ms,
            text,
        });
    }

    /// An utterance begins: its audio so far is still to be sent.
    pub(super) fn begin_speech(&mut self) {
        if let Some(duplex) = &mut self.duplex {
            duplex.sent = 0;
        }
    }

    /// Its settings may no longer be what the model was told.
    pub(super) fn change_options(&mut self) {
        if let Some(duplex) = &mut self.duplex {
            duplex.told.outdated = true;
        }
    }

    /// Hands on what was heard of the utterance under way, as it came.
    pub(super) fn forward_raw(&mut self, out: &mut Vec<Output>) {
        let format = self.input_format();
        let Some(duplex) = &mut self.duplex else {
            return;
        };
        let whole = self.listener.whole_buffer(format);
        let new = whole.get(duplex.sent..).unwrap_or_default();
        if !new.is_empty() {
            let audio = Bytes::copy_from_slice(new);
            duplex.sent = whole.len();
            out.push(Output::Duplex(DuplexCommand::Audio(audio)));
        }
    }

    /// Turns what was asked of stages since `from` into what the model is told.
    pub(super) fn translate(&mut self, from: usize, out: &mut Vec<Output>) {
        if self.nothing_to_translate(&out[from..]) {
            return;
        }
        let asked: Vec<Output> = out.drain(from..).collect();
        let mut heard = Vec::new();
        let mut commands = Vec::new();
        for command in self.take_pending() {
            if matches!(command, DuplexCommand::Heard { .. }) {
                heard.push(command);
            } else {
                commands.push(command);
            }
        }
        let mut events = Vec::new();
        for output in asked {
            match output {
                Output::Duplex(command) => commands.push(command),
                Output::SttEnd(id) => commands.push(DuplexCommand::Commit(id)),
                Output::DropStt(_) => commands.push(DuplexCommand::Discard),
                Output::DropLlm(id) => commands.push(DuplexCommand::Cancel(id)),
                Output::AskLlm(id, request) => {
                    if let Some(reply) = self.wanted_reply(id, *request) {
                        commands.push(DuplexCommand::Reply(id, Box::new(reply)));
                    }
                }
                Output::Prepare(..)
                | Output::OpenStt(..)
                | Output::SttAudio(..)
                | Output::SttPause(_)
                | Output::SttResume(_)
                | Output::WarmLlm(_)
                | Output::OpenTts(..)
                | Output::Speak { .. }
                | Output::EndTts(_)
                | Output::DropTts(_) => {}
                event => events.push(event),
            }
        }
        // behind the cancelling of that answer, before what the caller says into it
        let cancelled = |command: &DuplexCommand| matches!(command, DuplexCommand::Cancel(_));
        let place = commands.iter().rposition(cancelled).map_or(0, |at| at + 1);
        commands.splice(place..place, heard);
        // what the client is told does not wait for a model
        out.extend(events);
        self.hand_over(commands, out);
    }

    fn take_pending(&mut self) -> Vec<DuplexCommand> {
        let pending = self.duplex.as_mut().map(|duplex| &mut duplex.pending);
        pending.map(std::mem::take).unwrap_or_default()
    }

    /// What an answer is wanted to be.
    fn wanted_reply(&self, id: ReplyId, request: LlmRequest) -> Option<DuplexReply> {
        let reply = self.replies.iter().find(|reply| reply.id == id)?;
        let create = &reply.create;
        let apart = reply.response.conversation_id.is_none() || create.input.is_some();
        let chosen = if reply.rounds.is_empty() {
            create.tool_choice.clone()
        } else {
            // a choice that forces a call would force it for ever
            Some(request.tool_choice.clone())
        };
        Some(DuplexReply {
            turn: reply.speak.turn,
            instructions: create.instructions.clone(),
            tools: create.tools.clone(),
            tool_choice: chosen,
            max_tokens: match create.max_output_tokens {
                Some(MaxTokens::Limit(limit)) => Some(limit),
                Some(MaxTokens::Inf) | None => None,
            },
            text_only: reply.response.output_modalities == Modality::Text,
            apart: apart.then_some(request.messages),
        })
    }

    fn duplex_options(&self) -> DuplexOptions {
        let settings = &self.settings;
        let wanted = settings.input.transcription.as_ref();
        DuplexOptions {
            session: settings.id.clone(),
            instructions: settings.instructions.clone(),
            voice: settings.output.voice.name().to_owned(),
            speed: settings.output.speed,
            input_format: settings.input.format,
            output_format: settings.output.format,
            language: wanted
                .and_then(|wanted| wanted.language.clone())
                .or_else(|| self.policy.language.clone()),
            tools: self.with_server_tools(&settings.tools),
            tool_choice: match &settings.tool_choice {
                ToolChoice::Required if self.replies.iter().any(|r| !r.rounds.is_empty()) => {
                    ToolChoice::Auto
                }
                choice => choice.clone(),
            },
            max_tokens: match settings.max_output_tokens {
                MaxTokens::Limit(limit) => Some(limit),
                MaxTokens::Inf => None,
            },
        }
    }

    /// The conversation as it was heard; speech that nobody has put into words as it sounded.
    fn duplex_history(&self) -> Vec<DuplexItem> {
        let mut history = Vec::new();
        let running: Vec<&str> = self.replies.iter().filter_map(Reply::open_item).collect();
        for (at, message) in context::messages(self.conversation.entries()) {
            let entry = &self.conversation.entries()[at];
            if !running.contains(&entry.item.id.as_str()) {
                history.push((at, DuplexItem::Message(message)));
            }
        }
        for (at, entry) in self.conversation.entries().iter().enumerate() {
            let spoken = matches!(&entry.item.body, ItemBody::Message { .. })
                && entry.item.status == Some(ItemStatus::Completed)
                && !entry.is_assistant_audio();
            let unread = entry.transcript().is_none_or(str::is_empty);
            if spoken && unread && !entry.audio.is_empty() {
                history.push((at, DuplexItem::Speech(entry.audio.clone())));
            }
        }
        history.sort_by_key(|(at, _)| *at);
        history.into_iter().map(|(_, item)| item).collect()
    }

    /// News of the model.
    pub(super) fn on_duplex(&mut self, news: DuplexNews, out: &mut Vec<Output>) {
        match news {
            DuplexNews::Ready => {
                if let Some(duplex) = &mut self.duplex {
                    duplex.link = Link::Up;
                }
                self.regain(Part::Language, out);
            }
            DuplexNews::Audio { reply, audio } => {
                self.note_progress();
                self.on_voice(reply, audio, out);
            }
            DuplexNews::Done {
                reply,
                finish,
                usage,
            } => {
                self.note_progress();
                self.settle_resumed(reply);
                if let Some(found) = self.replies.iter_mut().find(|found| found.id == reply) {
                    found.audio_usage.input_tokens += usage.audio.input_tokens;
                    found.audio_usage.cached_tokens += usage.audio.cached_tokens;
                    found.audio_usage.output_tokens += usage.audio.output_tokens;
                }
                let usage = usage.text;
                let news = super::input::LlmNews::Done { finish, usage };
                self.on_llm(reply, news, out);
            }
            DuplexNews::Lost(error) => self.on_lost(&error, out),
        }
    }

    fn on_voice(&mut self, id: ReplyId, audio: Bytes, out: &mut Vec<Output>) {
        let Some(reply) = self.replies.iter_mut().find(|reply| reply.id == id) else {
            return;
        };
        match &mut reply.resumed {
            Some(resumed) if resumed.holds() => resumed.hold(audio),
            _ => reply.push_voice(audio),
        }
        self.advance(id, out);
    }
}

impl Reply {
    /// The item that it is writing.
    fn open_item(&self) -> Option<&str> {
        match &self.message {
            Message::Open(item_id, _) => Some(item_id),
            Message::Unopened | Message::Closed => None,
        }
    }
}
