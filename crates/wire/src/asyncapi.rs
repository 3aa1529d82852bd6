//! The AsyncAPI 3.0 document of all doors: `/v1/realtime`, made from the schemas of its message types, and what the others add.
//! Served at `/asyncapi.json` and written to `docs/generated` by `cargo xtask generate`.
//! Never lists a message by hand: a new variant of the event types appears by itself.

mod survey;

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::realtime::ServerEvent;
use crate::realtime::client::schema::ClientEventSchema;

/// The one server event without an `event_id` (spec/realtime §1.1).
const WITHOUT_EVENT_ID: &str = "input_audio_buffer.dtmf_event_received";

/// The whole document; deterministic, so that it can be committed and compared.
pub fn document() -> Value {
    let mut schemas = Vec::new();
    ServerEvent::schemas(&mut schemas);
    ClientEventSchema::schemas(&mut schemas);
    let schemas: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, schema)| (name, json!(schema)))
        .collect();
    let client = messages(&ClientEventSchema::schema(), "client");
    let server = messages(&ServerEvent::schema(), "server");
    let listed = |messages: &[(String, Value)], at: &str| -> Vec<Value> {
        let reference = |(name, _): &(String, Value)| json!({ "$ref": format!("{at}/{name}") });
        messages.iter().map(reference).collect()
    };
    let in_channel = "#/channels/realtime/messages";
    let receive = listed(&client, in_channel);
    let send = listed(&server, in_channel);
    let mut all: Map<String, Value> = client.into_iter().chain(server).collect();
    let of_channel: Map<String, Value> = all
        .keys()
        .map(|name| {
            (
                name.clone(),
                json!({ "$ref": format!("#/components/messages/{name}") }),
            )
        })
        .collect();
    all.extend(survey::messages());
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Antiphon",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Live conversations over WebSockets, a channel a door: `realtime` in the GA shape of the \
                OpenAI Realtime API (every frame is one JSON object with a `type`; the server speaks first, with \
                `session.created`; clients that send `OpenAI-Beta: realtime=v1` get the older flat shape), `voice` for \
                apps, `chat` for rooms, `survey` in plain text, and `telephone_...` for each dialect of carriers.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:8080",
                "protocol": "ws",
                "security": [{ "$ref": "#/components/securitySchemes/bearer" }],
            },
        },
        "channels": { "realtime": channel(&of_channel), "survey": survey::channel() },
        "operations": {
            "receive": operation("receive", "What the client sends.", &receive),
            "send": operation("send", "What the server sends.", &send),
            "receive_survey": survey::receive(),
            "send_survey": survey::send(),
        },
        "components": {
            "messages": all,
            "schemas": schemas,
            "securitySchemes": { "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key or a client secret. Browsers send it as the subprotocol \
                    `openai-insecure-api-key.<key>` beside `realtime`.",
            } },
        },
    });
    crate::voice::extend(&mut document);
    crate::chat::extend(&mut document);
    crate::telephony::asyncapi::extend(&mut document);
    document
}

fn channel(messages: &Map<String, Value>) -> Value {
    json!({
        "address": "/v1/realtime",
        "messages": messages,
        "bindings": { "ws": {
            "method": "GET",
            "query": { "type": "object", "properties": {
                "model": { "type": "string", "description": "Model, or an alias of one." },
                "intent": {
                    "type": "string",
                    "enum": ["transcription"],
                    "description": "Asks for a session that listens only.",
                },
            } },
        } },
    })
}

fn operation(action: &str, summary: &str, messages: &[Value]) -> Value {
    json!({
        "action": action,
        "summary": summary,
        "channel": { "$ref": "#/channels/realtime" },
        "messages": messages,
    })
}

/// One message per variant of a tagged enum's schema, named `client.…` or `server.…` and the type
/// with underscores, because some types occur on both sides and dots are not allowed in names.
fn messages(events: &RefOr<Schema>, side: &str) -> Vec<(String, Value)> {
    let mut events = json!(events);
    let variants = match events["oneOf"].take() {
        Value::Array(variants) => variants,
        _ => Vec::new(),
    };
    variants
        .into_iter()
        .filter_map(|mut payload| {
            let kind = payload["properties"]["type"]["enum"][0]
                .as_str()?
                .to_owned();
            let summary = payload.get("description").cloned();
            if side == "server" && kind != WITHOUT_EVENT_ID {
                add_event_id(&mut payload);
            }
            let message = json!({
                "name": kind,
                "summary": summary.unwrap_or_default(),
                "payload": payload,
            });
            Some((format!("{side}_{}", kind.replace('.', "_")), message))
        })
        .collect()
}

/// The writer adds `event_id` to every server event, so it is not in their types.
fn add_event_id(payload: &mut Value) {
    payload["properties"]["event_id"] =
        json!({ "type": "string", "description": "Unique id of this event." });
    if let Some(required) = payload["required"].as_array_mut() {
        required.insert(0, "event_id".into());
    }
}
