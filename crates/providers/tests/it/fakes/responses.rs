//! The Responses API (<https://developers.openai.com/api/reference/resources/responses/methods/create>).
//! Started by the tests through [`super::Fake`].
//! Never lenient: what the vendor answers with 400 is refused here.

use std::collections::HashSet;

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    Arrived, Asked, Dialect, KEY, MODEL, PROMPT_TOKENS, Refusal, Request, Said, Script,
    fault::wrong_key, invalid, refusal,
};

pub(crate) struct Responses;

impl Dialect for Responses {
    fn base(&self) -> &'static str {
        "/v1"
    }

    fn content_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    fn read(&self, arrived: &Arrived<'_>) -> Result<Request, Refusal> {
        if arrived.header("authorization") != Some(&format!("Bearer {KEY}")) {
            return Err(wrong_key());
        }
        match (&arrived.method, arrived.target) {
            (&Method::GET, "/models") => return Ok(Request::Check),
            (&Method::POST, "/responses") => {}
            _ => return Err(refusal(404, "unknown_url", "Unknown request URL")),
        }
        let body = arrived.body;
        if arrived.header("content-type") != Some("application/json") || !body.is_object() {
            return Err(invalid("could not parse the JSON body"));
        }
        if body["model"] != MODEL {
            return Err(refusal(404, "model_not_found", "The model does not exist"));
        }
        if body["stream"] != true || body["store"] != false {
            return Err(invalid("this server only streams, and stores nothing"));
        }
        let limit = body["max_output_tokens"].as_u64();
        if limit.is_some_and(|limit| limit < 16) {
            return Err(refusal(
                400,
                "integer_below_min_value",
                "Invalid 'max_output_tokens'",
            ));
        }
        let allowed = ["none", "minimal", "low", "medium", "high", "xhigh"];
        let effort = &body["reasoning"]["effort"];
        if effort
            .as_str()
            .is_some_and(|effort| !allowed.contains(&effort))
        {
            return Err(invalid("Invalid value: 'reasoning.effort'"));
        }
        check_input(&body["input"]).map_err(|message| invalid(&message))?;
        let mut functions = Vec::new();
        for tool in body["tools"].as_array().into_iter().flatten() {
            // flat, unlike in chat completions
            match (&tool["type"], tool["name"].as_str()) {
                (kind, Some(name)) if kind == "function" && tool["parameters"].is_object() => {
                    functions.push(name.to_owned());
                }
                _ => return Err(invalid("Missing required parameter: 'tools[0].name'")),
            }
        }
        Ok(Request::Question(Asked {
            words: last_words(body),
            functions,
            limit: limit.map(|limit| limit as usize),
        }))
    }

    fn refuse(&self, refusal: &Refusal) -> (u16, Value) {
        let (code, message) = (refusal.what, &refusal.message);
        let error = json!({ "message": message, "type": code, "code": code, "param": null });
        let status = if refusal.status == 402 {
            429
        } else {
            refusal.status
        };
        (status, json!({ "error": error }))
    }

    fn answer(&self, said: &Said<'_>) -> Script {
        let mut parts = vec![
            json!({ "type": "response.created", "response": response("in_progress") }),
            json!({ "type": "response.in_progress", "response": response("in_progress") }),
        ];
        let (words, end) = match said {
            Said::Words { words, cut } => {
                let item = json!({
                    "type": "message", "id": "msg_1", "status": "in_progress",
                    "role": "assistant", "content": []
                });
                let part = json!({ "type": "output_text", "text": "", "annotations": [] });
                parts.push(added(0, &item));
                parts.push(json!({
                    "type": "response.content_part.added", "item_id": "msg_1",
                    "output_index": 0, "content_index": 0, "part": part
                }));
                let deltas: Vec<Value> = words
                    .iter()
                    .map(|word| {
                        json!({
                            "type": "response.output_text.delta", "item_id": "msg_1",
                            "output_index": 0, "content_index": 0, "delta": word, "logprobs": []
                        })
                    })
                    .collect();
                let text = json!({
                    "type": "response.output_text.done", "item_id": "msg_1",
                    "output_index": 0, "content_index": 0, "text": words.concat()
                });
                let reason = cut.then_some("max_output_tokens");
                (deltas, vec![text, ended(reason, words.len())])
            }
            Said::Calls(functions) => (calls(functions), vec![ended(None, 9)]),
        };
        // numbered from the first to the last
        let (before, said) = (parts.len(), parts.len() + words.len());
        let mut events: Vec<String> = [parts, words, end]
            .concat()
            .into_iter()
            .enumerate()
            .map(|(number, mut body)| {
                body["sequence_number"] = json!(number);
                event(&body)
            })
            .collect();
        let after = events.split_off(said);
        let said = events.split_off(before);
        Script {
            before: events,
            said,
            after,
        }
    }

    fn malformed(&self) -> String {
        "event: response.output_text.delta\ndata: {\"type\":\"response.out\n\n".to_owned()
    }

    fn bare_end(&self) -> Option<String> {
        None
    }
}

/// Every call has its output behind it, and every output its call before it.
fn check_input(input: &Value) -> Result<(), String> {
    let items = input.as_array().filter(|items| !items.is_empty());
    let items = items.ok_or("one of 'input' or 'previous_response_id' must be provided")?;
    let mut open: HashSet<&str> = HashSet::new();
    let mut answered: HashSet<&str> = HashSet::new();
    for item in items {
        match item["type"].as_str() {
            Some("function_call") => {
                let arguments = item["arguments"].as_str().unwrap_or_default();
                if serde_json::from_str::<Value>(arguments).is_err() || !item["name"].is_string() {
                    return Err("a malformed call".to_owned());
                }
                open.insert(item["call_id"].as_str().ok_or("a call without an id")?);
            }
            Some("function_call_output") => {
                let id = item["call_id"].as_str().unwrap_or_default();
                if !open.remove(id) || !answered.insert(id) || !item["output"].is_string() {
                    return Err(format!("no tool call found for call_id {id}"));
                }
            }
            None => {
                let role = item["role"].as_str().unwrap_or_default();
                let known = ["user", "assistant", "system", "developer"].contains(&role);
                let parts = item["content"].as_array().into_iter().flatten();
                let kinds = ["input_text", "input_image"];
                let mut kind = parts.map(|part| part["type"].as_str().unwrap_or_default());
                if !known || item["content"].is_null() || kind.any(|kind| !kinds.contains(&kind)) {
                    return Err(format!("a malformed message of {role}"));
                }
            }
            Some(other) => return Err(format!("unknown item {other}")),
        }
    }
    match open.iter().next() {
        Some(id) => Err(format!("no tool output found for function call {id}")),
        None => Ok(()),
    }
}

fn last_words(body: &Value) -> String {
    let items = body["input"].as_array().into_iter().flatten();
    let last = items.last().map_or(&Value::Null, |last| &last["content"]);
    match last {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap_or_default().to_owned(),
    }
}

fn response(status: &str) -> Value {
    json!({
        "id": "resp_1", "object": "response", "status": status, "model": MODEL, "output": [],
        "error": null, "incomplete_details": null, "usage": null, "store": false
    })
}

fn added(index: usize, item: &Value) -> Value {
    json!({ "type": "response.output_item.added", "output_index": index, "item": item })
}

fn ended(incomplete: Option<&str>, output: usize) -> Value {
    let (prompt, cached) = PROMPT_TOKENS;
    let status = if incomplete.is_some() {
        "incomplete"
    } else {
        "completed"
    };
    let mut response = response(status);
    response["usage"] = json!({
        "input_tokens": prompt, "input_tokens_details": { "cached_tokens": cached },
        "output_tokens": output, "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": prompt as usize + output
    });
    if let Some(reason) = incomplete {
        response["incomplete_details"] = json!({ "reason": reason });
    }
    json!({ "type": format!("response.{status}"), "response": response })
}

fn calls(functions: &[String]) -> Vec<Value> {
    let item = |id: &str, name: &str, arguments: &str| {
        json!({
            "type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"),
            "name": name, "arguments": arguments, "status": "in_progress"
        })
    };
    let more = |index: usize, part: &str| {
        json!({
            "type": "response.function_call_arguments.delta", "item_id": "fc",
            "output_index": index, "delta": part
        })
    };
    let done = |index: usize, item: Value| json!({ "type": "response.output_item.done", "output_index": index, "item": item });
    vec![
        added(0, &item("a", &functions[0], "")),
        more(0, "{\"city\":"),
        added(1, &item("b", &functions[1], "")),
        more(1, "{}"),
        more(0, "\"Bern\"}"),
        done(0, item("a", &functions[0], "{\"city\":\"Bern\"}")),
        done(1, item("b", &functions[1], "{}")),
    ]
}

fn event(body: &Value) -> String {
    let name = body["type"].as_str().unwrap();
    format!("event: {name}\ndata: {body}\n\n")
}
