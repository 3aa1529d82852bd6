mod session;

use serde_json::json;

use super::*;
use crate::realtime::AudioBytes;
use crate::realtime::item::{ContentPart, ItemBody, Role};
use crate::realtime::response::{ConversationTarget, InputItem};
use crate::realtime::session::MaxTokens;

fn ok(event: &Value) -> ClientAction {
    match client_event(&event.to_string()) {
        Ok(event) => event.action,
        Err(error) => panic!("{event} was refused: {error:?}"),
    }
}

fn err(event: &Value) -> ErrorBody {
    client_event(&event.to_string())
        .expect_err("the event should be refused")
        .error
}

#[test]
fn text_that_is_not_an_event_has_its_own_codes() {
    let code = |text: &str| client_event(text).expect_err("refused").error.code;
    assert_eq!(code("").as_deref(), Some("invalid_json"));
    assert_eq!(code("{\"type\":").as_deref(), Some("invalid_json"));
    assert_eq!(code("[1]").as_deref(), Some("invalid_event"));
    assert_eq!(code("{}").as_deref(), Some("invalid_event"));
    assert_eq!(code("{\"type\":null}").as_deref(), Some("invalid_event"));
    assert_eq!(code("{\"type\":7}").as_deref(), Some("invalid_value"));
    assert_eq!(binary_frame().error.code.as_deref(), Some("invalid_event"));
}

#[test]
fn a_depth_bomb_is_an_error() {
    let bomb = "[".repeat(100_000);
    let error = client_event(&bomb).expect_err("refused").error;
    assert_eq!(error.code.as_deref(), Some("invalid_json"));
    let nested = format!(
        "{{\"type\":\"session.update\",\"session\":{}1{}}}",
        "{\"a\":".repeat(5_000),
        "}".repeat(5_000)
    );
    assert!(client_event(&nested).is_err());
}

#[test]
fn an_unknown_type_lists_the_known_ones() {
    let error = err(&json!({"type": "session.delete", "event_id": "e1"}));
    assert_eq!(error.code.as_deref(), Some("invalid_value"));
    assert_eq!(error.param.as_deref(), Some("type"));
    assert_eq!(error.event_id.as_deref(), Some("e1"));
    assert_eq!(
        error.message,
        "Invalid value: 'session.delete'. Supported values are: 'session.update', \
         'input_audio_buffer.append', 'input_audio_buffer.commit', 'input_audio_buffer.clear', \
         'conversation.item.create', 'conversation.item.retrieve', 'conversation.item.truncate', \
         'conversation.item.delete', 'response.create', 'response.cancel', and \
         'output_audio_buffer.clear'."
    );
}

#[test]
fn event_ids_end_at_512_characters() {
    let longest = "ü".repeat(512);
    let event = json!({"type": "input_audio_buffer.commit", "event_id": longest}).to_string();
    let event = client_event(&event).expect("accepted");
    assert_eq!(event.event_id.as_deref(), Some(longest.as_str()));
    let longer = format!("{longest}x");
    let error = err(&json!({"type": "input_audio_buffer.commit", "event_id": longer}));
    assert_eq!(error.param.as_deref(), Some("event_id"));
    assert_eq!(error.event_id, None);
    assert_eq!(
        err(&json!({"type": "input_audio_buffer.commit", "event_id": 5}))
            .param
            .as_deref(),
        Some("event_id")
    );
    ok(&json!({"type": "input_audio_buffer.commit", "event_id": null}));
}

#[test]
fn events_without_fields_refuse_fields() {
    let events = [
        ("input_audio_buffer.commit", ClientAction::AudioCommit),
        ("input_audio_buffer.clear", ClientAction::AudioClear),
        ("output_audio_buffer.clear", ClientAction::OutputAudioClear),
    ];
    for (kind, action) in events {
        assert_eq!(ok(&json!({"type": kind})), action);
        let error = err(&json!({"type": kind, "event_id": "x", "extra": 1}));
        assert_eq!(error.code.as_deref(), Some("unknown_parameter"));
        assert_eq!(error.param.as_deref(), Some("extra"));
        assert_eq!(error.message, "Unknown parameter: 'extra'.");
        assert_eq!(error.event_id.as_deref(), Some("x"));
    }
}

#[test]
fn appended_audio_is_decoded() {
    let event = json!({"type": "input_audio_buffer.append", "audio": "AQID"});
    assert_eq!(ok(&event), ClientAction::AudioAppend(vec![1, 2, 3].into()));
    for bad in ["AQI", "A QI=", "AQ=I", "äöü=", "AQJ="] {
        let error = err(&json!({"type": "input_audio_buffer.append", "audio": bad}));
        assert_eq!(error.code.as_deref(), Some("invalid_value"), "{bad}");
        assert_eq!(error.param.as_deref(), Some("audio"));
        assert!(!error.message.contains(bad), "no audio in messages");
    }
    let error = err(&json!({"type": "input_audio_buffer.append"}));
    assert_eq!(error.code.as_deref(), Some("missing_required_parameter"));
    assert_eq!(error.message, "Missing required parameter: 'audio'.");
}

#[test]
fn one_append_carries_at_most_15_mib() {
    let mut text = "A".repeat(MAX_APPEND_BYTES / 3 * 4);
    let event = json!({"type": "input_audio_buffer.append", "audio": text});
    assert!(matches!(ok(&event), ClientAction::AudioAppend(b) if b.len() == MAX_APPEND_BYTES));
    text.push_str("AA==");
    let error = err(&json!({"type": "input_audio_buffer.append", "audio": text}));
    assert_eq!(error.code.as_deref(), Some("invalid_value"));
    assert!(error.message.contains("15728640"), "{}", error.message);
    assert!(error.message.contains("15728641"), "{}", error.message);
}

#[test]
fn item_events_carry_their_fields() {
    let user = json!({"type": "message", "role": "user",
                      "content": [{"type": "input_text", "text": "hi"}]});
    let body = ItemBody::Message {
        role: Role::User,
        content: vec![ContentPart::InputText { text: "hi".into() }],
    };
    for (previous, position) in [
        (json!(null), Position::End),
        (json!("root"), Position::Root),
        (json!("item_1"), Position::After("item_1".into())),
    ] {
        let action = ok(&json!({"type": "conversation.item.create", "item": user,
                                "previous_item_id": previous}));
        let (id, body) = (None, body.clone());
        assert_eq!(action, ClientAction::ItemCreate { position, id, body });
    }
    let action = ok(
        &json!({"type": "conversation.item.truncate", "item_id": "i",
                            "content_index": 0, "audio_end_ms": 1500.0}),
    );
    let expected = ClientAction::ItemTruncate {
        item_id: "i".into(),
        content_index: 0,
        audio_end_ms: 1_500,
    };
    assert_eq!(action, expected);
    for bad in [json!(12.5), json!(-1), json!("12"), json!(1e300)] {
        let error = err(
            &json!({"type": "conversation.item.truncate", "item_id": "i",
                                "content_index": 0, "audio_end_ms": bad}),
        );
        assert_eq!(error.param.as_deref(), Some("audio_end_ms"), "{bad}");
    }
    let error = err(&json!({"type": "conversation.item.delete"}));
    assert_eq!(error.param.as_deref(), Some("item_id"));
}

#[test]
fn items_keep_the_roles_apart() {
    let error = err(&json!({"type": "conversation.item.create", "item": {
        "type": "message", "role": "assistant", "content": [{"type": "input_text", "text": "x"}]}}));
    assert_eq!(error.param.as_deref(), Some("item.content[0].type"));
    assert_eq!(
        error.message,
        "Invalid value: 'input_text'. Supported values are: 'output_text' and 'output_audio'."
    );
    let error = err(&json!({"type": "conversation.item.create", "item": {
        "type": "message", "role": "assistant",
        "content": [{"type": "output_audio", "audio": "AAAA"}]}}));
    assert_eq!(error.param.as_deref(), Some("item.content[0].audio"));
    let error = err(&json!({"type": "conversation.item.create", "item": {"type": "thing"}}));
    assert_eq!(error.param.as_deref(), Some("item.type"));
    let error = err(&json!({"type": "conversation.item.create", "item": {
        "type": "message", "role": "user",
        "content": [{"type": "input_image", "image_url": "https://example.org/a.png"}]}}));
    assert_eq!(error.param.as_deref(), Some("item.content[0].image_url"));
}

#[test]
fn every_item_type_is_read() {
    let cases = [
        json!({"type": "message", "role": "system", "content": [{"type": "input_text", "text": ""}]}),
        json!({"type": "message", "id": "0123456789abcdef0123456789abcdef", "role": "user",
               "status": "completed", "object": "realtime.item",
               "content": [{"type": "input_audio", "audio": "AAAA", "transcript": null},
                           {"type": "input_image", "image_url": "data:image/png;base64,AA==",
                            "detail": "low"}]}),
        json!({"type": "message", "role": "assistant",
               "content": [{"type": "output_audio", "audio": null, "transcript": "said"}]}),
        json!({"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"}),
        json!({"type": "function_call_output", "call_id": "c", "output": "1"}),
        json!({"type": "mcp_list_tools", "server_label": "s", "tools": [{"name": "t"}]}),
        json!({"type": "mcp_approval_request", "id": "m", "server_label": "s", "name": "t",
               "arguments": "{}"}),
        json!({"type": "mcp_approval_response", "id": "m", "approval_request_id": "a",
               "approve": true, "reason": null}),
        json!({"type": "mcp_call", "id": "m", "server_label": "s", "name": "t", "arguments": "{}",
               "output": null, "error": null, "approval_request_id": null}),
    ];
    for item in cases {
        let ClientAction::ItemCreate { body, .. } =
            ok(&json!({"type": "conversation.item.create", "item": item}))
        else {
            panic!("not an item");
        };
        assert_eq!(json!(body)["type"], item["type"]);
    }
    let ClientAction::ItemCreate { body, .. } = ok(&json!({"type": "conversation.item.create",
        "item": {"type": "message", "role": "user",
                 "content": [{"type": "input_audio", "audio": "AQI="}]}}))
    else {
        panic!("not an item");
    };
    let audio = Some(AudioBytes(vec![1, 2].into()));
    let content = vec![ContentPart::InputAudio {
        audio,
        transcript: None,
    }];
    assert_eq!(
        body,
        ItemBody::Message {
            role: Role::User,
            content
        }
    );
}

#[test]
fn a_response_request_is_read() {
    let ClientAction::ResponseCreate(bare) = ok(&json!({"type": "response.create"})) else {
        panic!("not a response");
    };
    let ClientAction::ResponseCreate(nulls) = ok(&json!({"type": "response.create", "response": {
        "instructions": null, "input": null, "tools": null, "metadata": null, "audio": null,
        "conversation": null, "max_output_tokens": null, "tool_choice": null}}))
    else {
        panic!("not a response");
    };
    assert_eq!(bare, nulls);
    let ClientAction::ResponseCreate(full) = ok(&json!({"type": "response.create", "response": {
        "conversation": "none", "metadata": {"client_event_id": "x"}, "instructions": "i",
        "output_modalities": ["text"], "max_output_tokens": "inf", "tool_choice": "required",
        "audio": {"output": {"voice": "marin", "format": {"type": "audio/pcma"}}},
        "input": [{"type": "item_reference", "id": "item_1"},
                  {"type": "message", "role": "user",
                   "content": [{"type": "input_text", "text": "t"}]}]}}))
    else {
        panic!("not a response");
    };
    assert_eq!(full.conversation, ConversationTarget::None);
    assert_eq!(full.max_output_tokens, Some(MaxTokens::Inf));
    let input = full.input.expect("input");
    assert_eq!(
        input[0],
        InputItem::Reference {
            id: "item_1".into()
        }
    );
    assert!(matches!(input[1], InputItem::Inline { .. }));
    assert_eq!(full.metadata.expect("metadata")["client_event_id"], "x");
    let ClientAction::ResponseCreate(empty) =
        ok(&json!({"type": "response.create", "response": {"input": []}}))
    else {
        panic!("not a response");
    };
    assert_eq!(empty.input, Some(vec![]));
}

#[test]
fn metadata_has_limits() {
    let pairs = |count: usize| -> Value {
        (0..count)
            .map(|i| (i.to_string(), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let with =
        |metadata: Value| json!({"type": "response.create", "response": {"metadata": metadata}});
    ok(&with(pairs(16)));
    ok(&with(json!({"k".repeat(64): "v".repeat(512)})));
    for (metadata, param) in [
        (pairs(17), "response.metadata"),
        (json!({"k".repeat(65): "v"}), "response.metadata"),
        (json!({"k": "v".repeat(513)}), "response.metadata.k"),
        (json!({"k": 1}), "response.metadata.k"),
    ] {
        let error = err(&with(metadata));
        assert_eq!(error.code.as_deref(), Some("invalid_value"));
        assert_eq!(error.param.as_deref(), Some(param));
    }
}

#[test]
fn rest_sessions_name_their_own_path() {
    let session = json!({"type": "realtime", "audio": {"output": {"voice": 5}}});
    let error = session_update(&session, "session")
        .expect_err("refused")
        .error;
    assert_eq!(error.param.as_deref(), Some("session.audio.output.voice"));
    assert!(session_update(&json!({"type": "realtime"}), "session").is_ok());
}

#[test]
fn only_appends_may_be_large() {
    let large = "A".repeat(MAX_EVENT_BYTES + 4);
    let refused = |text: &str| check_size(text).err().map(|refused| refused.error);
    let append = json!({"type": "input_audio_buffer.append", "audio": large, "event_id": "e1"});
    assert_eq!(refused(&append.to_string()), None);
    let escaped = append
        .to_string()
        .replace("input_audio", "input\\u005faudio");
    assert_eq!(refused(&escaped), None);

    let commit = json!({"event_id": "e2", "type": "input_audio_buffer.commit", "x": [large]});
    let error = refused(&commit.to_string()).expect("refused");
    assert_eq!(error.code.as_deref(), Some("event_too_large"));
    assert_eq!(error.event_id.as_deref(), Some("e2"));
    for (name, text) in [
        (
            "an append that carries something else",
            append.to_string().replace("event_id", "more"),
        ),
        ("an array", format!("[{append}]")),
        ("no JSON", large.clone()),
        ("a long id", commit.to_string().replace("e2", &large)),
    ] {
        let error = refused(&text).expect(name);
        assert_eq!(
            (error.code.as_deref(), error.event_id),
            (Some("event_too_large"), None),
            "{name}"
        );
    }
    assert_eq!(refused("nonsense of ordinary length"), None);
}
