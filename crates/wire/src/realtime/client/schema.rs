//! JSON schemas of what clients send: `decode` reads it by hand and has no types to derive them from.
//! Read by the document generators; a test holds the field names against the decoder's.
//! Never used at run time.

#![expect(dead_code, reason = "only the schemas are used")]

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

use crate::realtime::session::{
    Eagerness, MaxTokens, Modality, SessionKind, Tool, ToolChoice, Transcription, Truncation, Voice,
};
use crate::realtime::{AudioBytes, AudioFormat, Item};

/// The eleven client events as they are on the wire.
#[derive(ToSchema)]
#[schema(as = ClientEvent)]
#[serde(tag = "type")]
pub enum ClientEventSchema {
    /// Change the session; only fields that are present change.
    #[serde(rename = "session.update")]
    SessionUpdate {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
        /// What to change.
        session: Box<SessionRequestSchema>,
    },
    /// Append audio to the input buffer.
    #[serde(rename = "input_audio_buffer.append")]
    AudioAppend {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
        /// Audio in the session's input format, at most 15 MiB.
        audio: AudioBytes,
    },
    /// Make an item of the input buffer.
    #[serde(rename = "input_audio_buffer.commit")]
    AudioCommit {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
    },
    /// Empty the input buffer.
    #[serde(rename = "input_audio_buffer.clear")]
    AudioClear {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
    },
    /// Add an item to the conversation.
    #[serde(rename = "conversation.item.create")]
    ItemCreate {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
        /// The item it comes after; `root` for the head, absent for the end.
        previous_item_id: Option<String>,
        /// The item; its id may be left out.
        item: Box<Item>,
    },
    /// Ask for an item with its audio.
    #[serde(rename = "conversation.item.retrieve")]
    ItemRetrieve {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
        /// Which.
        item_id: String,
    },
    /// Cut what the caller did not hear off an assistant's audio item.
    #[serde(rename = "conversation.item.truncate")]
    ItemTruncate {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
        /// Which.
        item_id: String,
        /// Which part, 0.
        content_index: u32,
        /// Audio kept, ms.
        audio_end_ms: u64,
    },
    /// Remove an item.
    #[serde(rename = "conversation.item.delete")]
    ItemDelete {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
        /// Which.
        item_id: String,
    },
    /// Ask for a response.
    #[serde(rename = "response.create")]
    ResponseCreate {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
        /// What overrides the session for this response.
        response: Option<Box<ResponseRequestSchema>>,
    },
    /// Stop a response.
    #[serde(rename = "response.cancel")]
    ResponseCancel {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
        /// Which; absent for the running one of the default conversation.
        response_id: Option<String>,
    },
    /// Empty the playback buffer (channels that play for the client).
    #[serde(rename = "output_audio_buffer.clear")]
    OutputAudioClear {
        /// The client's own id, at most 512 characters; comes back in `error.event_id`.
        event_id: Option<String>,
    },
}

/// A session as a client asks for it, of either kind.
#[derive(ToSchema)]
#[schema(as = SessionRequest)]
#[serde(untagged)]
pub enum SessionRequestSchema {
    /// A conversation.
    Realtime(Box<RealtimeRequestSchema>),
    /// Transcription only.
    Transcription(Box<TranscriptionRequestSchema>),
}

/// A conversation; fields that are absent keep their value.
#[derive(ToSchema)]
#[schema(as = RealtimeSessionRequest)]
pub struct RealtimeRequestSchema {
    /// `realtime`.
    r#type: SessionKind,
    /// Accepted; the connection's model stays.
    model: Option<String>,
    /// Audio or text.
    output_modalities: Option<Modality>,
    /// System prompt; empty clears.
    instructions: Option<String>,
    /// Tools; an empty list clears.
    tools: Option<Vec<Tool>>,
    /// Which tool to use.
    tool_choice: Option<ToolChoice>,
    /// Whether several calls may come in one response.
    parallel_tool_calls: Option<bool>,
    /// `{effort}`: `minimal`, `low`, `medium`, `high` or `xhigh`.
    reasoning: Option<Value>,
    /// Limit for one response.
    max_output_tokens: Option<MaxTokens>,
    /// Context overflow policy.
    truncation: Option<Truncation>,
    /// `auto` or `{workflow_name?, group_id?, metadata?}`; accepted and echoed.
    tracing: Option<Value>,
    /// `{id, version?, variables?}`; accepted and echoed.
    prompt: Option<Value>,
    /// `item.input_audio_transcription.logprobs`.
    include: Option<Vec<String>>,
    /// Both directions of audio.
    audio: Option<RealtimeAudioRequest>,
}

/// Both directions of audio.
#[derive(ToSchema)]
#[schema(as = RealtimeAudioRequest)]
struct RealtimeAudioRequest {
    /// Input side.
    input: Option<AudioInputRequest>,
    /// Output side.
    output: Option<AudioOutputRequest>,
}

/// The input side of audio.
#[derive(ToSchema)]
struct AudioInputRequest {
    /// Format of appended audio.
    format: Option<AudioFormat>,
    /// Transcription; null turns it off.
    transcription: Option<Transcription>,
    /// `{type, strength?}` with `near_field` or `far_field`; null turns it off.
    noise_reduction: Option<Value>,
    /// Turn detection; null means manual turns.
    turn_detection: Option<TurnDetectionRequest>,
}

/// Turn detection; fields that are absent keep their value or, with a new type, their default.
#[derive(ToSchema)]
struct TurnDetectionRequest {
    /// `server_vad` or `semantic_vad`.
    r#type: Option<String>,
    /// `server_vad`: 0 to 1.
    threshold: Option<f32>,
    /// `server_vad`: audio kept before speech was detected, ms.
    prefix_padding_ms: Option<u32>,
    /// `server_vad`: silence that ends the turn, ms.
    silence_duration_ms: Option<u32>,
    /// `server_vad`: silence after which the assistant speaks again, ms.
    idle_timeout_ms: Option<u32>,
    /// `semantic_vad`: how soon the server answers.
    eagerness: Option<Eagerness>,
    /// Whether the end of a turn starts a response.
    create_response: Option<bool>,
    /// Whether speech cuts a running response off.
    interrupt_response: Option<bool>,
}

/// The output side of audio.
#[derive(ToSchema)]
struct AudioOutputRequest {
    /// Format of audio deltas.
    format: Option<AudioFormat>,
    /// Voice.
    voice: Option<Voice>,
    /// 0.25 to 1.5.
    speed: Option<f32>,
}

/// A session that listens only.
#[derive(ToSchema)]
#[schema(as = TranscriptionSessionRequest)]
pub struct TranscriptionRequestSchema {
    /// `transcription`.
    r#type: SessionKind,
    /// `item.input_audio_transcription.logprobs`.
    include: Option<Vec<String>>,
    /// The input side of audio.
    audio: Option<TranscriptionAudioRequest>,
}

/// The input side of audio.
#[derive(ToSchema)]
struct TranscriptionAudioRequest {
    /// Input side.
    input: Option<AudioInputRequest>,
}

/// What overrides the session for one response.
#[derive(ToSchema)]
#[schema(as = ResponseRequest)]
pub struct ResponseRequestSchema {
    /// `auto`, or `none` for a response that leaves the conversation alone.
    conversation: Option<String>,
    /// Items, or `{"type":"item_reference","id":…}`: replaces the context.
    input: Option<Vec<Value>>,
    /// Replaces the session's instructions.
    instructions: Option<String>,
    /// Audio or text.
    output_modalities: Option<Modality>,
    /// `output` with `format` and `voice`.
    audio: Option<ResponseAudioRequest>,
    /// Tools offered to the model.
    tools: Option<Vec<Tool>>,
    /// Which tool to use.
    tool_choice: Option<ToolChoice>,
    /// Whether several calls may come in one response.
    parallel_tool_calls: Option<bool>,
    /// Limit of this response.
    max_output_tokens: Option<MaxTokens>,
    /// Up to 16 pairs, key at most 64 and value at most 512 characters; echoed.
    metadata: Option<BTreeMap<String, String>>,
    /// `{id, version?, variables?}`.
    prompt: Option<Value>,
    /// `{effort}`.
    reasoning: Option<Value>,
}

/// Output audio of one response.
#[derive(ToSchema)]
struct ResponseAudioRequest {
    /// Output side.
    output: Option<ResponseAudioOutputRequest>,
}

/// Format and voice of one response.
#[derive(ToSchema)]
struct ResponseAudioOutputRequest {
    /// Format of the deltas.
    format: Option<AudioFormat>,
    /// Voice.
    voice: Option<Voice>,
}
