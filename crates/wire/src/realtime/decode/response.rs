//! The `response` object of `response.create` (spec/realtime §1.6).
//! Called by `decode`.
//! Never resolves item references: whether an id exists is the engine's to say.

use super::fields::{At, Read, invalid};
use super::{item, session};
use crate::realtime::response::{ConversationTarget, CreateResponse, InputItem, Metadata};
use serde_json::Value;

/// What a response request may have.
pub(super) const FIELDS: &[&str] = &[
    "conversation",
    "input",
    "instructions",
    "output_modalities",
    "audio",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_output_tokens",
    "metadata",
    "prompt",
    "reasoning",
];

/// Most pairs in `metadata` (spec/realtime §2.4, as the two below).
pub(super) const METADATA_PAIRS: usize = 16;
/// Longest key in `metadata`, in characters.
pub(super) const METADATA_KEY: usize = 64;
/// Longest value in `metadata`, in characters.
pub(super) const METADATA_VALUE: usize = 512;

/// A whole response request; null counts as absent everywhere in it.
pub(super) fn create(at: At<'_>) -> Read<CreateResponse> {
    let response = at.object()?;
    response.only(&[FIELDS])?;
    let mut create = CreateResponse {
        conversation: response
            .read("conversation", |at| {
                at.choice(&[
                    ("auto", ConversationTarget::Auto),
                    ("none", ConversationTarget::None),
                ])
            })?
            .unwrap_or_default(),
        input: response.read("input", |at| at.each(input))?,
        instructions: response.read("instructions", At::string)?,
        output_modalities: response.read("output_modalities", session::modality)?,
        tools: response.read("tools", session::tools)?,
        tool_choice: response.read("tool_choice", session::tool_choice)?,
        parallel_tool_calls: response.read("parallel_tool_calls", At::boolean)?,
        max_output_tokens: response.read("max_output_tokens", session::max_tokens)?,
        metadata: response.read("metadata", metadata)?,
        prompt: response.read("prompt", session::prompt)?,
        reasoning: response.read("reasoning", session::reasoning)?,
        ..CreateResponse::default()
    };
    if let Some(audio) = response.read("audio", At::object)? {
        audio.only(&[&["output"]])?;
        if let Some(output) = audio.read("output", At::object)? {
            output.only(&[&["format", "voice"]])?;
            create.output_format = output.read("format", session::format)?;
            create.voice = output.read("voice", session::voice)?;
        }
    }
    Ok(create)
}

fn input(at: At<'_>) -> Read<InputItem> {
    if at.value.get("type").and_then(Value::as_str) != Some("item_reference") {
        let (id, body) = item::body(at)?;
        return Ok(InputItem::Inline { id, body });
    }
    let reference = at.object()?;
    reference.only(&[&["type", "id", "object"]])?;
    let id = reference.need("id", At::string)?;
    Ok(InputItem::Reference { id })
}

fn metadata(at: At<'_>) -> Read<Metadata> {
    let path = at.path.clone();
    let fields = at.object()?;
    let pairs = fields.raw().len();
    if pairs > METADATA_PAIRS {
        let message =
            format!("Invalid '{path}': expected at most {METADATA_PAIRS} pairs, but got {pairs}.");
        return Err(invalid(&path, message));
    }
    let mut metadata = Metadata::new();
    for key in fields.raw().keys() {
        check_length(&path, "key", key, METADATA_KEY)?;
        if let Some(value) = fields.read(key, At::string)? {
            check_length(&fields.path_of(key), "value", &value, METADATA_VALUE)?;
            metadata.insert(key.clone(), value);
        }
    }
    Ok(metadata)
}

fn check_length(path: &str, what: &str, text: &str, limit: usize) -> Read<()> {
    let length = text.chars().count();
    if length <= limit {
        return Ok(());
    }
    let message = format!(
        "Invalid '{path}': expected a {what} of at most {limit} characters, but got {length}."
    );
    Err(invalid(path, message))
}
