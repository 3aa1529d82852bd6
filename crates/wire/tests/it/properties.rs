//! What must hold for any input: the decoders never panic, the writer writes what serde would.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wire::realtime::decode::CLIENT_EVENT_TYPES;
use wire::realtime::server::ServerEvent;
use wire::realtime::{AudioBytes, beta, decode, fast};

/// Words of the protocol, so that arbitrary JSON gets past the first check.
fn word() -> impl Strategy<Value = String> {
    let words = [
        "type",
        "event_id",
        "session",
        "audio",
        "input",
        "output",
        "format",
        "transcription",
        "turn_detection",
        "server_vad",
        "semantic_vad",
        "item",
        "message",
        "role",
        "user",
        "content",
        "input_text",
        "text",
        "response",
        "tools",
        "function",
        "name",
        "parameters",
        "tool_choice",
        "metadata",
        "realtime",
        "rate",
        "audio/pcm",
        "threshold",
        "item_id",
        "content_index",
        "audio_end_ms",
        "previous_item_id",
        "root",
        "truncation",
        "voice",
        "modalities",
        "conversation",
        "reasoning",
        "prompt",
        "tracing",
        "include",
        "mcp",
    ];
    prop_oneof![
        8 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        2 => prop::sample::select(CLIENT_EVENT_TYPES.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// An event of a known type whose fields are arbitrary.
fn event() -> impl Strategy<Value = Value> {
    let kinds = prop::sample::select(CLIENT_EVENT_TYPES.to_vec());
    (kinds, tree(), word(), tree()).prop_map(|(kind, session, key, value)| {
        json!({ "type": kind, "session": session, "item": session, "response": session,
                "audio": session, key: value })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_the_decoders_panic(text in any::<String>()) {
        let _ = decode::client_event(&text);
        prop_assert!(fast::append(&text).is_none());
    }

    #[test]
    fn no_json_makes_the_decoders_panic(value in prop_oneof![tree(), event()]) {
        let text = value.to_string();
        let direct = decode::client_event(&text);
        if let Err(refused) = &direct {
            prop_assert!(refused.error.code.is_some(), "{refused:?}");
            prop_assert!(!refused.error.message.is_empty());
        }
        if let Some(append) = fast::append(&text) {
            prop_assert_eq!(&value["audio"], append.audio);
        }
        let _ = decode::client_value(&beta::client_to_ga(value.clone()));
        let _ = beta::server_to_beta(value.clone());
        let _ = wire::rest::client_secrets::decode(&value);
        let _ = wire::rest::speech::decode(&value);
    }

    #[test]
    fn the_writer_agrees_with_serde(
        ids in any::<(String, String)>(),
        indexes in any::<(u32, u32)>(),
        audio in prop::collection::vec(any::<u8>(), 0..4_000),
        text in any::<String>(),
    ) {
        let (response_id, item_id) = ids;
        let (output_index, content_index) = indexes;
        let events = [
            ServerEvent::OutputAudioDelta {
                response_id: response_id.clone(), item_id: item_id.clone(), output_index,
                content_index, delta: AudioBytes(audio.into()),
            },
            ServerEvent::OutputTextDelta {
                response_id, item_id, output_index, content_index, delta: text,
            },
        ];
        for event in events {
            let mut out = String::new();
            fast::write_event(&event, "event_0", &mut out);
            let mut expected = json!(event);
            expected["event_id"] = json!("event_0");
            prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), expected);
        }
    }

    #[test]
    fn the_fast_and_the_slow_path_agree(audio in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let encoded = json!(AudioBytes(audio.clone().into()));
        let text = json!({"type": "input_audio_buffer.append", "audio": encoded}).to_string();
        let append = fast::append(&text);
        prop_assert_eq!(append.map(|append| append.audio), encoded.as_str());
        let decoded = decode::client_event(&text).unwrap().action;
        let expected = wire::realtime::client::ClientAction::AudioAppend(audio.into());
        prop_assert_eq!(decoded, expected);
    }
}
