//! The telephone's part of the AsyncAPI document: a channel for each dialect, with what its codec reads and all that it writes.
//! Called by [`crate::asyncapi`]; the shapes themselves are in `frames`.
//! Never lists what a carrier says beyond what is read here: they add members as they like.

mod frames;

use serde_json::{Map, Value, json};

use super::Dialect;

/// Adds the channels, their operations and their messages.
pub(crate) fn extend(document: &mut Value) {
    for dialect in Dialect::ALL {
        let channel = format!("telephone_{}", dialect.name());
        let (heard, said) = frames::of(dialect);
        let client = add(document, &format!("{channel}_client"), &heard, Extent::Open);
        let server = add(document, &format!("{channel}_server"), &said, Extent::Whole);
        let all: Map<String, Value> = client
            .iter()
            .chain(&server)
            .map(|name| {
                let reference = json!({ "$ref": format!("#/components/messages/{name}") });
                (name.clone(), reference)
            })
            .collect();
        document["channels"][&channel] = json!({
            "address": format!("/telephony/{}", dialect.name()),
            "description": about(dialect),
            "messages": all,
        });
        for (side, action, names) in [("receive", "receive", client), ("send", "send", server)] {
            let in_channel =
                |name: &String| json!({ "$ref": format!("#/channels/{channel}/messages/{name}") });
            document["operations"][format!("{channel}_{side}")] = json!({
                "action": action,
                "summary": if action == "send" { "What the carrier is told." } else { "What the carrier sends." },
                "channel": { "$ref": format!("#/channels/{channel}") },
                "messages": names.iter().map(in_channel).collect::<Vec<_>>(),
            });
        }
    }
}

const fn about(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Twilio => {
            "A call's sound, as Twilio Media Streams have it. On a listener of the telephone at every path."
        }
        Dialect::SignalWire => {
            "A call's sound, as streams of SignalWire have it: Twilio's with another start."
        }
        Dialect::Telnyx => "A call's sound, as media streaming of Telnyx has it.",
        Dialect::Plivo => "A call's sound, as audio streaming of Plivo has it.",
        Dialect::Exotel => "A call's sound, as AgentStream of Exotel has it.",
        Dialect::Vonage => {
            "A call's sound, as WebSocket endpoints of Vonage have it: in binary frames."
        }
        Dialect::AudioHook => {
            "A call's sound, as AudioHook of Genesys, version 2, and its Audio Connector have it: in binary frames."
        }
        Dialect::Relay => {
            "A call in text, as ConversationRelay has it: the carrier hears and speaks."
        }
    }
}

/// Whether members that are not described may be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Open,
    Whole,
}

/// Adds a message for each shape; says what they are called.
fn add(document: &mut Value, side: &str, shapes: &[(&str, Value)], extent: Extent) -> Vec<String> {
    let mut names = Vec::new();
    for (kind, shape) in shapes {
        let name = format!("{side}_{}", kind.replace(':', "_"));
        let mut message = json!({ "name": kind, "payload": schema(shape, extent) });
        if shape == frames::SOUND {
            message["contentType"] = "application/octet-stream".into();
        }
        document["components"]["messages"][&name] = message;
        names.push(name);
    }
    names
}

/// The schema of a shape; see [`frames`] for how shapes are written.
fn schema(shape: &Value, extent: Extent) -> Value {
    match shape {
        Value::Object(members) => object(members, extent),
        Value::Array(elements) => {
            let element = elements.first().map_or(json!({}), |it| schema(it, extent));
            json!({ "type": "array", "items": element })
        }
        Value::String(kind) => leaf(kind),
        other => other.clone(),
    }
}

fn object(members: &Map<String, Value>, extent: Extent) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, shape) in members {
        let known = name.trim_end_matches('?');
        if known == name {
            required.push(Value::from(known));
        }
        properties.insert(known.to_owned(), schema(shape, extent));
    }
    let mut schema = json!({ "type": "object", "properties": properties, "required": required });
    if extent == Extent::Whole {
        schema["additionalProperties"] = false.into();
    }
    schema
}

fn leaf(kind: &str) -> Value {
    match kind {
        "number" => json!({ "type": ["integer", "string"] }),
        "count" => json!({ "type": "integer" }),
        "flag" => json!({ "type": "boolean" }),
        "base64" => json!({ "type": "string", "contentEncoding": "base64" }),
        "pairs" => json!({ "type": ["object", "string", "null"] }),
        "any" => json!({}),
        frames::SOUND => json!({ "type": "string", "format": "binary" }),
        _ => match kind.strip_prefix('=') {
            Some(words) => {
                let words: Vec<&str> = words.split('|').collect();
                json!({ "type": "string", "enum": words })
            }
            None => json!({ "type": "string" }),
        },
    }
}
