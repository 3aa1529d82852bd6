//! Writes a request in the words of the chat-completions protocol.
//! Called once per question.
//! Never sends anything.

use std::collections::HashSet;

use engine::ask::{LlmMessage, LlmRequest};
use serde_json::{Map, Value, json};
use wire::realtime::session::{NamedTool, Tool, ToolChoice};

/// Stands for the output of a function that has not returned: the protocol wants an answer to
/// each call before anything else is said, a live conversation does not wait for it.
const NO_OUTPUT_YET: &str = "(the function has not returned yet)";

/// What the limit on generated tokens is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenLimit {
    /// `max_tokens`, which every compatible server knows.
    MaxTokens,
    /// `max_completion_tokens`, which newer hosted models insist on.
    MaxCompletionTokens,
}

/// The JSON body.
pub(super) fn body(request: &LlmRequest, default_model: &str, limit: TokenLimit) -> Value {
    let mut body = json!({
        "model": request.model.as_deref().unwrap_or(default_model),
        "messages": messages(&request.messages),
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[key] = value;
        }
    };
    let tools: Vec<Value> = request.tools.iter().filter_map(tool).collect();
    if !tools.is_empty() {
        set("tools", Some(Value::Array(tools)));
        set("tool_choice", tool_choice(&request.tool_choice));
        set(
            "parallel_tool_calls",
            request.parallel_tool_calls.map(Value::Bool),
        );
    }
    let limit = match limit {
        TokenLimit::MaxTokens => "max_tokens",
        TokenLimit::MaxCompletionTokens => "max_completion_tokens",
    };
    set(limit, request.max_tokens.map(Value::from));
    set("temperature", request.temperature.map(Value::from));
    let effort = request.reasoning_effort.as_ref();
    // either the word itself, or the protocol's `{ "effort": word }`
    set(
        "reasoning_effort",
        effort.map(|effort| effort.get("effort").unwrap_or(effort).clone()),
    );
    body
}

fn tool(tool: &Tool) -> Option<Value> {
    let Tool::Function {
        name,
        description,
        parameters,
    } = tool
    else {
        return None;
    };
    let mut function = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(description) = description {
        function.insert("description".to_owned(), json!(description));
    }
    if let Some(parameters) = parameters {
        function.insert("parameters".to_owned(), parameters.clone());
    }
    Some(json!({ "type": "function", "function": function }))
}

/// Absent for `auto`, which is everyone's default and unknown to some servers.
fn tool_choice(choice: &ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto | ToolChoice::Named(NamedTool::Mcp { .. }) => None,
        ToolChoice::None => Some(json!("none")),
        ToolChoice::Required => Some(json!("required")),
        ToolChoice::Named(NamedTool::Function { name }) => {
            Some(json!({ "type": "function", "function": { "name": name } }))
        }
    }
}

/// Calls that follow each other become one message, with their outputs right behind it wherever
/// they stood; an output whose call is gone is left out.
fn messages(context: &[LlmMessage]) -> Vec<Value> {
    let mut written: Vec<Value> = Vec::with_capacity(context.len());
    let mut unwritten = context;
    while let Some((message, rest)) = unwritten.split_first() {
        unwritten = rest;
        match message {
            LlmMessage::System(text) => written.push(json!({ "role": "system", "content": text })),
            LlmMessage::User { text, images } => written.push(user(text, images)),
            LlmMessage::Assistant(text) => {
                written.push(json!({ "role": "assistant", "content": text }));
            }
            LlmMessage::ToolCall { .. } => {
                let calls = 1 + rest.iter().take_while(|next| is_call(next)).count();
                let start = context.len() - rest.len() - 1;
                let calls = &context[start..start + calls];
                unwritten = &context[start + calls.len()..];
                tool_calls(calls, unwritten, &mut written);
            }
            LlmMessage::ToolOutput { .. } => {}
        }
    }
    written
}

fn is_call(message: &LlmMessage) -> bool {
    matches!(message, LlmMessage::ToolCall { .. })
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

fn tool_calls(calls: &[LlmMessage], later: &[LlmMessage], written: &mut Vec<Value>) {
    let mut seen = HashSet::new();
    let calls: Vec<(&str, Value)> = calls
        .iter()
        .filter_map(|call| match call {
            LlmMessage::ToolCall {
                call_id,
                name,
                arguments,
            } => {
                // a model that reads its own malformed JSON is refused by some servers
                let arguments = if is_object(arguments) {
                    arguments.as_str()
                } else {
                    "{}"
                };
                let function = json!({ "name": name, "arguments": arguments });
                let call = json!({ "id": call_id, "type": "function", "function": function });
                seen.insert(call_id).then_some((call_id.as_str(), call))
            }
            _ => None,
        })
        .collect();
    let ids: Vec<&str> = calls.iter().map(|(id, _)| *id).collect();
    let calls: Vec<Value> = calls.into_iter().map(|(_, call)| call).collect();
    match written.last_mut() {
        // words and calls of one answer are one message
        Some(last) if last["role"] == "assistant" && last.get("tool_calls").is_none() => {
            last["tool_calls"] = Value::Array(calls);
        }
        _ => written.push(json!({ "role": "assistant", "content": null, "tool_calls": calls })),
    }
    for id in ids {
        let output = later.iter().find_map(|message| match message {
            LlmMessage::ToolOutput { call_id, output } if call_id == id => Some(output.as_str()),
            _ => None,
        });
        let content = output.unwrap_or(NO_OUTPUT_YET);
        written.push(json!({ "role": "tool", "tool_call_id": id, "content": content }));
    }
}

fn is_object(json: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(json).is_ok()
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
