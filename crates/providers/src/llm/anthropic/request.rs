//! Writes a request in the words of the Messages API
//! (<https://platform.claude.com/docs/en/api/messages/create>).
//! Called once per question.
//! Never sends anything.

use std::collections::HashMap;

use engine::ask::LlmRequest;
use serde_json::{Value, json};

use super::family::{Thinking, family_of};
use crate::llm::{
    tools::{self, Choice, Function},
    turns::{Call, Outputs, Part, Speaker, UNSEEN, data_uri, dialogue},
};

/// The limit on generated tokens where the session sets none: the protocol insists on one.
const MAX_TOKENS: u32 = 1024;

/// The JSON body.
///
/// What stays the same from question to question is marked to be cached
/// (<https://platform.claude.com/docs/en/build-with-claude/prompt-caching>): the functions, and the
/// instructions from the start of the conversation.
pub(super) fn body(request: &LlmRequest, default_model: &str) -> Value {
    let model = request.model.as_deref().unwrap_or(default_model);
    let dialogue = dialogue(&request.messages, Outputs::WithWords);
    let mut ids = Ids::default();
    let messages = dialogue.messages.iter().map(|(speaker, parts)| {
        let role = match speaker {
            Speaker::User => "user",
            Speaker::Model => "assistant",
        };
        let content: Vec<Value> = parts.iter().map(|part| block(part, &mut ids)).collect();
        json!({ "role": role, "content": content })
    });
    let mut body = json!({
        "model": model,
        "max_tokens": request.max_tokens.unwrap_or(MAX_TOKENS).max(1),
        "messages": messages.collect::<Vec<_>>(),
        "stream": true,
    });
    if !dialogue.system.is_empty() {
        let blocks = dialogue.system.iter().map(|text| text_block(text));
        body["system"] = cached(blocks.collect());
    }
    let functions = tools::functions(request);
    let mut choice = Choice::Auto;
    if !functions.is_empty() {
        body["tools"] = cached(functions.iter().map(tool).collect());
        choice = tools::choice(request);
        if choice.is_forced() && !family_of(model).thinking.takes_force() {
            choice = Choice::Auto;
        }
        if let Some(choice) = tool_choice(choice, request.parallel_tool_calls) {
            body["tool_choice"] = choice;
        }
    }
    think(&mut body, model, tools::effort(request), choice);
    if let Some(temperature) = request.temperature
        && family_of(model).temperature
    {
        // the protocol's range ends at 1, the session's at 2
        body["temperature"] = json!(temperature.clamp(0.0, 1.0));
    }
    body
}

/// Somebody waits for the first word: a model thinks only when it is asked to, or when it must.
fn think(body: &mut Value, model: &str, effort: Option<&str>, choice: Choice<'_>) {
    // a thinking model cannot be forced to call
    let effort =
        effort.filter(|effort| !matches!(*effort, "none" | "minimal") && !choice.is_forced());
    let depth = |effort: &str| json!({ "effort": effort });
    match (family_of(model).thinking, effort) {
        (Thinking::Never, _) | (Thinking::OnWish, None) => {}
        (Thinking::OnWish, Some(effort)) => {
            body["thinking"] = json!({ "type": "adaptive" });
            body["output_config"] = depth(effort);
        }
        (Thinking::Unless, None) => body["thinking"] = json!({ "type": "disabled" }),
        (Thinking::BetweenCalls, None) => body["thinking"] = json!({ "type": "between_tools" }),
        (Thinking::Unless | Thinking::BetweenCalls | Thinking::Always, Some(effort)) => {
            body["output_config"] = depth(effort);
        }
        (Thinking::Always, None) => body["output_config"] = depth("low"),
    }
}

/// Marks the last of some blocks: what stands up to it is cached.
fn cached(mut blocks: Vec<Value>) -> Value {
    if let Some(last) = blocks.last_mut() {
        last["cache_control"] = json!({ "type": "ephemeral" });
    }
    Value::Array(blocks)
}

fn text_block(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn block(part: &Part<'_>, ids: &mut Ids) -> Value {
    match part {
        Part::Text(text) => text_block(text),
        Part::Image(uri) => match data_uri(uri) {
            Some((media_type, data)) => {
                let source = json!({ "type": "base64", "media_type": media_type, "data": data });
                json!({ "type": "image", "source": source })
            }
            None if uri.starts_with("https://") => {
                json!({ "type": "image", "source": { "type": "url", "url": uri } })
            }
            None => text_block(UNSEEN),
        },
        Part::Call(call) => {
            let id = ids.of_call(call);
            json!({ "type": "tool_use", "id": id, "name": call.name, "input": call.arguments() })
        }
        Part::Output(call) => {
            let id = ids.of_output(call);
            // a block without words is refused
            let output = if call.output.trim().is_empty() {
                "(nothing)"
            } else {
                call.output
            };
            json!({ "type": "tool_result", "tool_use_id": id, "content": output })
        }
    }
}

fn tool(function: &Function<'_>) -> Value {
    let mut tool = json!({ "name": function.name, "input_schema": function.schema() });
    if let Some(description) = function.description {
        tool["description"] = json!(description);
    }
    tool
}

fn tool_choice(choice: Choice<'_>, parallel: Option<bool>) -> Option<Value> {
    let mut written = match choice {
        Choice::None => return Some(json!({ "type": "none" })),
        Choice::Auto if parallel != Some(false) => return None,
        Choice::Auto => json!({ "type": "auto" }),
        Choice::Any => json!({ "type": "any" }),
        Choice::This(name) => json!({ "type": "tool", "name": name }),
    };
    if parallel == Some(false) {
        written["disable_parallel_tool_use"] = json!(true);
    }
    Some(written)
}

/// Ids of calls in characters that the protocol takes (`^[a-zA-Z0-9_-]+$`), each used for one call
/// only: a conversation may have been carried on by models of other vendors.
#[derive(Default)]
struct Ids(HashMap<String, usize>);

impl Ids {
    fn of_call(&mut self, call: &Call<'_>) -> String {
        let id = plain(call.id);
        let uses = self.0.entry(id.clone()).or_default();
        *uses += 1;
        numbered(id, *uses)
    }

    /// The outputs of a message follow its calls, so the last use of an id is the one that is meant.
    fn of_output(&mut self, call: &Call<'_>) -> String {
        let id = plain(call.id);
        let uses = self.0.get(&id).copied().unwrap_or(1);
        numbered(id, uses)
    }
}

fn plain(id: &str) -> String {
    id.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

fn numbered(id: String, use_: usize) -> String {
    match use_ {
        1 => id,
        more => format!("{id}-{more}"),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
