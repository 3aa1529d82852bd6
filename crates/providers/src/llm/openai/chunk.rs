//! Turns the chunks of a streamed answer into events.
//! Fed with one JSON text at a time by the reader of the stream.
//! Never insists on a field: compatible servers leave out what they do not have.

use engine::ask::{Finish, LlmUsage};
use serde_json::Value;

use crate::{
    failure::error_kind,
    llm::{
        calls::{Call, Calls},
        reading::{Answer, BadEvent, Taken},
        tools::count,
    },
    ports::LlmEvent,
    sse::SseEvent,
};

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub(in crate::llm) struct Assembly {
    /// Set by the chunk that says why the answer ends.
    finish: Option<Finish>,
    usage: LlmUsage,
    calls: Calls,
}

impl Answer for Assembly {
    fn take(&mut self, event: &SseEvent, events: &mut Vec<LlmEvent>) -> Result<Taken, BadEvent> {
        match event.data.trim() {
            "[DONE]" => Ok(Taken::Last),
            "" => Ok(Taken::KeepAlive),
            json => self.chunk(json, events).map(|()| Taken::Event),
        }
    }

    fn rest(&mut self, events: &mut Vec<LlmEvent>) {
        self.calls.end(events);
    }

    fn finish(&self) -> Option<Finish> {
        self.finish
    }

    fn usage(&self) -> LlmUsage {
        self.usage
    }
}

impl Assembly {
    /// Takes one chunk and appends what it brings.
    fn chunk(&mut self, json: &str, events: &mut Vec<LlmEvent>) -> Result<(), BadEvent> {
        let chunk: Value = serde_json::from_str(json).map_err(|_| BadEvent::Malformed)?;
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return Err(BadEvent::Error(error_kind(error)));
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
            self.call(call, events)?;
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

    fn call(&mut self, delta: &Value, events: &mut Vec<LlmEvent>) -> Result<(), BadEvent> {
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
        let part = Call {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments,
            ended: false,
        };
        self.calls.take(index, part, events)
    }

    /// Without an index, a name begins a call and anything else belongs to the call that began last.
    fn implied_index(&self, name: &str) -> u64 {
        match self.calls.last() {
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
    LlmUsage {
        input_tokens: count(&usage["prompt_tokens"]),
        cached_tokens: count(&usage["prompt_tokens_details"]["cached_tokens"]),
        output_tokens: count(&usage["completion_tokens"]),
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
