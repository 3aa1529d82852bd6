//! Turns the chunks of a streamed answer into events
//! (<https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse>).
//! Fed by the reader of the stream.
//! Never hands on what the model thought: only what it says and calls.

use std::sync::Arc;

use engine::ask::{Finish, LlmUsage};
use serde_json::{Value, json};

use super::signatures::Signatures;
use crate::{
    Kind,
    failure::error_kind,
    llm::{
        reading::{Answer, BadEvent, Taken, new_call_id},
        tools::count,
    },
    ports::LlmEvent,
    sse::SseEvent,
};

/// An answer as far as it has come.
#[derive(Debug)]
pub(super) struct Content {
    signatures: Arc<Signatures>,
    finish: Option<Finish>,
    usage: LlmUsage,
}

impl Content {
    pub(super) fn new(signatures: Arc<Signatures>) -> Self {
        Self {
            signatures,
            finish: None,
            usage: LlmUsage::default(),
        }
    }

    fn part(&mut self, part: &Value, events: &mut Vec<LlmEvent>) {
        if part["thought"] == true {
            return;
        }
        if let Some(text) = part["text"].as_str().filter(|text| !text.is_empty()) {
            events.push(LlmEvent::Text(text.to_owned()));
        }
        let call = &part["functionCall"];
        let Some(name) = call["name"].as_str() else {
            return;
        };
        // the id is what the signature is found by again, and older models give none
        let call_id = call["id"].as_str().filter(|id| !id.is_empty());
        let call_id = call_id.map_or_else(new_call_id, str::to_owned);
        if let Some(signature) = part["thoughtSignature"].as_str() {
            self.signatures.keep(&call_id, signature);
        }
        let arguments = match &call["args"] {
            Value::Null => json!({}),
            arguments => arguments.clone(),
        };
        events.push(LlmEvent::ToolCall {
            call_id,
            name: name.to_owned(),
        });
        events.push(LlmEvent::ToolArguments(arguments.to_string()));
    }
}

impl Answer for Content {
    fn take(&mut self, event: &SseEvent, events: &mut Vec<LlmEvent>) -> Result<Taken, BadEvent> {
        let chunk: Value = serde_json::from_str(&event.data).map_err(|_| BadEvent::Malformed)?;
        if !chunk.is_object() {
            return Err(BadEvent::Malformed);
        }
        if chunk["error"].is_object() {
            return Err(BadEvent::Error(error_kind(&chunk["error"])));
        }
        let usage = &chunk["usageMetadata"];
        if usage.is_object() {
            self.usage = LlmUsage {
                input_tokens: count(&usage["promptTokenCount"]),
                cached_tokens: count(&usage["cachedContentTokenCount"]),
                output_tokens: count(&usage["candidatesTokenCount"])
                    .saturating_add(count(&usage["thoughtsTokenCount"])),
            };
        }
        if chunk["promptFeedback"]["blockReason"].is_string() {
            self.finish = Some(Finish::ContentFilter);
        }
        let candidate = &chunk["candidates"][0];
        let parts = candidate["content"]["parts"].as_array();
        for part in parts.into_iter().flatten() {
            self.part(part, events);
        }
        if let Some(reason) = candidate["finishReason"].as_str() {
            self.finish = Some(finish(reason)?);
        }
        Ok(Taken::Event)
    }

    fn finish(&self) -> Option<Finish> {
        self.finish
    }

    fn usage(&self) -> LlmUsage {
        self.usage
    }
}

/// <https://ai.google.dev/api/generate-content#FinishReason>
fn finish(reason: &str) -> Result<Finish, BadEvent> {
    match reason {
        "MAX_TOKENS" => Ok(Finish::Length),
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "MODEL_ARMOR"
        | "LANGUAGE" => Ok(Finish::ContentFilter),
        // the model stumbled: what was asked has no answer yet
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "MISSING_THOUGHT_SIGNATURE" => {
            Err(BadEvent::Error(Kind::Unavailable))
        }
        _ => Ok(Finish::Stop),
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
