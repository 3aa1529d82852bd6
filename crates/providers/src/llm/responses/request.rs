//! Writes a request in the words of the Responses API
//! (<https://developers.openai.com/api/reference/resources/responses/methods/create>).
//! Called once per question.
//! Never sends anything.

use engine::ask::LlmRequest;
use serde_json::{Value, json};

use crate::llm::{
    gpt::{self, Host},
    tools::{self, Choice, Function},
    turns::{Turn, turns},
};

/// The least limit on generated tokens that the protocol takes.
const LEAST_TOKENS: u32 = 16;

/// The JSON body.
pub(super) fn body(request: &LlmRequest, default_model: &str, host: Host) -> Value {
    let model = request.model.as_deref().unwrap_or(default_model);
    let mut instructions: Vec<&str> = Vec::new();
    let mut input: Vec<Value> = Vec::new();
    for turn in turns(&request.messages, host.late_instructions()) {
        match turn {
            Turn::System(text) if input.is_empty() => instructions.push(text),
            turn => items(&turn, &mut input),
        }
    }
    if input.is_empty() {
        // a question without input is refused: what there is of instructions is the question
        let text = instructions.join("\n\n");
        input.push(json!({ "role": "system", "content": text }));
        instructions.clear();
    }
    let mut body = json!({ "model": model, "input": input, "stream": true, "store": false });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[key] = value;
        }
    };
    let instructions = instructions.join("\n\n");
    set(
        "instructions",
        (!instructions.is_empty()).then(|| json!(instructions)),
    );
    let functions = tools::functions(request);
    if !functions.is_empty() {
        set("tools", Some(functions.iter().map(tool).collect()));
        set("tool_choice", tool_choice(tools::choice(request)));
        set(
            "parallel_tool_calls",
            request.parallel_tool_calls.map(Value::from),
        );
    }
    let (mut temperature, mut effort) = (request.temperature, tools::effort(request));
    if host == Host::OpenAi {
        temperature = temperature.filter(|_| gpt::takes_temperature(model));
        effort = gpt::effort(model, effort);
        // questions with one key are led to the machine that has their prompt cached
        // (<https://developers.openai.com/api/docs/guides/prompt-caching>)
        let session = &request.session;
        set(
            "prompt_cache_key",
            (!session.is_empty()).then(|| json!(session)),
        );
    }
    set(
        "max_output_tokens",
        request
            .max_tokens
            .map(|limit| json!(limit.max(LEAST_TOKENS))),
    );
    set("temperature", temperature.map(Value::from));
    set(
        "reasoning",
        effort.map(|effort| json!({ "effort": effort })),
    );
    body
}

fn items(turn: &Turn<'_>, input: &mut Vec<Value>) {
    match turn {
        Turn::System(text) => input.push(json!({ "role": "system", "content": text })),
        Turn::User { text, images } => input.push(user(text, images)),
        Turn::Assistant { text, calls } => {
            if let Some(text) = text {
                input.push(json!({ "role": "assistant", "content": text }));
            }
            input.extend(calls.iter().map(|call| {
                json!({
                    "type": "function_call",
                    "call_id": call.id,
                    "name": call.name,
                    "arguments": call.arguments,
                })
            }));
            input.extend(calls.iter().map(|call| {
                json!({
                    "type": "function_call_output",
                    "call_id": call.id,
                    "output": call.output,
                })
            }));
        }
    }
}

fn user(text: &str, images: &[String]) -> Value {
    if images.is_empty() {
        return json!({ "role": "user", "content": text });
    }
    let words = (!text.is_empty()).then(|| json!({ "type": "input_text", "text": text }));
    let pictures = images
        .iter()
        .map(|url| json!({ "type": "input_image", "image_url": url }));
    let content: Vec<Value> = words.into_iter().chain(pictures).collect();
    json!({ "role": "user", "content": content })
}

fn tool(function: &Function<'_>) -> Value {
    let mut tool = json!({
        "type": "function",
        "name": function.name,
        "parameters": function.schema(),
        // schemas are the client's own: most would not pass as strict ones, which is the default
        "strict": false,
    });
    if let Some(description) = function.description {
        tool["description"] = json!(description);
    }
    tool
}

fn tool_choice(choice: Choice<'_>) -> Option<Value> {
    match choice {
        Choice::Auto => None,
        Choice::None => Some(json!("none")),
        Choice::Any => Some(json!("required")),
        Choice::This(name) => Some(json!({ "type": "function", "name": name })),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
