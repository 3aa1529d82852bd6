//! Reads what a Gemini Live server says, as far as a conversation needs it
//! (<https://ai.google.dev/api/live#receive-messages>).
//! Called by the conversation for every message.
//! Never hands on what the model thought: of its text only what stands in transcripts was said.

use engine::ask::{DuplexUsage, LlmUsage};
use serde::Deserialize;
use serde_json::Value;

/// A message: several of its fields may be there at once.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Message {
    pub(super) setup_complete: Option<Value>,
    pub(super) server_content: Option<Content>,
    pub(super) tool_call: Option<ToolCall>,
    pub(super) tool_call_cancellation: Option<Cancellation>,
    pub(super) go_away: Option<Value>,
    pub(super) usage_metadata: Option<Value>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Content {
    pub(super) model_turn: Option<Turn>,
    pub(super) input_transcription: Option<Words>,
    pub(super) output_transcription: Option<Words>,
    pub(super) generation_complete: Option<bool>,
    pub(super) turn_complete: Option<bool>,
    pub(super) turn_complete_reason: Option<String>,
    pub(super) interrupted: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Turn {
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Part {
    pub(super) inline_data: Option<Blob>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Blob {
    pub(super) mime_type: String,
    /// Base64.
    pub(super) data: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Words {
    pub(super) text: Option<String>,
    pub(super) finished: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ToolCall {
    pub(super) function_calls: Vec<Call>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) args: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cancellation {
    pub(super) ids: Vec<String>,
}

/// A message; `None` for what is none.
pub(super) fn message(text: &str) -> Option<Message> {
    serde_json::from_str(text).ok()
}

/// What a turn cost (<https://ai.google.dev/api/live#UsageMetadata>). Pictures count as text, and so do thoughts.
pub(super) fn usage(told: &Value) -> DuplexUsage {
    let count = |value: &Value| u32::try_from(value.as_u64().unwrap_or(0)).unwrap_or(u32::MAX);
    let sum = |keys: [&str; 2]| count(&told[keys[0]]).saturating_add(count(&told[keys[1]]));
    let audio = |key: &str| {
        let details = told[key].as_array().into_iter().flatten();
        let audio = details.filter(|detail| detail["modality"] == "AUDIO");
        audio
            .map(|detail| count(&detail["tokenCount"]))
            .sum::<u32>()
    };
    let of_audio = LlmUsage {
        input_tokens: audio("promptTokensDetails"),
        cached_tokens: audio("cacheTokensDetails"),
        output_tokens: audio("responseTokensDetails"),
    };
    let input = sum(["promptTokenCount", "toolUsePromptTokenCount"]);
    let output = sum(["responseTokenCount", "thoughtsTokenCount"]);
    DuplexUsage {
        text: LlmUsage {
            input_tokens: input.saturating_sub(of_audio.input_tokens),
            cached_tokens: count(&told["cachedContentTokenCount"])
                .saturating_sub(of_audio.cached_tokens),
            output_tokens: output.saturating_sub(of_audio.output_tokens),
        },
        audio: of_audio,
    }
}

/// Both together.
pub(super) fn add(to: &mut DuplexUsage, more: DuplexUsage) {
    for (to, more) in [(&mut to.text, more.text), (&mut to.audio, more.audio)] {
        to.input_tokens = to.input_tokens.saturating_add(more.input_tokens);
        to.cached_tokens = to.cached_tokens.saturating_add(more.cached_tokens);
        to.output_tokens = to.output_tokens.saturating_add(more.output_tokens);
    }
}
