use serde_json::json;

use super::*;
use crate::Kind;

fn all(events: &[Value]) -> Result<(Vec<LlmEvent>, Message, Taken), BadEvent> {
    let (mut message, mut out) = (Message::default(), Vec::new());
    let mut last = Taken::KeepAlive;
    for event in events {
        let event = SseEvent {
            event: String::new(),
            data: event.to_string(),
        };
        last = message.take(&event, &mut out)?;
    }
    Ok((out, message, last))
}

/// As at <https://platform.claude.com/docs/en/build-with-claude/streaming> ("streaming request with tool use").
#[test]
fn a_recorded_answer_with_thinking_words_and_a_call_is_understood() {
    let (events, message, last) = all(&[
        json!({ "type": "message_start", "message": {
            "id": "msg_014p7gG3wDgGV9EUtLvnow3U", "type": "message", "role": "assistant",
            "model": "claude-haiku-5-5", "stop_sequence": null, "content": [], "stop_reason": null,
            "usage": {
                "input_tokens": 72, "cache_creation_input_tokens": 400,
                "cache_read_input_tokens": 1000, "output_tokens": 2
            }
        } }),
        json!({ "type": "content_block_start", "index": 0,
            "content_block": { "type": "thinking", "thinking": "", "signature": "" } }),
        json!({ "type": "content_block_delta", "index": 0,
            "delta": { "type": "thinking_delta", "thinking": "The weather." } }),
        json!({ "type": "content_block_delta", "index": 0,
            "delta": { "type": "signature_delta", "signature": "EqQBCgIYAhIM" } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "content_block_start", "index": 1,
            "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "ping" }),
        json!({ "type": "content_block_delta", "index": 1,
            "delta": { "type": "text_delta", "text": "Let me check" } }),
        json!({ "type": "content_block_stop", "index": 1 }),
        json!({ "type": "content_block_start", "index": 2, "content_block": {
            "type": "tool_use", "id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6", "name": "get_weather", "input": {}
        } }),
        json!({ "type": "content_block_delta", "index": 2,
            "delta": { "type": "input_json_delta", "partial_json": "" } }),
        json!({ "type": "content_block_delta", "index": 2,
            "delta": { "type": "input_json_delta", "partial_json": "{\"location\":" } }),
        json!({ "type": "content_block_delta", "index": 2,
            "delta": { "type": "input_json_delta", "partial_json": " \"Bern\"}" } }),
        json!({ "type": "content_block_stop", "index": 2 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use", "stop_sequence": null },
            "usage": { "output_tokens": 89 } }),
        json!({ "type": "message_stop" }),
    ])
    .unwrap();
    assert_eq!(
        events,
        [
            LlmEvent::Text("Let me check".to_owned()),
            LlmEvent::ToolCall {
                call_id: "toolu_01T1x1fJ34qAmk2tNTrN7Up6".to_owned(),
                name: "get_weather".to_owned()
            },
            LlmEvent::ToolArguments("{\"location\":".to_owned()),
            LlmEvent::ToolArguments(" \"Bern\"}".to_owned()),
        ]
    );
    let usage = LlmUsage {
        input_tokens: 1472,
        cached_tokens: 1000,
        output_tokens: 89,
    };
    assert_eq!(
        (message.finish(), message.usage()),
        (Some(Finish::Stop), usage)
    );
    assert_eq!(last, Taken::Last);
}

#[test]
fn a_call_that_comes_whole_or_without_arguments_is_understood() {
    let call = |index: u64, input: Value| {
        json!({ "type": "content_block_start", "index": index, "content_block": {
            "type": "tool_use", "id": "a", "name": "look", "input": input
        } })
    };
    let stop = |index: u64| json!({ "type": "content_block_stop", "index": index });
    let events = [
        call(0, json!({ "x": 1 })),
        stop(0),
        call(1, json!({})),
        stop(1),
    ];
    let (events, ..) = all(&events).unwrap();
    assert_eq!(events[1], LlmEvent::ToolArguments("{\"x\":1}".to_owned()));
    assert_eq!(events[3], LlmEvent::ToolArguments("{}".to_owned()));
}

#[test]
fn reasons_for_the_end_are_told_apart() {
    for (reason, expected) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("pause_turn", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("refusal", Finish::ContentFilter),
    ] {
        let end = json!({ "type": "message_delta", "delta": { "stop_reason": reason } });
        assert_eq!(all(&[end]).unwrap().1.finish(), Some(expected), "{reason}");
    }
}

#[test]
fn errors_pings_and_strangers_are_told_apart() {
    let failed = |kind: &str| {
        let error = json!({ "type": "error", "error": { "type": kind, "message": "x" } });
        all(&[error]).unwrap_err()
    };
    for (kind, expected) in [
        ("overloaded_error", Kind::Overloaded),
        ("rate_limit_error", Kind::RateLimited),
        ("api_error", Kind::Unavailable),
        ("invalid_request_error", Kind::Rejected),
        ("authentication_error", Kind::Unauthorized),
    ] {
        assert_eq!(failed(kind), BadEvent::Error(expected), "{kind}");
    }
    assert_eq!(
        all(&[json!({ "type": "ping" })]).unwrap().2,
        Taken::KeepAlive
    );
    assert_eq!(
        all(&[json!({ "type": "something_new" })]).unwrap().2,
        Taken::Event
    );
    assert_eq!(all(&[json!([])]).unwrap_err(), BadEvent::Malformed);
}
