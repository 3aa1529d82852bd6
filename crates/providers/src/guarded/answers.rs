//! The answers of a speech-to-speech model that have not ended, and what each of them has cost so far.
//! Kept by the guard as long as a conversation lasts; those that are left when it ends are told then.
//! Never estimates an answer of which nothing came: nobody knows whether its question was read.

use std::collections::HashMap;

use engine::ask::{DuplexCommand, DuplexItem, DuplexOptions, DuplexReply, DuplexUsage};
use engine::audio::Format;
use engine::meter::Units;
use engine::session::ReplyId;

use super::{
    Member,
    bill::{Account, Bill, CHARS_PER_TOKEN, chars},
};
use crate::{
    duplex::sound,
    ports::{Duplex, DuplexEvent},
};

/// Speech of the caller in a token, where nobody counted, and speech of the model
/// (<https://developers.openai.com/api/docs/guides/realtime-costs>).
const HEARD_MS_PER_TOKEN: u64 = 100;
/// See [`HEARD_MS_PER_TOKEN`].
const SPOKEN_MS_PER_TOKEN: u64 = 50;

/// Words and speech.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    chars: u64,
    ms: u64,
}

/// An answer that was asked for and has not ended.
struct Open {
    bill: Bill,
    /// What has to be read for it, and what of that was there when the last one was asked for.
    read: (Amount, Amount),
    said: Amount,
    /// Whether it becomes part of the conversation.
    joins: bool,
}

/// The answers that have not ended.
pub(super) struct Answers<'a> {
    member: &'a Member<dyn Duplex>,
    session: String,
    /// Formats of the caller's speech and of the model's.
    formats: (Format, Format),
    /// What the model has been told, and has said itself.
    context: Amount,
    /// The same when the last answer was asked for: whatever was there is in a cache.
    asked: Amount,
    /// The utterance under way.
    uttered_ms: u64,
    open: HashMap<ReplyId, Open>,
}

impl<'a> Answers<'a> {
    /// None yet, of a conversation that begins like this.
    pub(super) fn new(
        member: &'a Member<dyn Duplex>,
        options: &DuplexOptions,
        history: &[DuplexItem],
    ) -> Self {
        let mut answers = Self {
            member,
            session: options.session.clone(),
            formats: formats(options),
            context: Amount {
                chars: options.instructions.len() as u64,
                ms: 0,
            },
            asked: Amount::default(),
            uttered_ms: 0,
            open: HashMap::new(),
        };
        for item in history {
            answers.read(item);
        }
        answers
    }

    fn read(&mut self, item: &DuplexItem) {
        match item {
            DuplexItem::Message(message) => self.context.chars += chars(message),
            DuplexItem::Speech(speech) => {
                self.context.ms += self.formats.0.duration_ms(speech.len() as u64);
            }
        }
    }

    /// The model is told something.
    pub(super) fn told(&mut self, command: &DuplexCommand) {
        match command {
            DuplexCommand::Configure(options) => self.formats = formats(options),
            DuplexCommand::Audio(audio) => {
                self.uttered_ms += self.formats.0.duration_ms(audio.len() as u64);
            }
            DuplexCommand::Commit(_) => self.context.ms += std::mem::take(&mut self.uttered_ms),
            DuplexCommand::Discard => self.uttered_ms = 0,
            DuplexCommand::Add(item) => self.read(item),
            DuplexCommand::Reply(reply, wanted) => self.ask(*reply, wanted),
            DuplexCommand::Cancel(_) | DuplexCommand::Heard { .. } => {}
        }
    }

    fn ask(&mut self, reply: ReplyId, wanted: &DuplexReply) {
        let (mut all, cached) = if let Some(messages) = &wanted.apart {
            let chars = messages.iter().map(chars).sum();
            (Amount { chars, ms: 0 }, Amount::default())
        } else {
            let cached = std::mem::replace(&mut self.asked, self.context);
            (self.context, cached)
        };
        all.chars += wanted.instructions.as_ref().map_or(0, String::len) as u64;
        let open = Open {
            bill: self.bill(wanted.turn),
            read: (all, cached),
            said: Amount::default(),
            joins: wanted.apart.is_none(),
        };
        self.open.insert(reply, open);
    }

    fn bill(&self, turn: u32) -> Bill {
        let session = self.session.clone();
        let account = Account { session, turn };
        Bill::new(self.member, self.member.provider.model(), &account)
    }

    /// The model says something.
    pub(super) fn heard(&mut self, event: &DuplexEvent) {
        match event {
            DuplexEvent::Text { reply, text: words }
            | DuplexEvent::ToolCall {
                reply, name: words, ..
            }
            | DuplexEvent::ToolArguments { reply, json: words } => {
                self.said(*reply, words.chars().count() as u64, 0);
            }
            DuplexEvent::Audio { reply, audio } => {
                let ms = self.formats.1.duration_ms(audio.len() as u64);
                self.said(*reply, 0, ms);
            }
            DuplexEvent::Done { reply, usage, .. } | DuplexEvent::Failed { reply, usage, .. } => {
                self.ended(*reply, *usage);
            }
            DuplexEvent::Ready
            | DuplexEvent::Transcript { .. }
            | DuplexEvent::TranscriptFailed { .. }
            | DuplexEvent::Lost(_) => {}
        }
    }

    fn said(&mut self, reply: ReplyId, chars: u64, ms: u64) {
        if let Some(open) = self.open.get_mut(&reply) {
            open.said.chars += chars;
            open.said.ms += ms;
            open.estimate();
        }
    }

    fn ended(&mut self, reply: ReplyId, usage: DuplexUsage) {
        let mut bill = match self.open.remove(&reply) {
            Some(open) => {
                if open.joins {
                    self.context.chars += open.said.chars;
                    self.context.ms += open.said.ms;
                }
                open.bill
            }
            None => self.bill(0),
        };
        // told as it is dropped
        bill.speaks(usage);
    }
}

impl Open {
    fn estimate(&mut self) {
        let (all, cached) = self.read;
        self.bill.units = Units {
            input_tokens: all.chars.div_ceil(CHARS_PER_TOKEN),
            cached_tokens: cached.chars.div_ceil(CHARS_PER_TOKEN),
            output_tokens: self.said.chars.div_ceil(CHARS_PER_TOKEN),
            audio_input_tokens: all.ms.div_ceil(HEARD_MS_PER_TOKEN),
            audio_cached_tokens: cached.ms.div_ceil(HEARD_MS_PER_TOKEN),
            audio_output_tokens: self.said.ms.div_ceil(SPOKEN_MS_PER_TOKEN),
            estimated: true,
            ..Units::default()
        };
    }
}

fn formats(options: &DuplexOptions) -> (Format, Format) {
    (
        sound::format(options.input_format),
        sound::format(options.output_format),
    )
}
