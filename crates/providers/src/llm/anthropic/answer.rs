//! Turns the events of a streamed message into ours
//! (<https://platform.claude.com/docs/en/build-with-claude/streaming>).
//! Fed by the reader of the stream.
//! Never hands on what the model thought: only what it says and calls.

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

/// A message as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Message {
    finish: Option<Finish>,
    counts: Counts,
    calls: Calls,
}

/// Tokens: three kinds of input, which add up to the prompt, and the output.
#[derive(Debug, Default)]
struct Counts {
    fresh: u32,
    written_to_cache: u32,
    read_from_cache: u32,
    output: u32,
}

impl Answer for Message {
    fn take(&mut self, event: &SseEvent, events: &mut Vec<LlmEvent>) -> Result<Taken, BadEvent> {
        let body: Value = serde_json::from_str(&event.data).map_err(|_| BadEvent::Malformed)?;
        let index = body["index"].as_u64().unwrap_or(0);
        match body["type"].as_str().ok_or(BadEvent::Malformed)? {
            "ping" => return Ok(Taken::KeepAlive),
            "message_start" => self.count(&body["message"]["usage"]),
            "content_block_start" => self.begin(index, &body["content_block"], events)?,
            "content_block_delta" => self.delta(index, &body["delta"], events)?,
            "content_block_stop" => {
                let ended = Call {
                    ended: true,
                    ..Call::default()
                };
                self.calls.take(index, ended, events)?;
            }
            "message_delta" => {
                self.count(&body["usage"]);
                if let Some(reason) = body["delta"]["stop_reason"].as_str() {
                    self.finish = Some(finish(reason));
                }
            }
            "message_stop" => return Ok(Taken::Last),
            "error" => return Err(BadEvent::Error(error_kind(&body["error"]))),
            // the protocol may grow (<https://platform.claude.com/docs/en/api/versioning>)
            _ => {}
        }
        Ok(Taken::Event)
    }

    fn rest(&mut self, events: &mut Vec<LlmEvent>) {
        self.calls.end(events);
    }

    fn finish(&self) -> Option<Finish> {
        self.finish
    }

    fn usage(&self) -> LlmUsage {
        let counts = &self.counts;
        let cached = counts.read_from_cache;
        LlmUsage {
            input_tokens: cached
                .saturating_add(counts.fresh)
                .saturating_add(counts.written_to_cache),
            cached_tokens: cached,
            output_tokens: counts.output,
        }
    }
}

impl Message {
    fn begin(
        &mut self,
        index: u64,
        block: &Value,
        events: &mut Vec<LlmEvent>,
    ) -> Result<(), BadEvent> {
        match block["type"].as_str() {
            Some("text") => say(&block["text"], events),
            Some("tool_use") => {
                let input = &block["input"];
                // empty here, unless a server sends it all at once
                let arguments = match input.as_object() {
                    Some(whole) if !whole.is_empty() => input.to_string(),
                    _ => String::new(),
                };
                let call = Call {
                    id: text(&block["id"]),
                    name: text(&block["name"]),
                    arguments,
                    ended: false,
                };
                self.calls.take(index, call, events)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn delta(
        &mut self,
        index: u64,
        delta: &Value,
        events: &mut Vec<LlmEvent>,
    ) -> Result<(), BadEvent> {
        match delta["type"].as_str() {
            Some("text_delta") => say(&delta["text"], events),
            Some("input_json_delta") => {
                let more = Call {
                    arguments: text(&delta["partial_json"]),
                    ..Call::default()
                };
                self.calls.take(index, more, events)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts are cumulative, and later ones may leave some out.
    fn count(&mut self, usage: &Value) {
        let counts = &mut self.counts;
        for (key, kept) in [
            ("input_tokens", &mut counts.fresh),
            ("cache_creation_input_tokens", &mut counts.written_to_cache),
            ("cache_read_input_tokens", &mut counts.read_from_cache),
            ("output_tokens", &mut counts.output),
        ] {
            if usage[key].is_number() {
                *kept = count(&usage[key]);
            }
        }
    }
}

fn say(words: &Value, events: &mut Vec<LlmEvent>) {
    let words = text(words);
    if !words.is_empty() {
        events.push(LlmEvent::Text(words));
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// <https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons>
fn finish(reason: &str) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
