//! Writes a request in the words of the Gemini API
//! (<https://ai.google.dev/api/generate-content#request-body>).
//! Called once per question.
//! Never sends anything.

use engine::ask::LlmRequest;
use serde_json::{Map, Value, json};

use super::{
    schema,
    signatures::{FOREIGN, Signatures},
};
use crate::llm::{
    tools::{self, Choice, Function},
    turns::{Outputs, Part, Speaker, UNSEEN, data_uri, dialogue},
};

/// The JSON body; the model is named in the address.
pub(super) fn body(request: &LlmRequest, model: &str, signatures: &Signatures) -> Value {
    let dialogue = dialogue(&request.messages, Outputs::Apart);
    let contents = dialogue.messages.iter().map(|(speaker, parts)| {
        let role = match speaker {
            Speaker::User => "user",
            Speaker::Model => "model",
        };
        let mut parts: Vec<Value> = parts.iter().map(|part| write(part, signatures)).collect();
        if signs(model) {
            sign(&mut parts);
        }
        json!({ "role": role, "parts": parts })
    });
    let mut body = json!({ "contents": contents.collect::<Vec<_>>() });
    if !dialogue.system.is_empty() {
        let parts = dialogue.system.iter().map(|text| json!({ "text": text }));
        body["systemInstruction"] = json!({ "parts": parts.collect::<Vec<_>>() });
    }
    let functions = tools::functions(request);
    if !functions.is_empty() {
        let declarations: Vec<Value> = functions.iter().map(declaration).collect();
        body["tools"] = json!([{ "functionDeclarations": declarations }]);
        if let Some(config) = calling(tools::choice(request)) {
            body["toolConfig"] = json!({ "functionCallingConfig": config });
        }
    }
    let mut config = Map::new();
    if let Some(limit) = request.max_tokens {
        config.insert("maxOutputTokens".to_owned(), json!(limit.max(1)));
    }
    if let Some(temperature) = request.temperature {
        config.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(thinking) = thinking(model, tools::effort(request)) {
        config.insert("thinkingConfig".to_owned(), thinking);
    }
    if !config.is_empty() {
        body["generationConfig"] = Value::Object(config);
    }
    body
}

fn write(part: &Part<'_>, signatures: &Signatures) -> Value {
    match part {
        Part::Text(text) => json!({ "text": text }),
        Part::Image(uri) => match data_uri(uri) {
            Some((media_type, data)) => {
                json!({ "inlineData": { "mimeType": media_type, "data": data } })
            }
            // the protocol takes no address but its own
            None => json!({ "text": UNSEEN }),
        },
        Part::Call(call) => {
            let function = json!({ "id": call.id, "name": call.name, "args": call.arguments() });
            let mut part = json!({ "functionCall": function });
            if let Some(signature) = signatures.of(call.id) {
                part["thoughtSignature"] = json!(signature);
            }
            part
        }
        Part::Output(call) => {
            // an object is handed on as it is, anything else in the place that the protocol names
            let output = match serde_json::from_str::<Map<String, Value>>(call.output) {
                Ok(object) => Value::Object(object),
                Err(_) => json!({ "output": call.output }),
            };
            json!({
                "functionResponse": { "id": call.id, "name": call.name, "response": output }
            })
        }
    }
}

/// Whether a model insists on the signatures of its calls: all do since the third generation.
fn signs(model: &str) -> bool {
    model.starts_with("gemini-") && !["1", "2"].iter().any(|old| model[7..].starts_with(old))
}

/// The first call of a step must be signed; another model's calls are marked as foreign.
fn sign(parts: &mut [Value]) {
    let first = parts
        .iter_mut()
        .find(|part| part["functionCall"].is_object());
    if let Some(first) = first
        && first["thoughtSignature"].is_null()
    {
        first["thoughtSignature"] = json!(FOREIGN);
    }
}

fn declaration(function: &Function<'_>) -> Value {
    let mut declaration = json!({ "name": function.name });
    // insisted on by the protocol
    declaration["description"] = json!(function.description.unwrap_or(function.name));
    if let Some(parameters) = function.parameters.and_then(schema::parameters) {
        declaration["parameters"] = parameters;
    }
    declaration
}

/// <https://ai.google.dev/api/caching#FunctionCallingConfig>
fn calling(choice: Choice<'_>) -> Option<Value> {
    match choice {
        Choice::Auto => None,
        Choice::None => Some(json!({ "mode": "NONE" })),
        Choice::Any => Some(json!({ "mode": "ANY" })),
        Choice::This(name) => Some(json!({ "mode": "ANY", "allowedFunctionNames": [name] })),
    }
}

/// Somebody waits for the first word: a model thinks as little as it can, unless asked to.
///
/// Levels: <https://ai.google.dev/gemini-api/docs/thinking>; budgets of the second generation:
/// <https://ai.google.dev/gemini-api/docs/openai#thinking>.
fn thinking(model: &str, effort: Option<&str>) -> Option<Value> {
    let pro = model.contains("pro");
    if model.starts_with("gemini-2.5") {
        let budget = match effort {
            None | Some("none" | "minimal") if pro => return None,
            None | Some("none" | "minimal") => 0,
            Some("low") => 1024,
            Some("medium") => 8192,
            Some(_) => 24_576,
        };
        return Some(json!({ "thinkingBudget": budget }));
    }
    if !signs(model) {
        return None;
    }
    let level = match effort {
        None | Some("none" | "minimal") if pro => "low",
        None | Some("none" | "minimal") => "minimal",
        Some(level @ ("low" | "medium")) => level,
        Some(_) => "high",
    };
    Some(json!({ "thinkingLevel": level }))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
