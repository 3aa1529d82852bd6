//! The older flat shape of the protocol, translated from and to the GA shape (spec/realtime §1.12).
//! Called by the realtime edge for connections with `OpenAI-Beta: realtime=v1` and by the beta REST
//! routes; everything behind it sees GA only.
//! Never checks: what a table does not know passes through, and the decoder has the last word.

use serde_json::{Map, Value, json};

use super::fast;
use super::session::SessionKind;
use super::{ErrorBody, ServerEvent};

#[cfg(test)]
mod tests;

/// How a value changes with its name.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Same,
    Modalities,
    Format,
    Voice,
    TurnDetection,
}

/// A field of the flat shape and where GA keeps it.
struct Row {
    beta: &'static str,
    ga: &'static [&'static str],
    shape: Shape,
}

const fn row(beta: &'static str, ga: &'static [&'static str], shape: Shape) -> Row {
    Row { beta, ga, shape }
}

const SESSION: [Row; 9] = [
    row("modalities", &["output_modalities"], Shape::Modalities),
    row("voice", &["audio", "output", "voice"], Shape::Voice),
    row(
        "output_audio_format",
        &["audio", "output", "format"],
        Shape::Format,
    ),
    row("speed", &["audio", "output", "speed"], Shape::Same),
    row(
        "input_audio_format",
        &["audio", "input", "format"],
        Shape::Format,
    ),
    row(
        "input_audio_transcription",
        &["audio", "input", "transcription"],
        Shape::Same,
    ),
    row(
        "input_audio_noise_reduction",
        &["audio", "input", "noise_reduction"],
        Shape::Same,
    ),
    row(
        "turn_detection",
        &["audio", "input", "turn_detection"],
        Shape::TurnDetection,
    ),
    row(
        "max_response_output_tokens",
        &["max_output_tokens"],
        Shape::Same,
    ),
];

/// `max_output_tokens` has its GA name in beta response objects; the request used the other one.
const RESPONSE: [Row; 3] = [
    row("modalities", &["output_modalities"], Shape::Modalities),
    row("voice", &["audio", "output", "voice"], Shape::Voice),
    row(
        "output_audio_format",
        &["audio", "output", "format"],
        Shape::Format,
    ),
];

/// Beta fields without a place in GA.
const GONE: [&str; 2] = ["temperature", "client_secret"];

/// GA session fields that the beta session did not have.
const NEW: [&str; 6] = [
    "type",
    "audio",
    "truncation",
    "prompt",
    "reasoning",
    "parallel_tool_calls",
];

/// The sampling temperature echoed to beta clients: the documented default; nothing reads it.
const TEMPERATURE: f64 = 0.8;

const FORMATS: [(&str, &str); 3] = [
    ("pcm16", "audio/pcm"),
    ("g711_ulaw", "audio/pcmu"),
    ("g711_alaw", "audio/pcma"),
];

/// GA event types and what beta clients know them as; no name means that the event is not sent.
const EVENTS: [(&str, Option<&str>); 11] = [
    ("conversation.item.added", Some("conversation.item.created")),
    ("conversation.item.done", None),
    ("response.output_text.delta", Some("response.text.delta")),
    ("response.output_text.done", Some("response.text.done")),
    ("response.output_audio.delta", Some("response.audio.delta")),
    ("response.output_audio.done", Some("response.audio.done")),
    (
        "response.output_audio_transcript.delta",
        Some("response.audio_transcript.delta"),
    ),
    (
        "response.output_audio_transcript.done",
        Some("response.audio_transcript.done"),
    ),
    ("input_audio_buffer.timeout_triggered", None),
    ("input_audio_buffer.dtmf_event_received", None),
    ("conversation.item.input_audio_transcription.segment", None),
];

/// A client event of the beta shape as the GA event it means. GA fields that are already there
/// stay, so a client that mixes the shapes is understood.
pub fn client_to_ga(mut event: Value) -> Value {
    let Some(fields) = event.as_object_mut() else {
        return event;
    };
    match fields.get("type").and_then(Value::as_str) {
        Some("session.update") => in_place(fields, "session", |session| {
            session_to_ga(session, SessionKind::Realtime)
        }),
        Some("transcription_session.update") => {
            fields.insert("type".to_owned(), "session.update".into());
            in_place(fields, "session", |session| {
                session_to_ga(session, SessionKind::Transcription)
            });
        }
        Some("conversation.item.create") => in_place(fields, "item", item_to_ga),
        Some("response.create") => in_place(fields, "response", response_to_ga),
        _ => {}
    }
    event
}

/// A flat session request as a GA one of this kind; also for `POST /v1/realtime/sessions` and
/// `/v1/realtime/transcription_sessions`.
pub fn session_to_ga(session: Value, kind: SessionKind) -> Value {
    let Value::Object(mut session) = session else {
        return session;
    };
    unflatten(&mut session, &SESSION);
    tools_to_ga(&mut session);
    if kind == SessionKind::Transcription {
        // the flat transcription session lists modalities, which never had an effect
        session.remove("output_modalities");
    }
    session.entry("type").or_insert_with(|| json!(kind));
    Value::Object(session)
}

/// A GA session object as the flat one, without `client_secret`, which only the REST answer has.
pub fn session_to_beta(session: Value) -> Value {
    let Value::Object(mut session) = session else {
        return session;
    };
    let conversation = session.get("type").and_then(Value::as_str) != Some("transcription");
    flatten(&mut session, &SESSION);
    for key in NEW {
        session.remove(key);
    }
    if conversation {
        session.remove("include");
        session.insert("temperature".to_owned(), TEMPERATURE.into());
    }
    // a tool by name was a bare string
    in_place(&mut session, "tool_choice", |choice| {
        match choice.get("name") {
            Some(name) => name.clone(),
            None => choice,
        }
    });
    Value::Object(session)
}

/// A GA server event, as sent, in the beta shape: zero, one or two events in order.
pub fn server_to_beta(mut event: Value) -> Vec<Value> {
    let Some(fields) = event.as_object_mut() else {
        return vec![event];
    };
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("");
    let kind = kind.to_owned();
    let renamed = EVENTS.iter().find(|(ga, _)| *ga == kind);
    match renamed {
        Some((_, None)) => return Vec::new(),
        Some((_, Some(name))) => {
            fields.insert("type".to_owned(), (*name).into());
        }
        None => {}
    }
    in_place(fields, "item", item_to_beta);
    in_place(fields, "response", response_to_beta);
    match kind.as_str() {
        "session.created" => {
            let created = conversation_created(fields);
            in_place(fields, "session", session_to_beta);
            return vec![event, created];
        }
        "session.updated" => {
            let kind = fields
                .get("session")
                .and_then(|session| session.get("type"));
            if kind.is_some_and(|kind| kind == "transcription") {
                fields.insert("type".to_owned(), "transcription_session.updated".into());
            }
            in_place(fields, "session", session_to_beta);
        }
        "response.function_call_arguments.done" => {
            fields.remove("name");
        }
        "error" => in_place(fields, "error", error_to_beta),
        _ => {}
    }
    vec![event]
}

/// The frames of one server event for a beta client, in order.
pub fn write_events(event: &ServerEvent, event_id: &str) -> Vec<String> {
    let mut text = String::new();
    fast::write_event(event, event_id, &mut text);
    // through the text, because a `Value` made from the event would widen every f32
    match serde_json::from_str(&text) {
        Ok(event) => server_to_beta(event).iter().map(Value::to_string).collect(),
        Err(_) => vec![text],
    }
}

/// `conversation.created`, which beta clients were told right after `session.created`.
fn conversation_created(session_created: &Map<String, Value>) -> Value {
    let id = session_created.get("event_id").and_then(Value::as_str);
    json!({
        "type": "conversation.created",
        "event_id": format!("{}_conversation", id.unwrap_or("event")),
        "conversation": { "object": "realtime.conversation" },
    })
}

/// Replaces the value of `key`, when it is there.
fn in_place(fields: &mut Map<String, Value>, key: &str, change: impl FnOnce(Value) -> Value) {
    if let Some(value) = fields.get_mut(key) {
        *value = change(value.take());
    }
}

fn unflatten(fields: &mut Map<String, Value>, table: &[Row]) {
    for key in GONE {
        fields.remove(key);
    }
    for row in table {
        if let Some(value) = fields.remove(row.beta) {
            insert_at(fields, row.ga, to_ga(row.shape, value));
        }
    }
}

fn flatten(fields: &mut Map<String, Value>, table: &[Row]) {
    for row in table {
        if let Some(value) = take_at(fields, row.ga) {
            fields.insert(row.beta.to_owned(), to_beta(row.shape, value));
        }
    }
}

/// Puts `value` at `path`, making the objects on the way. What is there and not an object stays.
fn insert_at(fields: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => {
            fields.insert((*key).to_owned(), value);
        }
        [key, rest @ ..] => {
            let inner = fields.entry(*key).or_insert_with(|| json!({}));
            if let Some(inner) = inner.as_object_mut() {
                insert_at(inner, rest, value);
            }
        }
    }
}

/// Takes the value at `path`, leaving the objects on the way.
fn take_at(fields: &mut Map<String, Value>, path: &[&str]) -> Option<Value> {
    match path {
        [] => None,
        [key] => fields.remove(*key),
        [key, rest @ ..] => take_at(fields.get_mut(*key)?.as_object_mut()?, rest),
    }
}

fn to_ga(shape: Shape, value: Value) -> Value {
    match (shape, value) {
        (Shape::Modalities, Value::Array(list)) if list.contains(&json!("audio")) => {
            // text came along with every spoken answer
            list.into_iter().filter(|m| m != "text").collect()
        }
        (Shape::Format, Value::String(name)) => {
            let known = FORMATS.iter().find(|(beta, _)| *beta == name);
            match known {
                Some((_, "audio/pcm")) => json!({ "type": "audio/pcm", "rate": 24_000 }),
                Some((_, ga)) => json!({ "type": ga }),
                None => json!({ "type": name }),
            }
        }
        (_, value) => value,
    }
}

fn to_beta(shape: Shape, mut value: Value) -> Value {
    match shape {
        Shape::Same => {}
        Shape::Modalities => {
            if value == json!(["audio"]) {
                return json!(["audio", "text"]);
            }
        }
        Shape::Format => {
            if let Some((beta, _)) = FORMATS.iter().find(|(_, ga)| value["type"] == *ga) {
                return (*beta).into();
            }
        }
        Shape::Voice => {
            if let Some(id) = value.get("id") {
                return id.clone();
            }
        }
        Shape::TurnDetection => {
            if let Some(fields) = value.as_object_mut() {
                fields.remove("idle_timeout_ms");
            }
        }
    }
    value
}

fn tools_to_ga(fields: &mut Map<String, Value>) {
    in_place(fields, "tool_choice", |choice| match choice.as_str() {
        None | Some("none" | "auto" | "required") => choice,
        Some(name) => json!({ "type": "function", "name": name }),
    });
    let tools = fields.get_mut("tools").and_then(Value::as_array_mut);
    for tool in tools.into_iter().flatten() {
        if let Some(tool) = tool.as_object_mut() {
            tool.entry("type").or_insert_with(|| "function".into());
        }
    }
}

fn response_to_ga(response: Value) -> Value {
    let Value::Object(mut response) = response else {
        return response;
    };
    unflatten(&mut response, &RESPONSE);
    if let Some(limit) = response.remove("max_response_output_tokens") {
        response.insert("max_output_tokens".to_owned(), limit);
    }
    tools_to_ga(&mut response);
    in_place(&mut response, "input", |input| each(input, item_to_ga));
    Value::Object(response)
}

fn response_to_beta(response: Value) -> Value {
    let Value::Object(mut response) = response else {
        return response;
    };
    flatten(&mut response, &RESPONSE);
    response.remove("audio");
    response.insert("temperature".to_owned(), TEMPERATURE.into());
    in_place(&mut response, "output", |output| each(output, item_to_beta));
    // counted since GA
    let usage = response.get_mut("usage");
    if let Some(input) = usage.and_then(|usage| usage.get_mut("input_token_details"))
        && let Some(input) = input.as_object_mut()
    {
        input.remove("image_tokens");
        input.remove("cached_tokens_details");
    }
    Value::Object(response)
}

fn each(mut list: Value, change: impl Fn(Value) -> Value) -> Value {
    if let Some(list) = list.as_array_mut() {
        for element in list {
            *element = change(element.take());
        }
    }
    list
}

fn item_to_ga(mut item: Value) -> Value {
    let assistant = item.get("role").and_then(Value::as_str) == Some("assistant");
    rename_parts(&mut item, |kind| match (kind, assistant) {
        ("text", true) => Some("output_text"),
        ("text", false) => Some("input_text"),
        ("audio", true) => Some("output_audio"),
        ("audio", false) => Some("input_audio"),
        _ => None,
    });
    item
}

fn item_to_beta(mut item: Value) -> Value {
    rename_parts(&mut item, |kind| match kind {
        "output_text" => Some("text"),
        "output_audio" => Some("audio"),
        _ => None,
    });
    item
}

fn rename_parts(item: &mut Value, rename: impl Fn(&str) -> Option<&'static str>) {
    let parts = item.get_mut("content").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten() {
        if let Some(kind) = part.get_mut("type")
            && let Some(renamed) = kind.as_str().and_then(&rename)
        {
            *kind = renamed.into();
        }
    }
}

/// The `error` object of an event, with the parameter as the client wrote it.
fn error_to_beta(error: Value) -> Value {
    match serde_json::from_value::<ErrorBody>(error.clone()) {
        Ok(body) => json!(flat_error(body)),
        Err(_) => error,
    }
}

/// The error with the parameter named as in the flat shape, in `param` and in the message.
pub fn flat_error(mut error: ErrorBody) -> ErrorBody {
    let Some(param) = error.param.as_deref() else {
        return error;
    };
    let (root, table): (&str, &[Row]) = match param.split('.').next() {
        Some("session") => ("session", &SESSION),
        Some("response") => ("response", &RESPONSE),
        _ => return error,
    };
    let renamed = table.iter().find_map(|row| {
        let ga = format!("{root}.{}", row.ga.join("."));
        let rest = param.strip_prefix(&ga)?;
        let whole = rest.is_empty() || rest.starts_with(['.', '[']);
        whole.then(|| (format!("{root}.{}{rest}", row.beta), param.to_owned()))
    });
    if let Some((beta, ga)) = renamed {
        error.message = error.message.replacen(&ga, &beta, 1);
        error.param = Some(beta);
    }
    error
}
