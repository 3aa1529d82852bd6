//! JSON schemas of session types whose wire form is not their Rust form.
//! Read by the document generators.
//! Never used at run time: [`super::Session`] writes itself.

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::{
    AudioInput, AudioOutput, MaxTokens, Modality, SessionKind, Tool, ToolChoice, Truncation,
};

impl PartialSchema for Modality {
    fn schema() -> RefOr<Schema> {
        let name = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .enum_values(Some(["audio", "text"]));
        ArrayBuilder::new()
            .items(name)
            .min_items(Some(1))
            .max_items(Some(1))
            .description(Some("Either speech with its transcript, or text only."))
            .into()
    }
}

impl ToSchema for Modality {}

impl PartialSchema for MaxTokens {
    fn schema() -> RefOr<Schema> {
        let limit = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Integer))
            .minimum(Some(1))
            .maximum(Some(4096));
        let unlimited = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .enum_values(Some(["inf"]));
        OneOfBuilder::new().item(limit).item(unlimited).into()
    }
}

impl ToSchema for MaxTokens {}

/// The effective session of either kind, as [`super::Session`] writes it.
#[derive(ToSchema)]
#[schema(as = Session)]
#[serde(untagged)]
pub enum SessionSchema {
    /// A conversation.
    Realtime(Box<RealtimeSessionSchema>),
    /// Transcription only.
    Transcription(Box<TranscriptionSessionSchema>),
}

/// A conversation.
#[derive(ToSchema)]
#[schema(as = RealtimeSession)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct RealtimeSessionSchema {
    /// `realtime`.
    r#type: SessionKind,
    /// Always `realtime.session`.
    object: String,
    /// `sess_…`.
    id: String,
    /// The connection's model, echoed as requested.
    model: String,
    /// Audio or text.
    output_modalities: Modality,
    /// System prompt.
    instructions: String,
    /// Tools offered to the model.
    tools: Vec<Tool>,
    /// Which tool to use.
    tool_choice: ToolChoice,
    /// Whether several calls may come in one response; absent until set.
    parallel_tool_calls: Option<bool>,
    /// `{effort}`; absent until set.
    reasoning: Option<Value>,
    /// Limit for one response.
    max_output_tokens: MaxTokens,
    /// Context overflow policy.
    truncation: Truncation,
    /// Accepted and echoed.
    #[schema(required = true)]
    tracing: Option<Value>,
    /// Accepted and echoed.
    #[schema(required = true)]
    prompt: Option<Value>,
    /// Extra fields wanted.
    #[schema(required = true)]
    include: Option<Vec<String>>,
    /// Unix seconds when the session ends.
    expires_at: i64,
    /// Both directions of audio.
    audio: RealtimeAudioSchema,
}

/// Both directions of audio.
#[derive(ToSchema)]
#[schema(as = RealtimeSessionAudio)]
#[expect(dead_code, reason = "only its schema is used")]
struct RealtimeAudioSchema {
    /// Input side.
    input: AudioInput,
    /// Output side.
    output: AudioOutput,
}

/// A session that listens only.
#[derive(ToSchema)]
#[schema(as = TranscriptionSession)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct TranscriptionSessionSchema {
    /// `transcription`.
    r#type: SessionKind,
    /// Always `realtime.transcription_session`.
    object: String,
    /// `sess_…`.
    id: String,
    /// Extra fields wanted.
    #[schema(required = true)]
    include: Option<Vec<String>>,
    /// Unix seconds when the session ends.
    expires_at: i64,
    /// The input side of audio.
    audio: TranscriptionAudioSchema,
}

/// The input side of audio.
#[derive(ToSchema)]
#[schema(as = TranscriptionSessionAudio)]
#[expect(dead_code, reason = "only its schema is used")]
struct TranscriptionAudioSchema {
    /// Input side.
    input: AudioInput,
}
