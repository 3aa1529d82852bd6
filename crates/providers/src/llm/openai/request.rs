//! Writes a request in the words of the chat-completions protocol.
//! Called once per question.
//! Never sends anything.

use engine::ask::LlmRequest;
use serde_json::{Map, Value, json};

use crate::llm::{
    gpt::{self, Host},
    tools::{self, Choice, Function},
    turns::{Call, Turn, turns},
};

/// The JSON body.
pub(super) fn body(request: &LlmRequest, default_model: &str, host: Host) -> Value {
    let late = host.late_instructions();
    let model = request.model.as_deref().unwrap_or(default_model);
    let mut body = json!({
        "model": model,
        "messages": messages(turns(&request.messages, late)),
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[key] = value;
        }
    };
    let tools: Vec<Value> = tools::functions(request).iter().map(tool).collect();
    if !tools.is_empty() {
        set("tools", Some(Value::Array(tools)));
        set("tool_choice", tool_choice(tools::choice(request)));
        set(
            "parallel_tool_calls",
            request.parallel_tool_calls.map(Value::Bool),
        );
    }
    let (mut temperature, mut effort) = (request.temperature, tools::effort(request));
    let limit = match host {
        // known to every server, where newer hosted models insist on the other
        Host::Compatible => "max_tokens",
        Host::OpenAi => {
            let offers = !request.tools.is_empty();
            let wish = effort.filter(|_| !(offers && gpt::calls_without_effort(model)));
            effort = gpt::effort(model, wish);
            temperature = temperature.filter(|_| gpt::takes_temperature(model));
            "max_completion_tokens"
        }
    };
    set(limit, request.max_tokens.map(Value::from));
    set("temperature", temperature.map(Value::from));
    set("reasoning_effort", effort.map(Value::from));
    body
}

fn tool(function: &Function<'_>) -> Value {
    let mut written = Map::from_iter([("name".to_owned(), json!(function.name))]);
    if let Some(description) = function.description {
        written.insert("description".to_owned(), json!(description));
    }
    if let Some(parameters) = function.parameters {
        written.insert("parameters".to_owned(), parameters.clone());
    }
    json!({ "type": "function", "function": written })
}

/// Absent for `auto`, which is everyone's default and unknown to some servers.
fn tool_choice(choice: Choice<'_>) -> Option<Value> {
    match choice {
        Choice::Auto => None,
        Choice::None => Some(json!("none")),
        Choice::Any => Some(json!("required")),
        Choice::This(name) => Some(json!({ "type": "function", "function": { "name": name } })),
    }
}

fn messages(turns: Vec<Turn<'_>>) -> Vec<Value> {
    let mut written = Vec::with_capacity(turns.len());
    for turn in turns {
        match turn {
            Turn::System(text) => written.push(json!({ "role": "system", "content": text })),
            Turn::User { text, images } => written.push(user(&text, images)),
            Turn::Assistant { text, calls } => {
                let mut message = json!({ "role": "assistant", "content": text });
                if !calls.is_empty() {
                    message["tool_calls"] = calls.iter().map(tool_call).collect();
                }
                written.push(message);
                written.extend(calls.iter().map(|call| {
                    json!({ "role": "tool", "tool_call_id": call.id, "content": call.output })
                }));
            }
        }
    }
    written
}

fn user(text: &str, images: &[String]) -> Value {
    if images.is_empty() {
        return json!({ "role": "user", "content": text });
    }
    let words = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
    let pictures = images
        .iter()
        .map(|url| json!({ "type": "image_url", "image_url": { "url": url } }));
    let parts: Vec<Value> = words.into_iter().chain(pictures).collect();
    json!({ "role": "user", "content": parts })
}

fn tool_call(call: &Call<'_>) -> Value {
    let function = json!({ "name": call.name, "arguments": call.arguments });
    json!({ "id": call.id, "type": "function", "function": function })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
