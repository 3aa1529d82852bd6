//! The Gemini API (<https://ai.google.dev/api/generate-content>).
//! Started by the tests through [`super::Fake`]; remembers which calls it signed (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
//! Never lenient: what a model of the third generation answers with 400 is refused here.

use std::{collections::HashSet, sync::Mutex};

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    Arrived, Asked, Dialect, KEY, PROMPT_TOKENS, Refusal, Request, Said, Script, fault::wrong_key,
    invalid, refusal,
};

const MODEL: &str = "gemini-3-fake";

/// Fields of a schema (<https://ai.google.dev/api/caching#Schema>).
const SCHEMA: [&str; 22] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
    "maximum",
];

#[derive(Default)]
pub(crate) struct Gemini {
    signed: Mutex<HashSet<String>>,
}

impl Dialect for Gemini {
    fn base(&self) -> &'static str {
        "/v1beta"
    }

    fn model(&self) -> &'static str {
        MODEL
    }

    fn content_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn read(&self, arrived: &Arrived<'_>) -> Result<Request, Refusal> {
        if arrived.header("x-goog-api-key") != Some(KEY) {
            return Err(wrong_key());
        }
        let model = arrived
            .target
            .strip_prefix("/models/")
            .and_then(|rest| rest.strip_suffix(":streamGenerateContent?alt=sse"));
        match (&arrived.method, arrived.target, model) {
            (&Method::GET, "/models?pageSize=1", _) => return Ok(Request::Check),
            (&Method::POST, _, Some(MODEL)) => {}
            (&Method::POST, _, Some(_)) => {
                let message = "The model does not exist";
                return Err(refusal(404, "NOT_FOUND", message));
            }
            _ => return Err(refusal(404, "NOT_FOUND", "Not found")),
        }
        let body = arrived.body;
        if arrived.header("content-type") != Some("application/json") || !body.is_object() {
            return Err(invalid("Invalid JSON payload received."));
        }
        let known = [
            "contents",
            "systemInstruction",
            "tools",
            "toolConfig",
            "generationConfig",
        ];
        for key in body.as_object().into_iter().flatten().map(|(key, _)| key) {
            if !known.contains(&key.as_str()) {
                return Err(unknown(key));
            }
        }
        self.check_contents(&body["contents"])
            .map_err(|message| invalid(&message))?;
        let mut functions = Vec::new();
        let declarations = body["tools"][0]["functionDeclarations"].as_array();
        for declaration in declarations.into_iter().flatten() {
            let name = declaration["name"].as_str();
            functions.push(
                name.ok_or_else(|| invalid("a name is required"))?
                    .to_owned(),
            );
            check_schema(&declaration["parameters"])?;
        }
        let limit = body["generationConfig"]["maxOutputTokens"].as_u64();
        Ok(Request::Question(Asked {
            words: last_words(body),
            functions,
            limit: limit.map(|limit| limit as usize),
        }))
    }

    fn refuse(&self, refusal: &Refusal) -> (u16, Value) {
        let (code, status) = match refusal.status {
            401 => (400, "INVALID_ARGUMENT"),
            402 => (403, "PERMISSION_DENIED"),
            404 => (404, "NOT_FOUND"),
            429 => (429, "RESOURCE_EXHAUSTED"),
            500 => (500, "INTERNAL"),
            other => (other, "INVALID_ARGUMENT"),
        };
        let details = match refusal.status {
            401 => json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID", "domain": "googleapis.com"
            }]),
            429 => json!([{
                "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"
            }]),
            _ => json!([]),
        };
        let error = json!({
            "code": code, "message": refusal.message, "status": status, "details": details
        });
        (code, json!({ "error": error }))
    }

    fn answer(&self, said: &Said<'_>) -> Script {
        let (parts, finish, output): (Vec<Value>, _, _) = match said {
            Said::Words { words, cut } => {
                let parts = words.iter().map(|word| json!({ "text": word }));
                let finish = if *cut { "MAX_TOKENS" } else { "STOP" };
                (parts.collect(), finish, words.len())
            }
            Said::Calls(functions) => (self.calls(functions), "STOP", 6),
        };
        let (prompt, cached) = PROMPT_TOKENS;
        let thoughts = if output == 6 { 3 } else { 0 };
        let mut last = chunk(&[json!({ "text": "" })], Some(finish));
        last["usageMetadata"] = json!({
            "promptTokenCount": prompt, "cachedContentTokenCount": cached,
            "candidatesTokenCount": output, "thoughtsTokenCount": thoughts,
            "totalTokenCount": prompt as usize + output + thoughts
        });
        let thought = json!({ "text": "Let me see.", "thought": true });
        Script {
            before: vec![event(&chunk(&[thought], None))],
            said: parts
                .iter()
                .map(|part| event(&chunk(std::slice::from_ref(part), None)))
                .collect(),
            after: vec![event(&last)],
        }
    }

    fn malformed(&self) -> String {
        "data: {\"candidates\":[{\r\n\r\n".to_owned()
    }

    fn bare_end(&self) -> Option<String> {
        Some(event(&chunk(&[], Some("STOP"))))
    }
}

impl Gemini {
    /// The user begins and ends; results come right behind their calls, apart from words.
    fn check_contents(&self, contents: &Value) -> Result<(), String> {
        let contents = contents.as_array().filter(|list| !list.is_empty());
        let contents = contents.ok_or("contents is not specified")?;
        let mut open: Vec<(&str, &str)> = Vec::new();
        for content in contents {
            let parts = content["parts"]
                .as_array()
                .filter(|parts| !parts.is_empty());
            let parts = parts.ok_or("contents.parts must not be empty")?;
            let results: Vec<&Value> = parts
                .iter()
                .map(|part| &part["functionResponse"])
                .filter(|result| result.is_object())
                .collect();
            if results.len() != open.len() || !results.is_empty() && results.len() != parts.len() {
                return Err(
                    "the number of function response parts should be equal to the \
                    number of function call parts of the function call turn"
                        .to_owned(),
                );
            }
            for result in results {
                let call = (named(&result["id"]), named(&result["name"]));
                let at = open.iter().position(|open| *open == call);
                open.swap_remove(at.ok_or("a function response without a call")?);
                if !result["response"].is_object() {
                    return Err("function_response.response: should be a struct".to_owned());
                }
            }
            let mut first = true;
            for part in parts.iter().filter(|part| part["functionCall"].is_object()) {
                let call = &part["functionCall"];
                if content["role"] != "model" || !call["args"].is_object() {
                    return Err("a malformed function call".to_owned());
                }
                self.check_signature(named(&call["id"]), &part["thoughtSignature"], first)?;
                first = false;
                open.push((named(&call["id"]), named(&call["name"])));
            }
        }
        let user =
            |content: Option<&Value>| content.is_some_and(|content| content["role"] == "user");
        if !open.is_empty() || !user(contents.first()) || !user(contents.last()) {
            return Err(
                "please ensure that the conversation begins and ends with a user turn".into(),
            );
        }
        Ok(())
    }

    fn check_signature(&self, id: &str, signature: &Value, first: bool) -> Result<(), String> {
        let own = self.signed.lock().unwrap().contains(id);
        let right = match signature.as_str() {
            Some(signature) if own => signature == format!("signature of {id}"),
            Some(signature) => signature == "skip_thought_signature_validator",
            None => !first,
        };
        if right {
            Ok(())
        } else {
            Err(format!("Function call {id} is missing a thought_signature"))
        }
    }

    fn calls(&self, functions: &[String]) -> Vec<Value> {
        let id = "fc_a";
        self.signed.lock().unwrap().insert(id.to_owned());
        vec![
            json!({
                "functionCall": { "id": id, "name": functions[0], "args": { "city": "Bern" } },
                "thoughtSignature": format!("signature of {id}")
            }),
            json!({ "functionCall": { "id": "fc_b", "name": functions[1], "args": {} } }),
        ]
    }
}

fn named(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn unknown(key: &str) -> Refusal {
    let message = format!("Invalid JSON payload received. Unknown name \"{key}\"");
    invalid(&message)
}

fn check_schema(schema: &Value) -> Result<(), Refusal> {
    for (key, value) in schema.as_object().into_iter().flatten() {
        if !SCHEMA.contains(&key.as_str()) {
            return Err(unknown(key));
        }
        match key.as_str() {
            "items" => check_schema(value)?,
            "properties" => {
                for property in value.as_object().into_iter().flatten() {
                    check_schema(property.1)?;
                }
            }
            "anyOf" => {
                for choice in value.as_array().into_iter().flatten() {
                    check_schema(choice)?;
                }
            }
            "type" if !value.is_string() => return Err(invalid("Proto field is not repeating")),
            _ => {}
        }
    }
    Ok(())
}

fn last_words(body: &Value) -> String {
    let contents = body["contents"].as_array().into_iter().flatten();
    let parts = contents.last().and_then(|last| last["parts"].as_array());
    let mut words = parts
        .into_iter()
        .flatten()
        .filter_map(|part| part["text"].as_str());
    words.next_back().unwrap_or_default().to_owned()
}

fn chunk(parts: &[Value], finish: Option<&str>) -> Value {
    let mut candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": 0 });
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    json!({ "candidates": [candidate], "modelVersion": MODEL, "responseId": "r1" })
}

fn event(chunk: &Value) -> String {
    format!("data: {chunk}\r\n\r\n")
}
