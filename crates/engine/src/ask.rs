//! What the engine asks of providers, as plain values.
//! Produced by `session`, carried by the gateway, understood by `providers`.
//! Never names a vendor.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::realtime::AudioFormat;
use wire::realtime::session::{Tool, ToolChoice};

use crate::session::{ReplyId, UtteranceId, context};

/// When transcription begins its work on a turn that the client ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hears {
    /// While it is spoken: sound is worth most to it early.
    #[default]
    AsSpoken,
    /// Once it is complete: sound that comes before is only kept.
    Whole,
}

/// How an utterance is to be transcribed.
#[expect(
    clippy::struct_excessive_bools,
    reason = "two independent wishes, named at every use"
)]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SttOptions {
    /// The session's id: keeps a session's work in order where models are shared.
    pub session: String,
    /// The turn it belongs to, counted from 1; for the bill.
    pub turn: u32,
    /// ISO-639-1 hint.
    pub language: Option<String>,
    /// Vocabulary hint: reaches the decoder of local models.
    pub prompt: Option<String>,
    /// Whether token log probabilities are wanted.
    pub logprobs: bool,
    /// Whether a judgement of the end of the turn is wanted at each pause.
    pub judge_turn: bool,
}

/// One message of the context given to a language model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LlmMessage {
    /// Instructions.
    System(String),
    /// The caller's words; pictures as data URIs.
    User {
        /// Words.
        text: String,
        /// Data URIs.
        images: Vec<String>,
    },
    /// What the model said before (as far as it was heard).
    Assistant(String),
    /// A function the model called.
    ToolCall {
        /// Ties output to call.
        call_id: String,
        /// Function name.
        name: String,
        /// JSON text.
        arguments: String,
    },
    /// What the function returned.
    ToolOutput {
        /// Ties output to call.
        call_id: String,
        /// Free text.
        output: String,
    },
}

/// A question to a language model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LlmRequest {
    /// The session's id: prompt caches are kept per session.
    pub session: String,
    /// The turn it belongs to, counted from 1; for the bill.
    pub turn: u32,
    /// Model name as the pipeline configures it; the provider's default when absent.
    pub model: Option<String>,
    /// Context, oldest first.
    pub messages: Vec<LlmMessage>,
    /// Functions offered.
    pub tools: Vec<Tool>,
    /// Which of them to use.
    pub tool_choice: ToolChoice,
    /// Whether several calls may come at once.
    pub parallel_tool_calls: Option<bool>,
    /// Limit on generated tokens.
    pub max_tokens: Option<u32>,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// `minimal` to `xhigh`, for models that know it.
    pub reasoning_effort: Option<Value>,
    /// Produced before the turn has ended: yields to live work.
    pub speculative: bool,
}

impl LlmRequest {
    /// About how many tokens it will take to read it and to answer: for an answer without a limit, those of a long spoken
    /// one.
    pub fn estimated_tokens(&self) -> u64 {
        let answer = self.max_tokens.map_or(UNLIMITED_ANSWER, u64::from);
        context::tokens(&self.messages) + answer
    }
}

/// Tokens that an answer is taken to have that may have any number.
const UNLIMITED_ANSWER: u64 = 512;

/// A function that the server runs by itself when the model calls it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerTool {
    /// Function name, as the model sees it.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub parameters: Option<Value>,
    /// How it is run.
    pub runner: ToolRunner,
    /// Said aloud while it takes its time; nothing when absent.
    pub filler: Option<String>,
    /// How long the caller hears nothing before that, in ms.
    pub filler_after_ms: u64,
}

/// What fills a silence where nobody has a phrase of his own.
pub const FILLER: &str = "One moment, please.";

/// How a function of the server is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolRunner {
    /// With its arguments; it goes on whatever the caller does, because it may change the world.
    Detached,
    /// With the conversation so far; void as soon as the caller speaks.
    Attended,
    /// By the session itself: it ends once everything was said.
    EndCall,
}

/// A call that the server is to run.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The turn it belongs to, counted from 1; for the bill.
    pub turn: u32,
    /// Function name.
    pub name: String,
    /// JSON text as the model wrote it.
    pub arguments: String,
    /// The conversation so far, for [`ToolRunner::Attended`]; empty otherwise.
    pub history: Vec<LlmMessage>,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolOutcome {
    /// It returned this.
    Returned(String),
    /// It failed; what the model is told about it.
    Failed(String),
}

/// Why a language model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Finish {
    /// It had said everything, or called functions.
    #[default]
    Stop,
    /// `max_tokens` was reached.
    Length,
    /// The vendor's filter cut it off.
    ContentFilter,
}

/// Token counts of one answer, of text or of speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LlmUsage {
    /// Prompt tokens.
    pub input_tokens: u32,
    /// Part of the prompt read from a cache.
    pub cached_tokens: u32,
    /// Generated tokens.
    pub output_tokens: u32,
}

/// Token counts of one answer of a speech-to-speech model, which counts words and sound apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DuplexUsage {
    /// Of text.
    pub text: LlmUsage,
    /// Of speech.
    pub audio: LlmUsage,
}

/// How a reply is to be spoken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeakOptions {
    /// The session's id: keeps a session's work in order where models are shared.
    pub session: String,
    /// The turn it belongs to, counted from 1; for the bill.
    pub turn: u32,
    /// Voice name as the client asked for it; the provider resolves aliases.
    pub voice: String,
    /// 1.0 is natural speed.
    pub speed: f32,
    /// Rate the client will hear, in Hz; a provider that can produce it natively should.
    pub preferred_rate_hz: u32,
}

/// A voice that speaks in the place of another from some point of a reply on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnotherVoice {
    /// Who cannot speak: a provider, or a voice of this machine.
    pub from: String,
    /// Who speaks instead.
    pub to: String,
    /// Code of the error that made it so.
    pub reason: String,
}

/// How a speech-to-speech model is to behave in a session.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplexOptions {
    /// The session's id.
    pub session: String,
    /// System prompt.
    pub instructions: String,
    /// Voice name as the client asked for it; the upstream resolves aliases.
    pub voice: String,
    /// 1.0 is natural speed.
    pub speed: f32,
    /// Encoding of the caller's audio in [`DuplexCommand::Audio`] and of speech in the history.
    pub input_format: AudioFormat,
    /// Encoding of the speech that the session wants back.
    pub output_format: AudioFormat,
    /// ISO-639-1 hint for transcripts of the caller.
    pub language: Option<String>,
    /// Functions offered.
    pub tools: Vec<Tool>,
    /// Which of them to use.
    pub tool_choice: ToolChoice,
    /// Limit on generated tokens of an answer.
    pub max_tokens: Option<u32>,
}

/// What a conversation is made of, for an upstream that joins it in the middle.
#[derive(Debug, Clone, PartialEq)]
pub enum DuplexItem {
    /// Words, as far as they were heard; calls and their results.
    Message(LlmMessage),
    /// The caller's speech that nobody has put into words, in the session's input format.
    Speech(Bytes),
}

/// One answer wanted of a speech-to-speech model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DuplexReply {
    /// The turn it belongs to, counted from 1; for the bill.
    pub turn: u32,
    /// Replaces the session's instructions for this answer.
    pub instructions: Option<String>,
    /// Replaces the session's functions for this answer.
    pub tools: Option<Vec<Tool>>,
    /// Replaces the session's choice for this answer.
    pub tool_choice: Option<ToolChoice>,
    /// Replaces the session's limit for this answer.
    pub max_tokens: Option<u32>,
    /// Written instead of spoken.
    pub text_only: bool,
    /// Read instead of the conversation; the answer does not become part of it.
    pub apart: Option<Vec<LlmMessage>>,
}

/// What a session tells a speech-to-speech model, in order. Turns are the session's to decide: the upstream's own
/// turn detection is off.
#[derive(Debug, Clone, PartialEq)]
pub enum DuplexCommand {
    /// The settings have changed.
    Configure(Box<DuplexOptions>),
    /// Audio of the utterance under way, in the session's input format; any length.
    Audio(Bytes),
    /// The utterance is complete and part of the conversation: its transcript is wanted.
    Commit(UtteranceId),
    /// The utterance under way is void.
    Discard,
    /// Becomes the newest part of the conversation.
    Add(DuplexItem),
    /// Answer. Never sent while an earlier answer of the conversation is under way.
    Reply(ReplyId, Box<DuplexReply>),
    /// Stop that answer; what of it has not been handed over is void.
    Cancel(ReplyId),
    /// The caller heard only the beginning of that answer.
    Heard {
        /// The answer.
        reply: ReplyId,
        /// Length of the beginning, in ms.
        audio_ms: u64,
        /// Its words.
        text: String,
    },
}
