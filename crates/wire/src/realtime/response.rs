//! Responses: what a client may ask for and what it is told (spec/realtime §1.6, §1.8).
//! Carried by `response.*` events; the engine writes them.
//! Never serialises audio: bytes travel in deltas only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::item::{Item, ItemBody};
use super::session::{MaxTokens, Modality, Tool, ToolChoice, Voice};
use super::{AudioFormat, ErrorBody};

/// Up to 16 pairs, key at most 64 and value at most 512 characters; echoed in every response object.
pub type Metadata = BTreeMap<String, String>;

/// Life cycle of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseStatus {
    /// Still writing.
    InProgress,
    /// Finished by itself.
    Completed,
    /// Stopped by the client or by the caller's speech.
    Cancelled,
    /// A provider or we failed.
    Failed,
    /// Cut off by a limit or a filter.
    Incomplete,
}

/// Why a response ended the way it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusDetails {
    /// The status again.
    #[serde(rename = "type")]
    pub kind: ResponseStatus,
    /// `turn_detected`, `client_cancelled`, `max_output_tokens`, `content_filter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StatusError>,
}

/// The error inside `status_details`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusError {
    /// `server_error` and the like.
    #[serde(rename = "type")]
    pub kind: String,
    /// Machine-readable code.
    pub code: String,
    /// One sentence.
    pub message: String,
}

impl From<&ErrorBody> for StatusError {
    fn from(error: &ErrorBody) -> Self {
        let kind = match error.kind {
            super::ErrorKind::InvalidRequestError => "invalid_request_error",
            super::ErrorKind::ServerError => "server_error",
        };
        Self {
            kind: kind.to_owned(),
            code: error.code.clone().unwrap_or_default(),
            message: error.message.clone(),
        }
    }
}

/// Token counts of one response; the whole tree is always sent (older clients require it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Input plus output.
    pub total_tokens: u32,
    /// Prompt tokens.
    pub input_tokens: u32,
    /// Generated tokens.
    pub output_tokens: u32,
    /// Prompt tokens by kind.
    pub input_token_details: InputTokens,
    /// Generated tokens by kind.
    pub output_token_details: OutputTokens,
}

/// Prompt tokens by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct InputTokens {
    /// Text tokens.
    pub text_tokens: u32,
    /// Audio tokens: one per 100 ms of user audio, as the hosted service counts them.
    pub audio_tokens: u32,
    /// Image tokens.
    pub image_tokens: u32,
    /// Part of the input read from a prompt cache.
    pub cached_tokens: u32,
    /// The cached part by kind.
    pub cached_tokens_details: CachedTokens,
}

/// Cached prompt tokens by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct CachedTokens {
    /// Text tokens.
    pub text_tokens: u32,
    /// Audio tokens.
    pub audio_tokens: u32,
    /// Image tokens.
    pub image_tokens: u32,
}

/// Generated tokens by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct OutputTokens {
    /// Text tokens.
    pub text_tokens: u32,
    /// Audio tokens: one per 50 ms of speech, as the hosted service counts them.
    pub audio_tokens: u32,
}

/// `audio` of a response object.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ResponseAudio {
    /// Output side.
    pub output: ResponseAudioOutput,
}

/// `audio.output` of a response object.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ResponseAudioOutput {
    /// Format of the deltas.
    pub format: AudioFormat,
    /// Voice.
    pub voice: Voice,
}

/// The response object of `response.created` and `response.done`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Response {
    /// Always `realtime.response`.
    pub object: &'static str,
    /// `resp_…`.
    pub id: String,
    /// Life cycle.
    pub status: ResponseStatus,
    /// Why it ended; null while running or completed.
    pub status_details: Option<StatusDetails>,
    /// Finished items in `output_index` order.
    pub output: Vec<Item>,
    /// Null for out-of-band responses.
    pub conversation_id: Option<String>,
    /// Audio or text.
    pub output_modalities: Modality,
    /// Limit of this response.
    pub max_output_tokens: MaxTokens,
    /// Output audio settings.
    pub audio: ResponseAudio,
    /// Token counts; null until done.
    pub usage: Option<Usage>,
    /// As given in `response.create`.
    pub metadata: Option<Metadata>,
}

/// A part in `response.content_part.*`: the short names `text` and `audio`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Written text.
    Text {
        /// The text so far.
        text: String,
    },
    /// Speech.
    Audio {
        /// What is said so far.
        transcript: String,
    },
}

/// One entry of `rate_limits.updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RateLimit {
    /// `requests` or `tokens`.
    pub name: String,
    /// Allowed in the window.
    pub limit: u64,
    /// Left in the window.
    pub remaining: u64,
    /// Seconds until the window is new.
    pub reset_seconds: f64,
}

/// Where a response writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConversationTarget {
    /// The default conversation.
    #[default]
    Auto,
    /// Nowhere: out-of-band.
    None,
}

/// One element of `response.create`'s `input`.
#[derive(Debug, Clone, PartialEq)]
pub enum InputItem {
    /// A new item, seen by this response only.
    Inline {
        /// Its id, when the client gave one.
        id: Option<String>,
        /// What it is.
        body: ItemBody,
    },
    /// An item of the conversation by id.
    Reference {
        /// Its id.
        id: String,
    },
}

/// A decoded and range-checked `response` of `response.create`; what is set overrides the session.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateResponse {
    /// Where it writes.
    pub conversation: ConversationTarget,
    /// Replaces the context when set; empty means no context.
    pub input: Option<Vec<InputItem>>,
    /// Replaces the session's instructions.
    pub instructions: Option<String>,
    /// Audio or text.
    pub output_modalities: Option<Modality>,
    /// `audio.output.format`.
    pub output_format: Option<AudioFormat>,
    /// `audio.output.voice`.
    pub voice: Option<Voice>,
    /// Tools offered to the model.
    pub tools: Option<Vec<Tool>>,
    /// Which tool to use.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several calls may come in one response.
    pub parallel_tool_calls: Option<bool>,
    /// Limit of this response.
    pub max_output_tokens: Option<MaxTokens>,
    /// Echoed.
    pub metadata: Option<Metadata>,
    /// Accepted.
    pub prompt: Option<Value>,
    /// Passed on to models that know it.
    pub reasoning: Option<Value>,
}
