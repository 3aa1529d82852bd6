//! The JSON of server events where clients are particular about it (spec/realtime §1.3, §1.7, §4.0).

use serde_json::{Value, json};
use wire::realtime::session::SessionKind;
use wire::realtime::{ResponseStatus, ServerEvent, fast};

use crate::samples;

fn written(event: &ServerEvent) -> Value {
    let mut text = String::new();
    fast::write_event(event, "event_1", &mut text);
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn every_event_is_written_with_its_type_and_id() {
    for event in samples::events() {
        let json = written(&event);
        assert_eq!(json["type"], event.type_name());
        let without_id = event.type_name() == "input_audio_buffer.dtmf_event_received";
        assert_eq!(json.get("event_id").is_none(), without_id, "{json}");
        let mut expected =
            serde_json::from_str::<Value>(&serde_json::to_string(&event).expect("serialises"))
                .expect("JSON");
        if !without_id {
            expected["event_id"] = json!("event_1");
        }
        assert_eq!(json, expected);
    }
}

#[test]
fn a_conversation_echoes_every_key() {
    let event = ServerEvent::SessionCreated {
        session: samples::session(SessionKind::Realtime),
    };
    let expected = json!({
        "type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "gpt-realtime",
        "output_modalities": ["audio"], "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "get_time",
                   "parameters": {"type": "object", "properties": {}}}],
        "tool_choice": "auto", "max_output_tokens": "inf", "truncation": "auto", "tracing": null,
        "prompt": null, "include": null, "expires_at": 1_700_000_000,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "whisper-1"},
                "noise_reduction": null,
                "turn_detection": {"type": "server_vad", "threshold": 0.2,
                    "prefix_padding_ms": 300, "silence_duration_ms": 500, "idle_timeout_ms": null,
                    "create_response": true, "interrupt_response": true}},
            "output": {"format": {"type": "audio/pcmu"}, "voice": "alloy", "speed": 1.1}}});
    assert_eq!(written(&event)["session"], expected);
}

#[test]
fn a_transcription_session_has_no_output_side() {
    let session = samples::session(SessionKind::Transcription);
    let json = written(&ServerEvent::SessionUpdated { session })["session"].clone();
    let mut keys: Vec<&String> = json.as_object().expect("object").keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        ["audio", "expires_at", "id", "include", "object", "type"]
    );
    assert_eq!(json["object"], "realtime.transcription_session");
    assert_eq!(json["audio"].get("output"), None);
}

#[test]
fn the_two_vocabularies_of_parts_stay_apart() {
    for event in samples::events() {
        let json = written(&event);
        if let Some(part) = json.get("part") {
            assert!(
                ["text", "audio"].contains(&part["type"].as_str().expect("type")),
                "{json}"
            );
        }
        for part in json["item"]["content"].as_array().into_iter().flatten() {
            let kind = part["type"].as_str().expect("type");
            assert!(
                kind.starts_with("input_") || kind.starts_with("output_"),
                "{json}"
            );
        }
    }
}

/// Nulls that clients accept or need; everywhere else a key without a value is left out.
const NULLABLE: [&str; 15] = [
    "code",
    "param",
    "event_id",
    "tracing",
    "prompt",
    "include",
    "noise_reduction",
    "idle_timeout_ms",
    "previous_item_id",
    "transcript",
    "status_details",
    "conversation_id",
    "usage",
    "metadata",
    "output",
];

fn nulls(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(at.to_owned()),
        Value::Array(list) => list.iter().for_each(|value| nulls(at, value, found)),
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(key, value)| nulls(key, value, found));
        }
        _ => {}
    }
}

#[test]
fn nulls_stand_only_where_clients_take_them() {
    for event in samples::events() {
        let json = written(&event);
        let mut found = Vec::new();
        nulls("", &json, &mut found);
        found.retain(|key| !NULLABLE.contains(&key.as_str()));
        assert!(found.is_empty(), "{found:?} in {json}");
        let mut in_item = Vec::new();
        nulls("", &json["item"], &mut in_item);
        assert!(json.get("item").is_none() || in_item.iter().all(|key| key == "transcript"));
    }
}

#[test]
fn keys_that_clients_miss_are_always_there() {
    for event in samples::events() {
        let json = written(&event);
        match event.type_name() {
            "error" => {
                for key in ["type", "message", "code", "param", "event_id"] {
                    assert!(json["error"].get(key).is_some(), "{key} in {json}");
                }
            }
            "conversation.item.added"
            | "conversation.item.done"
            | "input_audio_buffer.committed" => {
                assert!(json.get("previous_item_id").is_some(), "{json}");
            }
            "conversation.item.input_audio_transcription.completed" => {
                assert_eq!(json["usage"], json!({"type": "duration", "seconds": 1.5}));
            }
            _ => {}
        }
        for part in json["item"]["content"].as_array().into_iter().flatten() {
            if part["type"] == "input_audio" {
                assert!(
                    part.get("transcript").is_some(),
                    "agents-js throws without it: {json}"
                );
            }
        }
    }
}

#[test]
fn a_finished_response_has_the_whole_usage_tree() {
    let response = samples::response(ResponseStatus::Cancelled);
    let json = written(&ServerEvent::ResponseDone { response })["response"].clone();
    let usage = json!({"total_tokens": 0, "input_tokens": 0, "output_tokens": 0,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}},
        "output_token_details": {"text_tokens": 0, "audio_tokens": 0}});
    assert_eq!(json["usage"], usage);
    assert_eq!(
        json["status_details"],
        json!({"type": "cancelled", "reason": "turn_detected"})
    );
    let response = samples::response(ResponseStatus::Failed);
    let json = written(&ServerEvent::ResponseDone { response })["response"].clone();
    let error = json!({"type": "server_error", "code": "server_error", "message": "no"});
    assert_eq!(
        json["status_details"],
        json!({"type": "failed", "error": error})
    );
    let response = samples::response(ResponseStatus::InProgress);
    let json = written(&ServerEvent::ResponseCreated { response })["response"].clone();
    for key in ["status_details", "conversation_id", "usage", "metadata"] {
        assert_eq!(json.get(key), Some(&Value::Null), "{key}");
    }
}

#[test]
fn audio_is_written_only_where_it_belongs() {
    for event in samples::events() {
        let json = written(&event);
        let mut parts = json["item"]["content"].as_array().into_iter().flatten();
        let has_audio = parts.any(|part| part.get("audio").is_some());
        assert_eq!(
            has_audio,
            event.type_name() == "conversation.item.retrieved",
            "{json}"
        );
    }
}
