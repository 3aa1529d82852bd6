//! What the engine asks of providers, as plain values.
//! Produced by `session`, carried by the gateway, understood by `providers`.
//! Never names a vendor.

use serde_json::Value;
use wire::realtime::session::{Tool, ToolChoice};

/// How an utterance is to be transcribed.
#[expect(
    clippy::struct_excessive_bools,
    reason = "two independent wishes, named at every use"
)]
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SttOptions {
    /// The session's id: keeps a session's work in order where models are shared.
    pub session: String,
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
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LlmRequest {
    /// The session's id: prompt caches are kept per session.
    pub session: String,
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

/// Why a language model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Finish {
    /// It had said everything, or called functions.
    #[default]
    Stop,
    /// `max_tokens` was reached.
    Length,
    /// The vendor's filter cut it off.
    ContentFilter,
}

/// Token counts of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LlmUsage {
    /// Prompt tokens.
    pub input_tokens: u32,
    /// Part of the prompt read from a cache.
    pub cached_tokens: u32,
    /// Generated tokens.
    pub output_tokens: u32,
}

/// How a reply is to be spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeakOptions {
    /// The session's id: keeps a session's work in order where models are shared.
    pub session: String,
    /// Voice name as the client asked for it; the provider resolves aliases.
    pub voice: String,
    /// 1.0 is natural speed.
    pub speed: f32,
    /// Rate the client will hear, in Hz; a provider that can produce it natively should.
    pub preferred_rate_hz: u32,
}
