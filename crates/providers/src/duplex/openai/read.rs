//! Reads what a Realtime server says, as far as a conversation needs it
//! (<https://developers.openai.com/api/reference/resources/realtime/server-events>).
//! Called by the conversation for every message.
//! Never refuses what it does not know: a field more is the server's business.

use engine::ask::{DuplexUsage, Finish, LlmUsage};
use serde::Deserialize;
use serde_json::Value;

/// Any event: the fields of all that are of interest. Those of `wire` are what our own server writes; they are whole
/// and strict, this is neither.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) response_id: Option<String>,
    pub(super) item_id: Option<String>,
    pub(super) delta: Option<String>,
    pub(super) transcript: Option<String>,
    #[serde(default)]
    pub(super) item: Value,
    #[serde(default)]
    pub(super) response: Value,
    #[serde(default)]
    pub(super) error: Value,
}

/// An event; `None` for what is no event at all.
pub(super) fn event(text: &str) -> Option<Event> {
    serde_json::from_str(text).ok()
}

/// How a response ended: why, or with which error.
pub(super) fn outcome(response: &Value) -> Result<Finish, &Value> {
    let details = &response["status_details"];
    match response["status"].as_str() {
        Some("failed") => Err(&details["error"]),
        Some("incomplete") => Ok(match details["reason"].as_str() {
            Some("content_filter") => Finish::ContentFilter,
            _ => Finish::Length,
        }),
        // completed, or cancelled
        _ => Ok(Finish::Stop),
    }
}

/// What a response cost; zero where the server does not say. Pictures count as text.
pub(super) fn usage(response: &Value) -> DuplexUsage {
    let usage = &response["usage"];
    let count = |value: &Value| u32::try_from(value.as_u64().unwrap_or(0)).unwrap_or(u32::MAX);
    let (input, output) = (
        &usage["input_token_details"],
        &usage["output_token_details"],
    );
    let cached = &input["cached_tokens_details"];
    let cached_audio = count(&cached["audio_tokens"]);
    let input_audio = count(&input["audio_tokens"]);
    let output_audio = count(&output["audio_tokens"]);
    DuplexUsage {
        // the sums are always there, the details of some servers are not
        text: LlmUsage {
            input_tokens: count(&usage["input_tokens"]).saturating_sub(input_audio),
            cached_tokens: count(&input["cached_tokens"]).saturating_sub(cached_audio),
            output_tokens: count(&usage["output_tokens"]).saturating_sub(output_audio),
        },
        audio: LlmUsage {
            input_tokens: input_audio,
            cached_tokens: cached_audio,
            output_tokens: output_audio,
        },
    }
}
