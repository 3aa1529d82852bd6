//! The AsyncAPI document against the messages that are really read and written.

use std::collections::BTreeSet;

use serde_json::Value;
use wire::asyncapi;
use wire::chat::{ChatClientMessage, ChatServerMessage};
use wire::realtime::decode::CLIENT_EVENT_TYPES;
use wire::realtime::fast;

use crate::samples;
use crate::telephony::golden::TRANSCRIPTS;

/// Everything `$ref` points to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref") {
                found.insert(target.clone());
            }
            fields.values().for_each(|value| references(value, found));
        }
        _ => {}
    }
}

/// The schema itself, or the one it refers to.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(target) => {
            let pointer = target.strip_prefix('#').expect("a local reference");
            resolve(document, document.pointer(pointer).expect("it exists"))
        }
        None => schema,
    }
}

fn message_types(document: &Value, operation: &str) -> BTreeSet<String> {
    let messages = document["operations"][operation]["messages"]
        .as_array()
        .expect("messages");
    let name = |message: &Value| {
        let message = resolve(document, message);
        resolve(document, message)["name"]
            .as_str()
            .expect("name")
            .to_owned()
    };
    messages.iter().map(name).collect()
}

#[test]
fn every_reference_leads_somewhere() {
    let document = asyncapi::document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 80, "{}", found.len());
    for target in found {
        let pointer = target.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{target} is nowhere");
    }
}

#[test]
fn every_message_is_described() {
    let document = asyncapi::document();
    let client: BTreeSet<String> = CLIENT_EVENT_TYPES.map(str::to_owned).into();
    assert_eq!(message_types(&document, "receive"), client);
    let server: BTreeSet<String> = samples::events()
        .iter()
        .map(|event| event.type_name().to_owned())
        .collect();
    assert_eq!(message_types(&document, "send"), server);
}

#[test]
fn what_is_written_is_what_is_described() {
    let document = asyncapi::document();
    for event in samples::events() {
        let name = format!("server_{}", event.type_name().replace('.', "_"));
        let schema = &document["components"]["messages"][&name]["payload"];
        let mut text = String::new();
        fast::write_event(&event, "event_1", &mut text);
        let json: Value = serde_json::from_str(&text).expect("JSON");
        check_object(&document, schema, &json, &name);
    }
}

#[test]
fn what_clients_send_is_what_is_described() {
    let document = asyncapi::document();
    let frames = concat!(
        include_str!("frames/openai.jsonl"),
        include_str!("frames/agents-python.jsonl"),
        include_str!("frames/livekit.jsonl"),
    );
    for frame in frames.lines() {
        let json: Value = serde_json::from_str(frame).expect("JSON");
        let kind = json["type"].as_str().expect("type").replace('.', "_");
        let name = format!("client_{kind}");
        let schema = &document["components"]["messages"][&name]["payload"];
        check_object(&document, schema, &json, &name);
    }
}

/// The described message whose name is what this one says of itself; `None` where there is none.
fn named<'a>(document: &'a Value, operation: &str, kind: &str) -> Option<&'a Value> {
    let listed = document["operations"][operation]["messages"].as_array()?;
    let mut messages = listed
        .iter()
        .map(|it| resolve(document, resolve(document, it)));
    messages.find(|message| message["name"] == kind)
}

#[test]
fn what_carriers_are_told_is_what_is_described() {
    let document = asyncapi::document();
    for (dialect, transcript) in TRANSCRIPTS {
        let operation = format!("telephone_{}_send", dialect.name());
        let mut told = BTreeSet::new();
        for line in transcript.lines().filter_map(|it| it.strip_prefix("> ")) {
            let json: Value = serde_json::from_str(line).expect("JSON");
            let kinds = ["event", "action", "type"].map(|key| json[key].as_str());
            let kind = kinds.into_iter().flatten().next().expect("a kind");
            let message = named(&document, &operation, kind);
            let message = message.unwrap_or_else(|| panic!("{dialect}: {line}"));
            check_object(&document, &message["payload"], &json, line);
            told.insert(kind.to_owned());
        }
        let mut described = message_types(&document, &operation);
        described.remove("audio");
        assert_eq!(told, described, "{dialect}");
    }
}

#[test]
fn messages_of_rooms_are_described_by_the_names_that_they_have() {
    let document = asyncapi::document();
    let text = || "x".to_owned();
    let told = [
        ChatServerMessage::Connected {
            chat_id: text(),
            timestamp: text(),
        },
        ChatServerMessage::Error {
            error: text(),
            message: Some(text()),
            client_id: Some(text()),
        },
        ChatServerMessage::Following {
            chat_id: text(),
            following: true,
            timestamp: text(),
        },
        ChatServerMessage::Room {
            chat_id: text(),
            event: Value::Null,
        },
    ];
    let said = [
        ChatClientMessage::Typing { is_typing: true },
        ChatClientMessage::Edit {
            id: text(),
            content: text(),
            client_id: Some(text()),
        },
    ];
    let told = told.iter().map(|it| ("chatSend", serde_json::to_value(it)));
    let said = said
        .iter()
        .map(|it| ("chatReceive", serde_json::to_value(it)));
    for (operation, json) in told.chain(said) {
        let json = json.expect("JSON");
        let kind = json["type"].as_str().expect("a type");
        let message = named(&document, operation, kind).expect("it is described");
        check_object(&document, &message["payload"], &json, kind);
    }
}

/// Every key of `json` is described and every required key is there, at any depth of plain objects.
fn check_object(document: &Value, schema: &Value, json: &Value, at: &str) {
    let schema = resolve(document, schema);
    let (Some(described), Some(fields)) = (schema["properties"].as_object(), json.as_object())
    else {
        return;
    };
    for key in schema["required"].as_array().into_iter().flatten() {
        let key = key.as_str().expect("a name");
        assert!(
            fields.contains_key(key),
            "{at}.{key} is required but not written: {json}"
        );
    }
    for (key, value) in fields {
        let schema = described.get(key);
        let schema = schema.unwrap_or_else(|| panic!("{at}.{key} is not described: {json}"));
        check_object(document, schema, value, &format!("{at}.{key}"));
    }
}
