//! Turns the events of a streamed response into ours
//! (<https://developers.openai.com/api/reference/resources/responses/streaming-events>).
//! Fed by the reader of the stream.
//! Never hands on what the model reasoned: only what it says and calls.

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

/// A response as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Response {
    finish: Option<Finish>,
    usage: LlmUsage,
    calls: Calls,
}

impl Answer for Response {
    fn take(&mut self, event: &SseEvent, events: &mut Vec<LlmEvent>) -> Result<Taken, BadEvent> {
        if event.data.trim() == "[DONE]" {
            // some servers of the protocol end as chat completions do
            return Ok(Taken::Last);
        }
        let body: Value = serde_json::from_str(&event.data).map_err(|_| BadEvent::Malformed)?;
        let index = body["output_index"].as_u64().unwrap_or(0);
        match body["type"].as_str().ok_or(BadEvent::Malformed)? {
            "keepalive" => return Ok(Taken::KeepAlive),
            "response.output_text.delta" | "response.refusal.delta" => {
                let words = text(&body["delta"]);
                if !words.is_empty() {
                    events.push(LlmEvent::Text(words));
                }
            }
            "response.output_item.added" if body["item"]["type"] == "function_call" => {
                let call = Call {
                    id: text(&body["item"]["call_id"]),
                    name: text(&body["item"]["name"]),
                    arguments: text(&body["item"]["arguments"]),
                    ended: false,
                };
                self.calls.take(index, call, events)?;
            }
            "response.function_call_arguments.delta" => {
                let more = Call {
                    arguments: text(&body["delta"]),
                    ..Call::default()
                };
                self.calls.take(index, more, events)?;
            }
            "response.output_item.done" if body["item"]["type"] == "function_call" => {
                let ended = Call {
                    ended: true,
                    ..Call::default()
                };
                self.calls.take(index, ended, events)?;
            }
            "response.completed" => return Ok(self.end(&body["response"], Finish::Stop)),
            "response.incomplete" => {
                let details = &body["response"]["incomplete_details"];
                let finish = match details["reason"].as_str() {
                    Some("content_filter") => Finish::ContentFilter,
                    _ => Finish::Length,
                };
                return Ok(self.end(&body["response"], finish));
            }
            "response.failed" => {
                return Err(BadEvent::Error(error_kind(&body["response"]["error"])));
            }
            "error" => {
                // the object itself, or the event in its place
                let error = if body["error"].is_object() {
                    &body["error"]
                } else {
                    &body
                };
                return Err(BadEvent::Error(error_kind(error)));
            }
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
        self.usage
    }
}

impl Response {
    fn end(&mut self, response: &Value, finish: Finish) -> Taken {
        let usage = &response["usage"];
        self.usage = LlmUsage {
            input_tokens: count(&usage["input_tokens"]),
            cached_tokens: count(&usage["input_tokens_details"]["cached_tokens"]),
            output_tokens: count(&usage["output_tokens"]),
        };
        self.finish = Some(finish);
        Taken::Last
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
