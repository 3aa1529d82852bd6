//! The Messages API (<https://platform.claude.com/docs/en/api/messages>).
//! Started by the tests through [`super::Fake`].
//! Never lenient: what the vendor answers with 400 is refused here.

use std::collections::HashSet;

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    Arrived, Asked, Dialect, KEY, PROMPT_TOKENS, Refusal, Request, Said, Script, fault::wrong_key,
    invalid, refusal,
};

pub(crate) struct Anthropic;

/// Of a family that refuses to be told a temperature, and that thinks unless told not to.
const MODEL: &str = "claude-haiku-5-fake";
/// Blocks that may be marked to be cached, in one request.
const BREAKPOINTS: usize = 4;

impl Dialect for Anthropic {
    fn base(&self) -> &'static str {
        "/v1"
    }

    fn model(&self) -> &'static str {
        MODEL
    }

    fn content_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    fn read(&self, arrived: &Arrived<'_>) -> Result<Request, Refusal> {
        if arrived.header("x-api-key") != Some(KEY) {
            return Err(wrong_key());
        }
        if arrived.header("anthropic-version") != Some("2023-06-01") {
            return Err(invalid("anthropic-version: header is required"));
        }
        match (&arrived.method, arrived.target) {
            (&Method::GET, "/models?limit=1") => return Ok(Request::Check),
            (&Method::POST, "/messages") => {}
            _ => return Err(refusal(404, "not_found_error", "Not found")),
        }
        let body = arrived.body;
        if arrived.header("content-type") != Some("application/json") || !body.is_object() {
            return Err(invalid("the request body is not valid JSON"));
        }
        if body["model"] != MODEL {
            return Err(refusal(404, "not_found_error", "model: does not exist"));
        }
        let limit = body["max_tokens"].as_u64().filter(|limit| *limit > 0);
        let limit = limit.ok_or_else(|| invalid("max_tokens: Field required"))?;
        if body["stream"] != true {
            return Err(invalid("this server only streams"));
        }
        if !body["temperature"].is_null() {
            return Err(invalid("temperature is deprecated for this model"));
        }
        let forced = matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool"));
        if forced && body["thinking"]["type"] != "disabled" {
            return Err(invalid(
                "Thinking may not be enabled when tool_choice forces tool use.",
            ));
        }
        check_blocks(body).map_err(|message| invalid(&message))?;
        check_messages(&body["messages"]).map_err(|message| invalid(&message))?;
        Ok(Request::Question(Asked {
            words: last_words(body),
            functions: check_tools(body).map_err(|message| invalid(&message))?,
            limit: (limit < 1024).then_some(limit as usize),
        }))
    }

    fn refuse(&self, refusal: &Refusal) -> (u16, Value) {
        let what = match refusal.status {
            401 => "authentication_error",
            402 => "billing_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            500 => "api_error",
            529 => "overloaded_error",
            _ => "invalid_request_error",
        };
        let error = json!({ "type": what, "message": refusal.message });
        let body = json!({ "type": "error", "error": error, "request_id": "req_1" });
        (refusal.status, body)
    }

    fn answer(&self, said: &Said<'_>) -> Script {
        let (prompt, cached) = PROMPT_TOKENS;
        // the cached part stands apart from the rest
        let usage = json!({
            "input_tokens": 1,
            "cache_creation_input_tokens": prompt - cached - 1,
            "cache_read_input_tokens": cached,
            "output_tokens": 1
        });
        let message = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage
        });
        let mut before = vec![event(
            &json!({ "type": "message_start", "message": message }),
        )];
        let (said, reason, output) = match said {
            Said::Words { words, cut } => {
                let block = json!({ "type": "text", "text": "" });
                before.push(start(0, &block));
                before.push(event(&json!({ "type": "ping" })));
                let deltas = words
                    .iter()
                    .map(|word| delta(0, &json!({ "type": "text_delta", "text": word })));
                let reason = if *cut { "max_tokens" } else { "end_turn" };
                (deltas.collect(), reason, words.len())
            }
            Said::Calls(functions) => (calls(functions), "tool_use", 9),
        };
        let last = json!({
            "type": "message_delta",
            "delta": { "stop_reason": reason, "stop_sequence": null },
            "usage": { "output_tokens": output }
        });
        let mut after = vec![event(&last), event(&json!({ "type": "message_stop" }))];
        if reason != "tool_use" {
            after.insert(0, stop(0));
        }
        Script {
            before,
            said,
            after,
        }
    }

    fn malformed(&self) -> String {
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\n\n".to_owned()
    }

    fn bare_end(&self) -> Option<String> {
        None
    }
}

/// Roles alternate, the user begins and ends; results come first, and for the calls right before them.
fn check_messages(messages: &Value) -> Result<(), String> {
    let messages = messages.as_array().filter(|list| !list.is_empty());
    let messages = messages.ok_or("messages: at least one message is required")?;
    let mut open: HashSet<&str> = HashSet::new();
    let mut used: HashSet<&str> = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let role = ["user", "assistant"][index % 2];
        if message["role"] != role {
            return Err("messages: roles must alternate between \"user\" and \"assistant\"".into());
        }
        let blocks = message["content"]
            .as_array()
            .filter(|blocks| !blocks.is_empty());
        let blocks = blocks.ok_or("content must be non-empty")?;
        let mut words = false;
        for block in blocks {
            match (role, block["type"].as_str().unwrap_or_default()) {
                (_, "text") => {
                    words = true;
                    if block["text"]
                        .as_str()
                        .is_none_or(|text| text.trim().is_empty())
                    {
                        return Err("text content blocks must contain non-whitespace text".into());
                    }
                }
                ("user", "image") => check_image(&block["source"])?,
                ("user", "tool_result") => {
                    let id = block["tool_use_id"].as_str().unwrap_or_default();
                    if words || !open.remove(id) {
                        return Err("unexpected tool_use_id found in tool_result blocks".into());
                    }
                }
                ("assistant", "tool_use") => {
                    let id = block["id"].as_str().unwrap_or_default();
                    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                    if id.is_empty() || !id.chars().all(plain) || !used.insert(id) {
                        return Err("tool_use.id: should match a pattern and be unique".into());
                    }
                    if !block["input"].is_object() {
                        return Err("tool_use.input: should be an object".into());
                    }
                    open.insert(id);
                }
                (role, other) => return Err(format!("a block {other} of {role}")),
            }
        }
        if role == "user" && !open.is_empty() {
            return Err("`tool_use` ids were found without `tool_result` blocks".into());
        }
    }
    if messages.len() % 2 == 0 {
        return Err("the conversation must end with a user message".into());
    }
    Ok(())
}

fn check_image(source: &Value) -> Result<(), String> {
    match source["type"].as_str() {
        Some("base64") if source["media_type"].is_string() && source["data"].is_string() => Ok(()),
        Some("url") if source["url"].is_string() => Ok(()),
        _ => Err("image: a source is required".into()),
    }
}

fn check_tools(body: &Value) -> Result<Vec<String>, String> {
    let tools = body["tools"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if tools.is_empty() && !body["tool_choice"].is_null() {
        return Err("tool_choice may only be specified while providing tools".into());
    }
    tools
        .iter()
        .map(|tool| {
            let name = tool["name"].as_str().ok_or("tools: a name is required")?;
            if tool["input_schema"]["type"] != "object" {
                return Err("tools: input_schema.type: Field required".to_owned());
            }
            Ok(name.to_owned())
        })
        .collect()
}

fn check_blocks(body: &Value) -> Result<(), String> {
    let system = body["system"].as_array().into_iter().flatten();
    let tools = body["tools"].as_array().into_iter().flatten();
    let marks: Vec<&Value> = system
        .clone()
        .chain(tools)
        .map(|block| &block["cache_control"])
        .filter(|mark| !mark.is_null())
        .collect();
    if marks.len() > BREAKPOINTS || marks.iter().any(|mark| mark["type"] != "ephemeral") {
        return Err("cache_control: a maximum of 4 blocks may be provided".into());
    }
    for block in system {
        if block["type"] != "text" || block["text"].as_str().is_none_or(str::is_empty) {
            return Err("system: text content blocks must be non-empty".into());
        }
    }
    Ok(())
}

fn last_words(body: &Value) -> String {
    let messages = body["messages"].as_array().into_iter().flatten();
    let blocks = messages.last().and_then(|last| last["content"].as_array());
    let mut words = blocks
        .into_iter()
        .flatten()
        .filter_map(|block| block["text"].as_str());
    words.next_back().unwrap_or_default().to_owned()
}

fn event(body: &Value) -> String {
    let name = body["type"].as_str().unwrap();
    format!("event: {name}\ndata: {body}\n\n")
}

fn start(index: usize, block: &Value) -> String {
    event(&json!({ "type": "content_block_start", "index": index, "content_block": block }))
}

fn delta(index: usize, delta: &Value) -> String {
    event(&json!({ "type": "content_block_delta", "index": index, "delta": delta }))
}

fn stop(index: usize) -> String {
    event(&json!({ "type": "content_block_stop", "index": index }))
}

/// Blocks come one behind the other; the second call has no arguments.
fn calls(functions: &[String]) -> Vec<String> {
    let call =
        |id: &str, name: &str| json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
    let part = |json: &str| json!({ "type": "input_json_delta", "partial_json": json });
    vec![
        start(0, &call("toolu_a", &functions[0])),
        delta(0, &part("")),
        delta(0, &part("{\"city\":")),
        delta(0, &part(" \"Bern\"}")),
        stop(0),
        start(1, &call("toolu_b", &functions[1])),
        delta(1, &part("")),
        stop(1),
    ]
}
