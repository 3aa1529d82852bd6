//! The chat rooms' part of the AsyncAPI document, made from the schemas of their messages.
//! Called by [`crate::asyncapi`].
//! Never lists a message by hand.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::{ChatClientMessage, ChatServerMessage};

/// What other publishers say in a room.
const FOREIGN: &str = "chat_server_foreign";

/// Adds the channel, its operations, messages and schemas.
pub(crate) fn extend(document: &mut Value) {
    let mut schemas = Vec::new();
    ChatClientMessage::schemas(&mut schemas);
    ChatServerMessage::schemas(&mut schemas);
    for (name, schema) in schemas {
        document["components"]["schemas"][name] = json!(schema);
    }
    let client = add(document, &json!(ChatClientMessage::schema()), "chat_client");
    for name in &client {
        let payload = &mut document["components"]["messages"][name]["payload"];
        // a variant around a struct keeps its own members beside those of the struct
        let own = if payload["allOf"].is_array() {
            &mut payload["allOf"][1]
        } else {
            payload
        };
        own["properties"]["chatId"] = json!({ "type": "string",
            "description": "Which room, of those that this socket follows; the token's own where it is absent." });
    }
    let mut server = add(document, &json!(ChatServerMessage::schema()), "chat_server");
    document["components"]["messages"][FOREIGN] = json!({
        "name": "foreign",
        "summary": "Whatever JSON somebody else publishes on the room's channel: passed on as it is.",
        "payload": {},
    });
    server.push(FOREIGN.to_owned());
    let all: Map<String, Value> = client
        .iter()
        .chain(&server)
        .map(|name| {
            (
                name.clone(),
                json!({ "$ref": format!("#/components/messages/{name}") }),
            )
        })
        .collect();
    document["channels"]["chat"] = json!({
        "address": "/chat",
        "description": "A chat room. The server speaks first, with `connected`; a refused token is told by the close code \
            (4001 no token, 4002 expired or unusable, 4000 a failure of the server). Messages from elsewhere may have other types.",
        "messages": all,
        "bindings": { "ws": { "method": "GET", "query": { "type": "object", "properties": {
            "token": { "type": "string", "description": "A JSON Web Token with `userId` and `chatId`; or in the header Authorization." },
            "since": { "type": "string", "description": "The last message that was seen: what came behind it is sent again." },
            "events": { "type": "string", "description": "Further messages that are wanted, with commas: presence, read, message_delta, handover, or all." },
        } } } },
    });
    for (name, action, summary, messages) in [
        (
            "chatReceive",
            "receive",
            "What a client of a room sends.",
            &client,
        ),
        (
            "chatSend",
            "send",
            "What a client of a room is told.",
            &server,
        ),
    ] {
        let in_channel =
            |name: &String| json!({ "$ref": format!("#/channels/chat/messages/{name}") });
        document["operations"][name] = json!({
            "action": action,
            "summary": summary,
            "channel": { "$ref": "#/channels/chat" },
            "messages": messages.iter().map(in_channel).collect::<Vec<_>>(),
        });
    }
}

/// Adds one message for each variant; says what they are called.
fn add(document: &mut Value, schema: &Value, side: &str) -> Vec<String> {
    let variants = schema["oneOf"].as_array().cloned().unwrap_or_default();
    let mut names = Vec::new();
    for payload in variants {
        // a variant around a struct is that struct and its type
        let at = [&payload, &payload["allOf"][1]];
        let Some(kind) = at
            .iter()
            .find_map(|it| it["properties"]["type"]["enum"][0].as_str())
        else {
            continue;
        };
        let (kind, name) = (kind.to_owned(), format!("{side}_{kind}"));
        document["components"]["messages"][&name] = json!({
            "name": kind,
            "summary": payload.get("description").cloned().unwrap_or_default(),
            "payload": payload,
        });
        names.push(name);
    }
    names
}
