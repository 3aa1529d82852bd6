//! Ollama's own protocol (<https://docs.ollama.com/api/chat>).
//! Started by the tests through [`super::Fake`]; behind a key, as the vendor's hosted models are.
//! Never lenient: what its JSON reader cannot take is refused here.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    Arrived, Asked, Dialect, KEY, MODEL, PROMPT_TOKENS, Refusal, Request, Said, Script,
    fault::wrong_key, invalid, refusal,
};

pub(crate) struct Ollama;

impl Dialect for Ollama {
    fn base(&self) -> &'static str {
        ""
    }

    fn content_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn read(&self, arrived: &Arrived<'_>) -> Result<Request, Refusal> {
        if arrived.header("authorization") != Some(&format!("Bearer {KEY}")) {
            return Err(wrong_key());
        }
        match (&arrived.method, arrived.target) {
            (&Method::GET, "/api/tags") => return Ok(Request::Check),
            (&Method::POST, "/api/chat") => {}
            _ => return Err(refusal(404, "", "404 page not found")),
        }
        let body = arrived.body;
        if body["model"] != MODEL {
            return Err(refusal(404, "", "model does not exist"));
        }
        let messages = body["messages"]
            .as_array()
            .ok_or_else(|| invalid("messages"))?;
        if messages.is_empty() {
            return Ok(Request::Check);
        }
        if body["stream"] != true {
            return Err(invalid("this server only streams"));
        }
        for message in messages {
            check_message(message).map_err(invalid)?;
        }
        let options = &body["options"];
        let misplaced = ["num_predict", "temperature", "max_tokens"];
        if misplaced.iter().any(|key| !body[*key].is_null()) {
            return Err(invalid("options belong into options"));
        }
        let tools = body["tools"].as_array().into_iter().flatten();
        let functions = tools.filter_map(|tool| tool["function"]["name"].as_str());
        let last = messages
            .last()
            .map_or(&Value::Null, |last| &last["content"]);
        Ok(Request::Question(Asked {
            words: last.as_str().unwrap_or_default().to_owned(),
            functions: functions.map(str::to_owned).collect(),
            limit: options["num_predict"].as_u64().map(|limit| limit as usize),
        }))
    }

    fn refuse(&self, refusal: &Refusal) -> (u16, Value) {
        (refusal.status, json!({ "error": refusal.message }))
    }

    fn answer(&self, said: &Said<'_>) -> Script {
        let said_: Vec<String>;
        let (reason, output) = match said {
            Said::Words { words, cut } => {
                let lines = words
                    .iter()
                    .map(|word| line(&json!({ "role": "assistant", "content": word })));
                said_ = lines.collect();
                (if *cut { "length" } else { "stop" }, words.len())
            }
            Said::Calls(functions) => {
                let call = |index: usize, arguments: Value| {
                    let name = &functions[index];
                    json!({
                        "id": format!("call_{index}"),
                        "function": { "index": index, "name": name, "arguments": arguments }
                    })
                };
                let first = call(0, json!({ "city": "Bern" }));
                let second = call(1, json!({}));
                said_ = [first, second]
                    .map(|call| {
                        line(&json!({ "role": "assistant", "content": "", "tool_calls": [call] }))
                    })
                    .into();
                ("stop", 9)
            }
        };
        let (prompt, cached) = PROMPT_TOKENS;
        let end = json!({
            "model": MODEL, "created_at": "2026-11-21T10:00:00Z",
            "message": { "role": "assistant", "content": "" },
            "done": true, "done_reason": reason, "total_duration": 1, "load_duration": 1,
            "prompt_eval_count": prompt, "prompt_eval_cached_count": cached,
            "prompt_eval_duration": 1, "eval_count": output, "eval_duration": 1
        });
        Script {
            before: Vec::new(),
            said: said_,
            after: vec![format!("{end}\n")],
        }
    }

    fn malformed(&self) -> String {
        "{\"message\":{\"role\"\n".to_owned()
    }

    fn bare_end(&self) -> Option<String> {
        Some("{\"done\":true}\n".to_owned())
    }
}

/// What its JSON reader insists on.
fn check_message(message: &Value) -> Result<(), &'static str> {
    let role = message["role"].as_str().unwrap_or_default();
    if !["system", "user", "assistant", "tool"].contains(&role) || !message["content"].is_string() {
        return Err("invalid role");
    }
    if role == "tool" && !message["tool_name"].is_string() {
        return Err("a result needs the name of its function");
    }
    for image in message["images"].as_array().into_iter().flatten() {
        if image
            .as_str()
            .is_none_or(|image| image.starts_with("data:"))
        {
            return Err("illegal base64 data at input byte 4");
        }
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        if !call["function"]["arguments"].is_object() {
            return Err("json: cannot unmarshal string into Go struct field arguments");
        }
    }
    Ok(())
}

fn line(message: &Value) -> String {
    let line = json!({
        "model": MODEL, "created_at": "2026-11-21T10:00:00Z", "message": message, "done": false
    });
    format!("{line}\n")
}
