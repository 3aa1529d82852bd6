//! Counts what one attempt made a provider do, and tells it however the attempt ends.
//! Held by the attempts of `llm`, `stt` and `tts` while they run, and by the open answers of `duplex`.
//! Never knows what anything costs.

use engine::ask::{DuplexUsage, LlmMessage, LlmRequest, LlmUsage};
use engine::meter::Units;

use super::{Incident, Member, Watch};

/// Characters of English text in a token, for answers whose tokens nobody counted.
pub(super) const CHARS_PER_TOKEN: u64 = 4;

/// For whom something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) session: String,
    pub(super) turn: u32,
}

/// What an attempt has made a provider do so far; told when it is dropped.
pub(super) struct Bill {
    watch: Watch,
    account: Account,
    stage: super::Stage,
    provider: std::sync::Arc<str>,
    model: String,
    pub(super) units: Units,
}

impl Bill {
    pub(super) fn new<P: ?Sized>(member: &Member<P>, model: &str, account: &Account) -> Self {
        member.watch.open.begin();
        Self {
            watch: member.watch.clone(),
            account: account.clone(),
            stage: member.stage,
            provider: std::sync::Arc::clone(&member.name),
            model: model.to_owned(),
            units: Units::default(),
        }
    }

    /// A speech-to-speech model has counted, or has not.
    pub(super) fn speaks(&mut self, usage: DuplexUsage) {
        if usage == DuplexUsage::default() {
            return;
        }
        let (text, audio) = (usage.text, usage.audio);
        self.units = Units {
            input_tokens: text.input_tokens.into(),
            cached_tokens: text.cached_tokens.into(),
            output_tokens: text.output_tokens.into(),
            audio_input_tokens: audio.input_tokens.into(),
            audio_cached_tokens: audio.cached_tokens.into(),
            audio_output_tokens: audio.output_tokens.into(),
            ..Units::default()
        };
    }

    /// A language model reads `request`; until it has counted its tokens they are estimated.
    pub(super) fn reads(&mut self, request: &LlmRequest) {
        let read = request.messages.iter().map(chars).sum::<u64>();
        self.units.input_tokens = read.div_ceil(CHARS_PER_TOKEN);
        self.units.estimated = true;
    }

    /// It has answered so many characters.
    pub(super) fn estimate(&mut self, answered_chars: u64) {
        self.units.output_tokens = answered_chars.div_ceil(CHARS_PER_TOKEN);
    }

    /// It has counted, or has not.
    pub(super) fn count(&mut self, usage: LlmUsage, answered_chars: u64) {
        if usage == LlmUsage::default() {
            return self.estimate(answered_chars);
        }
        self.units = Units {
            input_tokens: usage.input_tokens.into(),
            cached_tokens: usage.cached_tokens.into(),
            output_tokens: usage.output_tokens.into(),
            ..Units::default()
        };
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        if !self.units.is_zero() {
            self.tell();
        }
        self.watch.open.end();
    }
}

impl Bill {
    fn tell(&self) {
        // an entry may be NAME/MODEL
        let (name, _) = self
            .provider
            .split_once('/')
            .unwrap_or((&*self.provider, ""));
        self.watch.tell(&Incident::Used {
            session: &self.account.session,
            turn: self.account.turn,
            stage: self.stage,
            provider: name,
            model: &self.model,
            units: self.units,
        });
    }
}

/// The length of a message, as far as it is text.
pub(super) fn chars(message: &LlmMessage) -> u64 {
    let bytes = match message {
        LlmMessage::System(text) | LlmMessage::Assistant(text) | LlmMessage::User { text, .. } => {
            text.len()
        }
        LlmMessage::ToolCall {
            name, arguments, ..
        } => name.len() + arguments.len(),
        LlmMessage::ToolOutput { output, .. } => output.len(),
    };
    bytes as u64
}
