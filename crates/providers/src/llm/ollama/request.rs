//! Writes a request in the words of Ollama (<https://docs.ollama.com/api/chat>).
//! Called once per question.
//! Never sends anything.

use engine::ask::LlmRequest;
use serde_json::{Map, Value, json};

use crate::llm::{
    tools::{self, Choice, Function},
    turns::{Call, Late, Turn, data_uri, turns},
};

/// A model stays in memory so long after a question: longer than a conversation pauses. The
/// server's own 5 minutes would let the next caller wait for it to load.
const KEEP_ALIVE: &str = "30m";

/// The JSON body.
pub(super) fn body(request: &LlmRequest, model: &str) -> Value {
    let mut body = json!({
        "model": model,
        "messages": messages(turns(&request.messages, Late::Kept)),
        "stream": true,
        "think": think(model, tools::effort(request)),
        "keep_alive": KEEP_ALIVE,
    });
    let tools = offered(request);
    if !tools.is_empty() {
        body["tools"] = Value::Array(tools);
    }
    let mut options = Map::new();
    if let Some(limit) = request.max_tokens {
        options.insert("num_predict".to_owned(), json!(limit.max(1)));
    }
    if let Some(temperature) = request.temperature {
        options.insert("temperature".to_owned(), json!(temperature));
    }
    if !options.is_empty() {
        body["options"] = Value::Object(options);
    }
    body
}

/// Without a message, a model is loaded and says nothing.
pub(super) fn preload(model: &str) -> Value {
    json!({ "model": model, "messages": [], "stream": false, "keep_alive": KEEP_ALIVE })
}

/// Somebody waits for the first word: a model thinks only when it is asked to. One family knows
/// levels, all others yes or no (<https://docs.ollama.com/capabilities/thinking>).
fn think(model: &str, effort: Option<&str>) -> Value {
    match effort {
        None | Some("none" | "minimal") => json!(false),
        Some(level @ ("low" | "medium")) if model.starts_with("gpt-oss") => json!(level),
        Some(_) if model.starts_with("gpt-oss") => json!("high"),
        Some(_) => json!(true),
    }
}

/// The protocol cannot insist on a call: all that can be done is to offer nothing else.
fn offered(request: &LlmRequest) -> Vec<Value> {
    let choice = tools::choice(request);
    let functions = tools::functions(request).into_iter();
    functions
        .filter(|function| match choice {
            Choice::None => false,
            Choice::This(name) => function.name == name,
            Choice::Auto | Choice::Any => true,
        })
        .map(|function| tool(&function))
        .collect()
}

fn tool(function: &Function<'_>) -> Value {
    let written = json!({
        "name": function.name,
        "description": function.description.unwrap_or_default(),
        "parameters": function.schema(),
    });
    json!({ "type": "function", "function": written })
}

fn messages(turns: Vec<Turn<'_>>) -> Vec<Value> {
    let mut written = Vec::with_capacity(turns.len());
    for turn in turns {
        match turn {
            Turn::System(text) => written.push(json!({ "role": "system", "content": text })),
            Turn::User { text, images } => {
                let mut message = json!({ "role": "user", "content": text });
                // bare base64: the server tells the kind of picture by its first bytes
                let images: Vec<&str> = images
                    .iter()
                    .filter_map(|uri| data_uri(uri).map(|(_, data)| data))
                    .collect();
                if !images.is_empty() {
                    message["images"] = json!(images);
                }
                written.push(message);
            }
            Turn::Assistant { text, calls } => {
                let content = text.unwrap_or_default();
                let mut message = json!({ "role": "assistant", "content": content });
                if !calls.is_empty() {
                    message["tool_calls"] = calls.iter().map(tool_call).collect();
                }
                written.push(message);
                written.extend(calls.iter().map(|call| {
                    json!({
                        "role": "tool",
                        "tool_name": call.name,
                        "tool_call_id": call.id,
                        "content": call.output,
                    })
                }));
            }
        }
    }
    written
}

fn tool_call(call: &Call<'_>) -> Value {
    let function = json!({ "name": call.name, "arguments": call.arguments() });
    json!({ "id": call.id, "type": "function", "function": function })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
