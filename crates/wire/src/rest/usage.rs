//! What sessions made providers do, and what that cost: `GET /v1/sessions/{id}/usage` and `GET /v1/usage`.
//! Written by the gateway's metering.
//! Never holds what was said.

use serde::Serialize;
use utoipa::ToSchema;

/// What was done; units that were not used are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct UsedUnits {
    /// Caller's audio transcribed, in ms.
    pub audio_ms: u64,
    /// Characters spoken aloud.
    pub characters: u64,
    /// Speech made, in ms.
    pub speech_ms: u64,
    /// Tokens of text read, cached ones included.
    pub input_tokens: u64,
    /// Those of them that were read from a cache.
    pub cached_tokens: u64,
    /// Tokens of text written.
    pub output_tokens: u64,
    /// Tokens of speech heard by a speech-to-speech model, cached ones included.
    pub audio_input_tokens: u64,
    /// Those of them that were read from a cache.
    pub audio_cached_tokens: u64,
    /// Tokens of speech spoken by a speech-to-speech model.
    pub audio_output_tokens: u64,
    /// Tools that the server ran.
    pub tool_calls: u64,
    /// Time that they took, in ms.
    pub tool_ms: u64,
    /// Whether tokens are estimated, because a provider counted none or broke off before it did.
    pub estimated: bool,
}

/// One provider's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProviderUsage {
    /// `stt`, `llm`, `tts`, `duplex` or `tool`.
    pub stage: String,
    /// The provider's name in the configuration; for a tool, what kind it is.
    pub provider: String,
    /// Its model; the tool's name for a tool.
    pub model: Option<String>,
    /// What it did.
    pub units: UsedUnits,
    /// In micro-dollars; null where the price list does not tell.
    pub cost_micro_dollars: Option<u64>,
}

/// One turn's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TurnUsage {
    /// Counted from 1.
    pub turn: u32,
    /// The response that ended it; null while it runs.
    pub response_id: Option<String>,
    /// What was done in it.
    pub units: UsedUnits,
    /// In micro-dollars; null where the price list does not tell.
    pub cost_micro_dollars: Option<u64>,
}

/// A session's usage, while it runs and for a while after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionUsage {
    /// `session.usage`.
    pub object: &'static str,
    /// `sess_…`.
    pub id: String,
    /// Model name as the client asked for it.
    pub model: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Unix seconds.
    pub started_at: i64,
    /// Version of the price table.
    pub prices: String,
    /// All that was done.
    pub units: UsedUnits,
    /// In micro-dollars; null where the price of any part is missing.
    pub cost_micro_dollars: Option<u64>,
    /// By provider.
    pub providers: Vec<ProviderUsage>,
    /// By turn, oldest first; the last 500.
    pub turns: Vec<TurnUsage>,
}

/// What a group of work comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageLine {
    /// Whose work it was.
    pub tenant: String,
    /// Of which project, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// `stt`, `llm`, `tts`, `duplex` or `tool`, where models are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The provider's name in the configuration, where models are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its model, where models are asked for and it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What was done.
    pub units: UsedUnits,
    /// In micro-dollars; null where the price of any part is missing.
    pub cost_micro_dollars: Option<u64>,
}

/// What was used in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageList {
    /// `list`.
    pub object: &'static str,
    /// Unix seconds.
    pub from: i64,
    /// Unix seconds; what was done in this second or later is not in it.
    pub to: i64,
    /// A line for each group that used anything.
    pub data: Vec<UsageLine>,
}
