//! The session object: the effective one we echo, and the partial one a client sends.
//! The engine owns a [`Session`] and applies [`SessionUpdate`]s to it.
//! Never fills in server policy: defaults of the protocol only.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::AudioFormat;

mod schema;
mod tool;

pub use schema::SessionSchema;
pub use tool::{AGENT_LABEL, NamedTool, Tool, ToolChoice};

/// Which of the two session products this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// Conversation: listens and answers.
    #[default]
    Realtime,
    /// Listens only.
    Transcription,
}

/// What a response consists of; written as a one-element list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Modality {
    /// Speech with its transcript.
    #[default]
    Audio,
    /// Text only.
    Text,
}

impl Serialize for Modality {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [match self {
            Self::Audio => "audio",
            Self::Text => "text",
        }]
        .serialize(serializer)
    }
}

/// `max_output_tokens`: 1 to 4096, or unlimited (`"inf"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaxTokens {
    /// At most this many.
    Limit(u32),
    /// `"inf"`.
    #[default]
    Inf,
}

impl Serialize for MaxTokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Limit(limit) => serializer.serialize_u32(*limit),
            Self::Inf => serializer.serialize_str("inf"),
        }
    }
}

/// How the server decides that the caller has finished (spec/realtime §1.5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TurnDetection {
    /// Silence ends the turn.
    ServerVad {
        /// 0 to 1; higher needs clearer speech.
        threshold: f32,
        /// Audio kept before speech was detected, in ms.
        prefix_padding_ms: u32,
        /// Silence that ends the turn, in ms.
        silence_duration_ms: u32,
        /// After the assistant has finished and nobody spoke for so many ms, it speaks again.
        idle_timeout_ms: Option<u32>,
        /// Whether the end of a turn starts a response.
        create_response: bool,
        /// Whether speech cuts a running response off.
        interrupt_response: bool,
    },
    /// A model judges whether the turn reads as finished.
    SemanticVad {
        /// How soon the server answers.
        eagerness: Eagerness,
        /// Whether the end of a turn starts a response.
        create_response: bool,
        /// Whether speech cuts a running response off.
        interrupt_response: bool,
    },
}

/// `semantic_vad` eagerness; `auto` behaves as `medium`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Eagerness {
    /// Waits up to 8 s.
    Low,
    /// Waits up to 4 s.
    Medium,
    /// Waits up to 2 s.
    High,
    /// The same as medium.
    #[default]
    Auto,
}

impl TurnDetection {
    /// The protocol's default: `server_vad`, 0.5, 300 ms, 500 ms.
    pub fn server_vad() -> Self {
        Self::ServerVad {
            threshold: 0.5,
            prefix_padding_ms: 300,
            silence_duration_ms: 500,
            idle_timeout_ms: None,
            create_response: true,
            interrupt_response: true,
        }
    }

    /// `semantic_vad` with its defaults.
    pub fn semantic_vad() -> Self {
        Self::SemanticVad {
            eagerness: Eagerness::Auto,
            create_response: true,
            interrupt_response: true,
        }
    }

    /// Whether the end of a turn starts a response.
    pub fn creates_response(&self) -> bool {
        match self {
            Self::ServerVad {
                create_response, ..
            }
            | Self::SemanticVad {
                create_response, ..
            } => *create_response,
        }
    }

    /// Whether speech cuts a running response off.
    pub fn interrupts(&self) -> bool {
        match self {
            Self::ServerVad {
                interrupt_response, ..
            }
            | Self::SemanticVad {
                interrupt_response, ..
            } => *interrupt_response,
        }
    }
}

/// What happens when the conversation outgrows the model's context.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Oldest items are dropped from the model's view.
    #[default]
    Auto,
    /// The response fails instead.
    Disabled,
    /// Drop to this share of the context.
    #[serde(untagged)]
    RetentionRatio(RetentionRatio),
}

/// `{"type":"retention_ratio", …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename = "retention_ratio")]
pub struct RetentionRatio {
    /// 0 to 1: share of the context kept.
    pub retention_ratio: f32,
    /// Optional limits, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_limits: Option<Value>,
}

/// Transcription settings of the input; only the keys the client set are echoed
/// (pipecat stops reading on any other), so unset ones are skipped.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Transcription {
    /// Model name, any alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// ISO-639-1 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Vocabulary hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Candidate languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<String>>,
    /// Words to expect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keywords: Option<Vec<String>>,
    /// `minimal` to `xhigh`; accepted, without effect on whole-utterance models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
}

/// A voice: a bare name, or `{ "id": … }`; echoed as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Voice {
    /// `alloy`, `marin`, a server voice…
    Name(String),
    /// By id.
    Id {
        /// The voice's id.
        id: String,
    },
}

impl Voice {
    /// The name or id.
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Id { id } => id,
        }
    }
}

/// `session.audio.input`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AudioInput {
    /// Format of appended audio.
    pub format: AudioFormat,
    /// Transcription, off when null.
    pub transcription: Option<Transcription>,
    /// Accepted and echoed; no effect yet.
    pub noise_reduction: Option<Value>,
    /// Turn detection, manual turns when null.
    pub turn_detection: Option<TurnDetection>,
}

/// `session.audio.output`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AudioOutput {
    /// Format of audio deltas.
    pub format: AudioFormat,
    /// Voice.
    pub voice: Voice,
    /// 0.25 to 1.5.
    pub speed: f32,
}

/// The whole effective session, echoed by `session.created` and `session.updated`.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// `sess_…`.
    pub id: String,
    /// Conversation or transcription only.
    pub kind: SessionKind,
    /// The connection's model, echoed as requested.
    pub model: String,
    /// Audio or text.
    pub output_modalities: Modality,
    /// System prompt.
    pub instructions: String,
    /// Tools offered to the model.
    pub tools: Vec<Tool>,
    /// Which tool to use.
    pub tool_choice: ToolChoice,
    /// Whether several calls may come in one response.
    pub parallel_tool_calls: Option<bool>,
    /// `{effort}`; passed on to models that know it.
    pub reasoning: Option<Value>,
    /// Limit for one response.
    pub max_output_tokens: MaxTokens,
    /// Context overflow policy.
    pub truncation: Truncation,
    /// Accepted and echoed.
    pub tracing: Option<Value>,
    /// Accepted and echoed.
    pub prompt: Option<Value>,
    /// Extra fields wanted, for example log probabilities.
    pub include: Option<Vec<String>>,
    /// Unix seconds when the session ends.
    pub expires_at: i64,
    /// Input side.
    pub input: AudioInput,
    /// Output side.
    pub output: AudioOutput,
}

/// `session.audio` by reference. Not `json!`: a `Value` would widen `0.2_f32` to 0.20000000298….
#[derive(Serialize)]
struct Audio<'a> {
    input: &'a AudioInput,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a AudioOutput>,
}

impl Serialize for Session {
    /// Writes the shape of the session's kind: a transcription session has no model, voice, tools or output.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("expires_at", &self.expires_at)?;
        map.serialize_entry("include", &self.include)?;
        if self.kind == SessionKind::Transcription {
            map.serialize_entry("object", "realtime.transcription_session")?;
            let audio = Audio {
                input: &self.input,
                output: None,
            };
            map.serialize_entry("audio", &audio)?;
            return map.end();
        }
        map.serialize_entry("object", "realtime.session")?;
        map.serialize_entry("model", &self.model)?;
        map.serialize_entry("output_modalities", &self.output_modalities)?;
        map.serialize_entry("instructions", &self.instructions)?;
        map.serialize_entry("tools", &self.tools)?;
        map.serialize_entry("tool_choice", &self.tool_choice)?;
        if let Some(parallel) = self.parallel_tool_calls {
            map.serialize_entry("parallel_tool_calls", &parallel)?;
        }
        if let Some(reasoning) = &self.reasoning {
            map.serialize_entry("reasoning", reasoning)?;
        }
        map.serialize_entry("max_output_tokens", &self.max_output_tokens)?;
        map.serialize_entry("truncation", &self.truncation)?;
        map.serialize_entry("tracing", &self.tracing)?;
        map.serialize_entry("prompt", &self.prompt)?;
        let audio = Audio {
            input: &self.input,
            output: Some(&self.output),
        };
        map.serialize_entry("audio", &audio)?;
        map.end()
    }
}

/// A field that may be absent (`None`), null (`Some(None)`) or set (`Some(Some(_))`).
pub type Clearable<T> = Option<Option<T>>;

/// `turn_detection` as a client sends it: only what it wants to change.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TurnDetectionUpdate {
    /// `true` for `semantic_vad`, `false` for `server_vad`, absent to keep the current kind.
    pub semantic: Option<bool>,
    /// 0 to 1.
    pub threshold: Option<f32>,
    /// ms.
    pub prefix_padding_ms: Option<u32>,
    /// ms.
    pub silence_duration_ms: Option<u32>,
    /// ms, null turns it off.
    pub idle_timeout_ms: Clearable<u32>,
    /// Eagerness of `semantic_vad`.
    pub eagerness: Option<Eagerness>,
    /// Whether the end of a turn starts a response.
    pub create_response: Option<bool>,
    /// Whether speech cuts a running response off.
    pub interrupt_response: Option<bool>,
}

/// A decoded and range-checked `session` object of `session.update`, `client_secrets` or `calls`:
/// only fields that were present are set. Leaf objects merge or replace in `engine` (spec §1.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SessionUpdate {
    /// `type`; required on the wire, optional here because the beta shape has none.
    pub kind: Option<SessionKind>,
    /// Accepted, remembered by nobody: the connection's model stays.
    pub model: Option<String>,
    /// Audio or text.
    pub output_modalities: Option<Modality>,
    /// System prompt; empty clears.
    pub instructions: Option<String>,
    /// Tools; empty clears.
    pub tools: Option<Vec<Tool>>,
    /// Which tool to use.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several calls may come in one response.
    pub parallel_tool_calls: Option<bool>,
    /// `{effort}`.
    pub reasoning: Clearable<Value>,
    /// Limit for one response.
    pub max_output_tokens: Option<MaxTokens>,
    /// Context overflow policy.
    pub truncation: Option<Truncation>,
    /// Accepted and echoed.
    pub tracing: Clearable<Value>,
    /// Accepted and echoed.
    pub prompt: Clearable<Value>,
    /// Extra fields wanted.
    pub include: Clearable<Vec<String>>,
    /// `audio.input.format`.
    pub input_format: Option<AudioFormat>,
    /// `audio.input.transcription`: only the keys present are set; merged with the current object.
    pub transcription: Clearable<Transcription>,
    /// `audio.input.noise_reduction`.
    pub noise_reduction: Clearable<Value>,
    /// `audio.input.turn_detection`.
    pub turn_detection: Clearable<TurnDetectionUpdate>,
    /// `audio.output.format`.
    pub output_format: Option<AudioFormat>,
    /// `audio.output.voice`.
    pub voice: Option<Voice>,
    /// `audio.output.speed`.
    pub speed: Option<f32>,
}
