//! The app voice socket in the AsyncAPI document.
//! Called by `crate::asyncapi` when the document is made.
//! Never lists a server message by hand: a new variant appears by itself.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::{MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, ServerMessage, SessionStart};

/// What the client sends beside `session_start` and sound, and what that means.
const CONTROL: [(&str, &str); 5] = [
    (
        "ping",
        "Asks for a `pong`; answered before a session has begun as well.",
    ),
    ("mute", "From now on nothing is heard."),
    ("unmute", "From now on it is heard again."),
    ("interrupt", "Whoever speaks is to stop."),
    ("session_end", "The session is over."),
];

/// Adds the channel, its operations and its messages.
pub(crate) fn extend(document: &mut Value) {
    let mut schemas = Vec::new();
    ServerMessage::schemas(&mut schemas);
    SessionStart::schemas(&mut schemas);
    let (client, server) = (client(), server());
    let listed = |messages: &[(String, Value)]| -> Vec<Value> {
        let reference = |(name, _): &(String, Value)| json!({ "$ref": format!("#/channels/voice/messages/{name}") });
        messages.iter().map(reference).collect()
    };
    let (receive, send) = (listed(&client), listed(&server));
    let all = client.iter().chain(&server);
    let of_channel: Map<String, Value> = all
        .map(|(name, _)| {
            let reference = json!({ "$ref": format!("#/components/messages/{name}") });
            (name.clone(), reference)
        })
        .collect();
    document["channels"]["voice"] = json!({
        "address": "/voice",
        "description": "The app voice socket. Control is JSON in text frames; the caller's sound is signed 16-bit \
            little-endian PCM at 16 kHz, one channel, in binary frames. Also at `/api/voice-v2`, and at every path of a \
            listener of the profile `voice`.",
        "messages": of_channel,
        "bindings": { "ws": { "method": "GET", "query": { "type": "object", "properties": {
            "token": { "type": "string", "description": "The token, where the first message has none." },
        } } } },
    });
    document["operations"]["voice_receive"] = operation(
        "receive",
        "What the app sends to the voice socket.",
        &receive,
    );
    document["operations"]["voice_send"] =
        operation("send", "What the voice socket sends to the app.", &send);
    for (name, message) in client.into_iter().chain(server) {
        document["components"]["messages"][name] = message;
    }
    for (name, schema) in schemas {
        document["components"]["schemas"][name] = json!(schema);
    }
}

fn operation(action: &str, summary: &str, messages: &[Value]) -> Value {
    json!({
        "action": action,
        "summary": summary,
        "channel": { "$ref": "#/channels/voice" },
        "messages": messages,
    })
}

fn client() -> Vec<(String, Value)> {
    let mut start = json!(SessionStart::schema());
    tag(&mut start, "session_start");
    let mut messages = vec![message(
        "client",
        "session_start",
        "Who is there, and what it wants.",
        &start,
    )];
    for (kind, summary) in CONTROL {
        let mut payload = json!({ "type": "object" });
        tag(&mut payload, kind);
        messages.push(message("client", kind, summary, &payload));
    }
    let sound = json!({
        "name": "audio",
        "summary": "Sound of the caller, in a binary frame.",
        "contentType": "application/octet-stream",
        "payload": { "type": "string", "format": "binary",
            "minLength": MIN_CHUNK_BYTES, "maxLength": MAX_CHUNK_BYTES },
    });
    messages.push(("voice_client_audio".to_owned(), sound));
    messages
}

/// One message per variant, with the fields that the writer adds to each.
fn server() -> Vec<(String, Value)> {
    let mut events = json!(ServerMessage::schema());
    let variants = match events["oneOf"].take() {
        Value::Array(variants) => variants,
        _ => Vec::new(),
    };
    let named = |mut payload: Value| {
        let kind = payload["properties"]["type"]["enum"][0]
            .as_str()?
            .to_owned();
        let summary = payload["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        payload["properties"]["sessionId"] =
            json!({ "type": "string", "description": "The session, a UUID." });
        payload["properties"]["timestamp"] =
            json!({ "type": "integer", "description": "When, in ms since 1970." });
        if let Some(required) = payload["required"].as_array_mut() {
            required.extend(["sessionId".into(), "timestamp".into()]);
        }
        Some(message("server", &kind, &summary, &payload))
    };
    variants.into_iter().filter_map(named).collect()
}

fn tag(payload: &mut Value, kind: &str) {
    payload["properties"]["type"] = json!({ "type": "string", "enum": [kind] });
    payload["required"] = json!(["type"]);
}

fn message(side: &str, kind: &str, summary: &str, payload: &Value) -> (String, Value) {
    let message = json!({ "name": kind, "summary": summary, "payload": payload });
    (format!("voice_{side}_{kind}"), message)
}
