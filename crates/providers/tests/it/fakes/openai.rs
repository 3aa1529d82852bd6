//! Chat completions (<https://developers.openai.com/api/reference/resources/chat>).
//! Started by the tests through [`super::Fake`].
//! Never more lenient than OpenAI's own server and the templates of local models together.

use std::collections::HashSet;

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    Arrived, Asked, Dialect, KEY, MODEL, PROMPT_TOKENS, Refusal, Request, Said, Script,
    fault::wrong_key, invalid, refusal,
};

pub(crate) struct OpenAi;

impl Dialect for OpenAi {
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
            (&Method::POST, "/chat/completions") => {}
            _ => return Err(refusal(404, "unknown_url", "Unknown request URL")),
        }
        if arrived.header("content-type") != Some("application/json") {
            return Err(invalid("the content type must be application/json"));
        }
        let body = arrived.body;
        if body["model"] != MODEL {
            return Err(refusal(404, "model_not_found", "The model does not exist"));
        }
        if body["stream"] != true || body["stream_options"]["include_usage"] != true {
            return Err(invalid("this server only streams, with usage"));
        }
        check_messages(&body["messages"]).map_err(|message| invalid(&message))?;
        let tools = body["tools"].as_array().into_iter().flatten();
        let functions = tools.filter_map(|tool| tool["function"]["name"].as_str());
        Ok(Request::Question(Asked {
            words: last_words(body),
            functions: functions.map(str::to_owned).collect(),
            limit: body["max_tokens"].as_u64().map(|limit| limit as usize),
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
        let (deltas, finish, output): (Vec<Value>, _, _) = match said {
            Said::Words { words, cut } => {
                let deltas = words.iter().map(|word| json!({ "content": word }));
                let finish = if *cut { "length" } else { "stop" };
                (deltas.collect(), finish, words.len())
            }
            Said::Calls(functions) => (calls(functions), "tool_calls", 9),
        };
        let (prompt, cached) = PROMPT_TOKENS;
        let usage = json!({
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt as usize + output,
            "prompt_tokens_details": { "cached_tokens": cached }
        });
        let counts = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage
        });
        Script {
            before: vec![chunk(&json!({ "role": "assistant", "content": "" }), None)],
            said: deltas.iter().map(|delta| chunk(delta, None)).collect(),
            after: vec![
                chunk(&json!({}), Some(finish)),
                format!("data: {counts}\n\n"),
                "data: [DONE]\n\n".to_owned(),
            ],
        }
    }

    fn malformed(&self) -> String {
        "data: {\"choices\":[{\"delta\"\n\n".to_owned()
    }

    fn bare_end(&self) -> Option<String> {
        Some(chunk(&json!({}), Some("stop")))
    }
}

/// System first, calls answered at once and completely, outputs only behind calls.
fn check_messages(messages: &Value) -> Result<(), String> {
    let messages = messages
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or("no messages")?;
    let mut open: HashSet<&str> = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().ok_or("a message without a role")?;
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !open.remove(id) {
                return Err(
                    "messages with role 'tool' must be a response to a preceding 'tool_calls'"
                        .to_owned(),
                );
            }
            continue;
        }
        if !open.is_empty() {
            return Err(
                "an assistant message with 'tool_calls' must be followed by tool messages"
                    .to_owned(),
            );
        }
        match role {
            "system" if index > 0 && messages[index - 1]["role"] != "system" => {
                return Err("system messages come first".to_owned());
            }
            "system" | "user" if message["content"].is_null() => {
                return Err("no content".to_owned());
            }
            "system" | "user" => {}
            "assistant" => {
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
                    if serde_json::from_str::<Value>(arguments).is_err()
                        || call["type"] != "function"
                    {
                        return Err("a malformed call".to_owned());
                    }
                    open.insert(call["id"].as_str().ok_or("a call without an id")?);
                }
            }
            other => return Err(format!("unknown role {other}")),
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err("a call without an output".to_owned())
    }
}

fn last_words(body: &Value) -> String {
    let messages = body["messages"].as_array().into_iter().flatten();
    let last = messages
        .last()
        .map_or(&Value::Null, |last| &last["content"]);
    match last {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap_or_default().to_owned(),
    }
}

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], "usage": null
    });
    format!("data: {chunk}\n\n")
}

/// Two calls whose parts come in turns.
fn calls(functions: &[String]) -> Vec<Value> {
    let start = |index: usize, id: &str| {
        json!({ "tool_calls": [{
            "index": index, "id": id, "type": "function",
            "function": { "name": functions[index], "arguments": "" }
        }] })
    };
    let more = |index: usize, part: &str| json!({ "tool_calls": [{ "index": index, "function": { "arguments": part } }] });
    vec![
        start(0, "call_a"),
        more(0, "{\"city\":"),
        start(1, "call_b"),
        more(1, "{}"),
        more(0, "\"Bern\"}"),
    ]
}
