//! Turns the chunks of a streamed answer into events.
//! Fed with one JSON text at a time by the reader of the stream.
//! Never insists on a field: compatible servers leave out what they do not have.

use std::collections::BTreeMap;

use engine::ask::{Finish, LlmUsage};
use serde_json::Value;

use crate::{Kind, ports::LlmEvent};

/// Why a chunk could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadChunk {
    /// It is no JSON.
    Malformed,
    /// It tells of an error.
    Error(Kind),
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// Set by the chunk that says why the answer ends.
    pub(super) finish: Option<Finish>,
    pub(super) usage: LlmUsage,
    /// The index of the call whose arguments are handed on as they come.
    live: Option<u64>,
    /// Calls behind it, by index: events have room for one call at a time.
    waiting: BTreeMap<u64, Call>,
}

#[derive(Debug, Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Assembly {
    /// Takes one chunk and appends what it brings.
    pub(super) fn take(&mut self, json: &str, events: &mut Vec<LlmEvent>) -> Result<(), BadChunk> {
        let chunk: Value = serde_json::from_str(json).map_err(|_| BadChunk::Malformed)?;
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return Err(BadChunk::Error(error_kind(error)));
        }
        // one server puts its counts into an extension instead
        for usage in [&chunk["usage"], &chunk["x_groq"]["usage"]] {
            if usage.is_object() {
                self.usage = counts(usage);
            }
        }
        let choices = chunk["choices"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let Some(choice) = choices
            .iter()
            .find(|choice| choice["index"].as_u64().unwrap_or(0) == 0)
        else {
            return Ok(());
        };
        let delta = &choice["delta"];
        let text = text(&delta["content"]) + &text(&delta["refusal"]);
        if !text.is_empty() {
            events.push(LlmEvent::Text(text));
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.call(call, events);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish = Some(match reason {
                "length" | "max_tokens" => Finish::Length,
                "content_filter" => Finish::ContentFilter,
                _ => Finish::Stop,
            });
        }
        Ok(())
    }

    /// The calls that waited for the first one to end.
    pub(super) fn rest(&mut self) -> Vec<LlmEvent> {
        let waiting = std::mem::take(&mut self.waiting);
        let named = waiting.into_values().filter(|call| !call.name.is_empty());
        named
            .flat_map(|call| {
                [
                    LlmEvent::ToolCall {
                        call_id: call.id,
                        name: call.name,
                    },
                    LlmEvent::ToolArguments(call.arguments),
                ]
            })
            .filter(|event| *event != LlmEvent::ToolArguments(String::new()))
            .collect()
    }

    fn call(&mut self, delta: &Value, events: &mut Vec<LlmEvent>) {
        let function = &delta["function"];
        let id = delta["id"].as_str().unwrap_or_default();
        let name = function["name"].as_str().unwrap_or_default();
        let arguments = match &function["arguments"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            whole => whole.to_string(),
        };
        let index = delta["index"]
            .as_u64()
            .unwrap_or_else(|| self.implied_index(name));
        if self.live == Some(index) {
            if !arguments.is_empty() {
                events.push(LlmEvent::ToolArguments(arguments));
            }
            return;
        }
        if self.live.is_none() && !name.is_empty() {
            self.live = Some(index);
            events.push(LlmEvent::ToolCall {
                call_id: id.to_owned(),
                name: name.to_owned(),
            });
            if !arguments.is_empty() {
                events.push(LlmEvent::ToolArguments(arguments));
            }
            return;
        }
        let call = self.waiting.entry(index).or_default();
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        call.arguments.push_str(&arguments);
    }

    /// Without an index, a name begins a call and anything else belongs to the call that began last.
    fn implied_index(&self, name: &str) -> u64 {
        let last = self.waiting.keys().next_back().copied().or(self.live);
        match last {
            Some(last) if name.is_empty() => last,
            Some(last) => last + 1,
            None => 0,
        }
    }
}

/// A string, or the text of a list of parts.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

fn counts(usage: &Value) -> LlmUsage {
    let count = |value: &Value| u32::try_from(value.as_u64().unwrap_or(0)).unwrap_or(u32::MAX);
    LlmUsage {
        input_tokens: count(&usage["prompt_tokens"]),
        cached_tokens: count(&usage["prompt_tokens_details"]["cached_tokens"]),
        output_tokens: count(&usage["completion_tokens"]),
    }
}

/// What an error object asks for, by its `code` (a word or a status) or `type`.
pub(super) fn error_kind(error: &Value) -> Kind {
    let word = |key: &str| error[key].as_str().unwrap_or_default().to_ascii_lowercase();
    let words = format!("{} {}", word("code"), word("type"));
    let has = |part: &str| words.contains(part);
    match error["code"].as_u64() {
        Some(401 | 403) => Kind::Unauthorized,
        Some(429) => Kind::RateLimited,
        Some(400 | 404 | 413 | 422) => Kind::Rejected,
        _ if has("quota") || has("api_key") || has("auth") || has("permission") => {
            Kind::Unauthorized
        }
        _ if has("rate_limit") => Kind::RateLimited,
        _ if has("overload") || has("capacity") => Kind::Overloaded,
        _ if has("invalid") || has("not_found") || has("context_length") => Kind::Rejected,
        _ => Kind::Unavailable,
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
