use serde_json::json;

use super::*;
use crate::realtime::decode::client_value;

/// The GA event, after the decoder has taken it.
fn ga(event: Value) -> Value {
    let ga = client_to_ga(event);
    if let Err(error) = client_value(&ga) {
        panic!("the decoder refuses {ga}: {error}");
    }
    ga
}

#[test]
fn a_flat_session_becomes_a_nested_one() {
    let flat = json!({"type": "session.update", "event_id": "e", "session": {
        "modalities": ["text", "audio"], "instructions": "Be brief.", "voice": "alloy",
        "input_audio_format": "pcm16", "output_audio_format": "g711_alaw",
        "input_audio_transcription": {"model": "whisper-1"}, "input_audio_noise_reduction": null,
        "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                           "silence_duration_ms": 500, "create_response": true},
        "tools": [{"name": "get_time", "description": "d", "parameters": {"type": "object"}}],
        "tool_choice": "get_time", "temperature": 0.8, "max_response_output_tokens": "inf",
        "speed": 1.1, "client_secret": {"expires_after": {"anchor": "created_at"}}}});
    let nested = json!({"type": "session.update", "event_id": "e", "session": {
        "type": "realtime", "output_modalities": ["audio"], "instructions": "Be brief.",
        "tools": [{"type": "function", "name": "get_time", "description": "d",
                   "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "get_time"}, "max_output_tokens": "inf",
        "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000},
                      "transcription": {"model": "whisper-1"}, "noise_reduction": null,
                      "turn_detection": {"type": "server_vad", "threshold": 0.5,
                                         "prefix_padding_ms": 300, "silence_duration_ms": 500,
                                         "create_response": true}},
            "output": {"format": {"type": "audio/pcma"}, "voice": "alloy", "speed": 1.1}}}});
    assert_eq!(ga(flat), nested);
}

#[test]
fn nulls_of_the_flat_session_still_clear() {
    let flat = json!({"type": "session.update", "session": {
        "turn_detection": null, "input_audio_transcription": null}});
    let input = &ga(flat)["session"]["audio"]["input"];
    assert_eq!(
        *input,
        json!({"turn_detection": null, "transcription": null})
    );
}

#[test]
fn the_ga_shape_passes_through() {
    let event = json!({"type": "session.update", "session": {
        "type": "transcription", "audio": {"input": {"turn_detection": null}}}});
    assert_eq!(ga(event.clone()), event);
    let append = json!({"type": "input_audio_buffer.append", "audio": "AAAA"});
    assert_eq!(ga(append.clone()), append);
    for odd in [
        json!(null),
        json!([]),
        json!({"type": "session.update", "session": 5}),
    ] {
        assert_eq!(client_to_ga(odd.clone()), odd);
    }
    // the decoder names the fault instead of the translation hiding it
    let odd = json!({"type": "session.update", "session": {"audio": 5, "voice": "x"}});
    let error = client_value(&client_to_ga(odd)).expect_err("refused").error;
    assert_eq!(error.param.as_deref(), Some("session.audio"));
}

#[test]
fn a_transcription_session_gets_its_kind() {
    let event = json!({"type": "transcription_session.update", "session": {
        "input_audio_format": "pcm16", "modalities": ["text"],
        "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en"},
        "include": ["item.input_audio_transcription.logprobs"], "turn_detection": null}});
    let expected = json!({"type": "session.update", "session": {
        "type": "transcription", "include": ["item.input_audio_transcription.logprobs"],
        "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
            "turn_detection": null}}}});
    assert_eq!(ga(event), expected);
}

#[test]
fn items_and_responses_are_renamed() {
    let item = |role: &str, kind: &str| {
        json!({"type": "conversation.item.create", "item": {
            "type": "message", "role": role, "content": [{"type": kind, "text": "hi"}]}})
    };
    let part = |event: Value| ga(event)["item"]["content"][0]["type"].clone();
    assert_eq!(part(item("assistant", "text")), "output_text");
    assert_eq!(part(item("system", "text")), "input_text");
    assert_eq!(part(item("user", "input_text")), "input_text");
    let response = json!({"type": "response.create", "response": {
        "modalities": ["audio", "text"], "voice": "verse", "output_audio_format": "g711_ulaw",
        "temperature": 0.7, "max_response_output_tokens": 100, "tool_choice": "none",
        "conversation": "none", "metadata": {"a": "b"},
        "input": [{"type": "message", "role": "assistant",
                   "content": [{"type": "text", "text": "x"}]}]}});
    let expected = json!({"type": "response.create", "response": {
        "output_modalities": ["audio"], "max_output_tokens": 100, "tool_choice": "none",
        "audio": {"output": {"voice": "verse", "format": {"type": "audio/pcmu"}}},
        "conversation": "none", "metadata": {"a": "b"},
        "input": [{"type": "message", "role": "assistant",
                   "content": [{"type": "output_text", "text": "x"}]}]}});
    assert_eq!(ga(response), expected);
}

fn session() -> Value {
    json!({"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "m",
        "output_modalities": ["audio"], "instructions": "", "tools": [],
        "tool_choice": {"type": "function", "name": "f"}, "max_output_tokens": "inf",
        "truncation": "auto", "tracing": null, "prompt": null, "include": null, "expires_at": 9,
        "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": null,
                      "noise_reduction": null,
                      "turn_detection": {"type": "server_vad", "threshold": 0.5,
                                         "idle_timeout_ms": null}},
            "output": {"format": {"type": "audio/pcmu"}, "voice": {"id": "v"}, "speed": 1.0}}})
}

#[test]
fn a_session_is_echoed_flat() {
    let sent = json!({"type": "session.created", "event_id": "event_1", "session": session()});
    let flat = json!({"id": "sess_1", "object": "realtime.session", "model": "m", "expires_at": 9,
        "modalities": ["audio", "text"], "instructions": "", "voice": "v", "speed": 1.0,
        "input_audio_format": "pcm16", "output_audio_format": "g711_ulaw",
        "input_audio_transcription": null, "input_audio_noise_reduction": null,
        "turn_detection": {"type": "server_vad", "threshold": 0.5}, "tools": [],
        "tool_choice": "f", "temperature": 0.8, "max_response_output_tokens": "inf",
        "tracing": null});
    let events = server_to_beta(sent);
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["session"], flat);
    let created = json!({"type": "conversation.created", "event_id": "event_1_conversation",
                         "conversation": {"object": "realtime.conversation"}});
    assert_eq!(events[1], created);
    let updated = json!({"type": "session.updated", "event_id": "event_2", "session": session()});
    let events = server_to_beta(updated);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["type"], "session.updated");
    assert_eq!(events[0]["session"], flat);
}

#[test]
fn a_transcription_session_is_echoed_under_its_own_name() {
    let sent = json!({"type": "session.updated", "event_id": "e", "session": {
        "type": "transcription", "object": "realtime.transcription_session", "id": "sess_1",
        "expires_at": 9, "include": null, "audio": {"input": {
            "format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": null,
            "transcription": {"model": "whisper-1"}, "noise_reduction": null}}}});
    let expected = json!({"type": "transcription_session.updated", "event_id": "e", "session": {
        "object": "realtime.transcription_session", "id": "sess_1", "expires_at": 9,
        "include": null, "input_audio_format": "pcm16", "turn_detection": null,
        "input_audio_transcription": {"model": "whisper-1"},
        "input_audio_noise_reduction": null}});
    assert_eq!(server_to_beta(sent), [expected]);
}

#[test]
fn one_item_event_takes_the_place_of_two() {
    let item = json!({"id": "item_1", "object": "realtime.item", "type": "message",
                      "role": "assistant", "status": "completed",
                      "content": [{"type": "output_audio", "transcript": "hi"}]});
    let event =
        |kind: &str| json!({"type": kind, "event_id": "e", "item": item, "previous_item_id": null});
    let created = server_to_beta(event("conversation.item.added"));
    assert_eq!(created[0]["type"], "conversation.item.created");
    assert_eq!(created[0]["item"]["content"][0]["type"], "audio");
    assert_eq!(created[0]["previous_item_id"], Value::Null);
    assert!(server_to_beta(event("conversation.item.done")).is_empty());
    for kind in ["conversation.item.retrieved", "response.output_item.done"] {
        let events = server_to_beta(event(kind));
        assert_eq!(events[0]["type"], kind);
        assert_eq!(events[0]["item"]["content"][0]["type"], "audio");
    }
}

#[test]
fn a_response_is_echoed_flat() {
    let sent = json!({"type": "response.done", "event_id": "e", "response": {
        "object": "realtime.response", "id": "resp_1", "status": "completed",
        "status_details": null, "conversation_id": "conv_1", "output_modalities": ["text"],
        "max_output_tokens": "inf", "metadata": null,
        "usage": {"input_token_details": {"text_tokens": 1, "image_tokens": 0,
                                          "cached_tokens_details": {}}},
        "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"}},
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}]}});
    let expected = json!({"object": "realtime.response", "id": "resp_1", "status": "completed",
        "status_details": null, "conversation_id": "conv_1", "modalities": ["text"],
        "max_output_tokens": "inf", "usage": {"input_token_details": {"text_tokens": 1}}, "metadata": null,
        "voice": "alloy", "output_audio_format": "pcm16", "temperature": 0.8,
        "output": [{"type": "message", "content": [{"type": "text", "text": "x"}]}]});
    assert_eq!(server_to_beta(sent)[0]["response"], expected);
}

#[test]
fn deltas_and_calls_have_their_old_names() {
    let named = |kind: &str| server_to_beta(json!({"type": kind, "event_id": "e", "delta": "d"}));
    for (ga, beta) in EVENTS {
        let types: Vec<Value> = named(ga)
            .iter()
            .map(|event| event["type"].clone())
            .collect();
        assert_eq!(
            types,
            beta.map(Value::from).into_iter().collect::<Vec<_>>(),
            "{ga}"
        );
    }
    let kept = "response.content_part.added";
    assert_eq!(named(kept)[0]["type"], kept);
    let done = json!({"type": "response.function_call_arguments.done", "event_id": "e",
                      "name": "f", "arguments": "{}"});
    assert_eq!(server_to_beta(done)[0].get("name"), None);
}

#[test]
fn errors_name_the_flat_parameter() {
    let error = |message: &str, param: &str| {
        let error = json!({"type": "invalid_request_error", "code": "invalid_value",
                           "message": message, "param": param, "event_id": null});
        server_to_beta(json!({"type": "error", "event_id": "e", "error": error}))[0]["error"]
            .clone()
    };
    let path = "session.audio.input.turn_detection.threshold";
    let translated = error(&format!("Invalid '{path}': no."), path);
    assert_eq!(translated["param"], "session.turn_detection.threshold");
    assert_eq!(
        translated["message"],
        "Invalid 'session.turn_detection.threshold': no."
    );
    assert_eq!(
        error("m", "session.output_modalities[0]")["param"],
        "session.modalities[0]"
    );
    assert_eq!(
        error("m", "response.audio.output.voice")["param"],
        "response.voice"
    );
    assert_eq!(
        error("m", "session.audio.input.formats")["param"],
        "session.audio.input.formats"
    );
    assert_eq!(error("m", "item.id")["param"], "item.id");
}

#[test]
fn frames_are_written_in_the_old_shape() {
    let event = ServerEvent::TranscriptionDelta {
        item_id: "item_1".into(),
        content_index: 0,
        delta: "hi".into(),
    };
    let frames = write_events(&event, "event_1");
    assert_eq!(frames.len(), 1);
    let mut text = String::new();
    fast::write_event(&event, "event_1", &mut text);
    let (beta, ga): (Value, Value) = (
        serde_json::from_str(&frames[0]).expect("JSON"),
        serde_json::from_str(&text).expect("JSON"),
    );
    assert_eq!(beta, ga);
    let done = ServerEvent::ItemDone {
        item: crate::realtime::Item::new(
            "item_1",
            crate::realtime::ItemStatus::Completed,
            crate::realtime::item::ItemBody::FunctionCallOutput {
                call_id: "c".into(),
                output: "o".into(),
            },
        ),
        previous_item_id: None,
    };
    assert!(write_events(&done, "event_2").is_empty());
}

/// Found by the fuzzer.
#[test]
fn an_event_without_its_session_is_renamed_and_passed_on() {
    let event = json!({ "type": "session.updated", "event_id": "evt_7" });
    assert_eq!(server_to_beta(event.clone()), [event]);
}
