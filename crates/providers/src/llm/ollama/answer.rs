//! Turns the lines of a streamed answer into events (<https://docs.ollama.com/api/streaming>).
//! Fed by the reader of the stream.
//! Never hands on what the model thought: only what it says and calls.

use engine::ask::{Finish, LlmUsage};
use serde_json::Value;

use crate::{
    failure::error_kind,
    llm::{
        reading::{Answer, BadEvent, Taken},
        tools::count,
    },
    ports::LlmEvent,
    sse::SseEvent,
};

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Message {
    finish: Option<Finish>,
    usage: LlmUsage,
}

impl Answer for Message {
    fn take(&mut self, event: &SseEvent, events: &mut Vec<LlmEvent>) -> Result<Taken, BadEvent> {
        if event.data.trim().is_empty() {
            return Ok(Taken::KeepAlive);
        }
        let line: Value = serde_json::from_str(&event.data).map_err(|_| BadEvent::Malformed)?;
        if !line.is_object() {
            return Err(BadEvent::Malformed);
        }
        if let Some(error) = line.get("error").filter(|error| !error.is_null()) {
            return Err(BadEvent::Error(error_kind(error)));
        }
        let message = &line["message"];
        if let Some(text) = message["content"].as_str().filter(|text| !text.is_empty()) {
            events.push(LlmEvent::Text(text.to_owned()));
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            let Some(name) = function["name"].as_str() else {
                continue;
            };
            events.push(LlmEvent::ToolCall {
                // older servers give none; the reader of the stream numbers those
                call_id: call["id"].as_str().unwrap_or_default().to_owned(),
                name: name.to_owned(),
            });
            let arguments = match &function["arguments"] {
                Value::Null => "{}".to_owned(),
                Value::String(text) => text.clone(),
                whole => whole.to_string(),
            };
            events.push(LlmEvent::ToolArguments(arguments));
        }
        if line["done"] != true {
            return Ok(Taken::Event);
        }
        self.finish = Some(match line["done_reason"].as_str() {
            Some("length") => Finish::Length,
            _ => Finish::Stop,
        });
        // what came from the server's own cache is part of the count; older servers do not tell it apart
        self.usage = LlmUsage {
            input_tokens: count(&line["prompt_eval_count"]),
            cached_tokens: count(&line["prompt_eval_cached_count"]),
            output_tokens: count(&line["eval_count"]),
        };
        Ok(Taken::Last)
    }

    fn finish(&self) -> Option<Finish> {
        self.finish
    }

    fn usage(&self) -> LlmUsage {
        self.usage
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
