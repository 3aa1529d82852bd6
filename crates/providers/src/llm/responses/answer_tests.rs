use serde_json::json;

use super::*;
use crate::Kind;

fn all(events: &[Value]) -> Result<(Vec<LlmEvent>, Response, Taken), BadEvent> {
    let (mut response, mut out) = (Response::default(), Vec::new());
    let mut last = Taken::KeepAlive;
    for event in events {
        let event = SseEvent {
            event: String::new(),
            data: event.to_string(),
        };
        last = response.take(&event, &mut out)?;
    }
    Ok((out, response, last))
}

/// As at <https://developers.openai.com/api/reference/resources/responses/streaming-events>.
#[test]
fn a_recorded_answer_with_reasoning_words_and_a_call_is_understood() {
    let (events, response, last) = all(&[
        json!({ "type": "response.created", "sequence_number": 0, "response": {
            "id": "resp_67ca", "object": "response", "status": "in_progress", "usage": null
        } }),
        json!({ "type": "response.output_item.added", "sequence_number": 1, "output_index": 0,
            "item": { "id": "rs_1", "type": "reasoning", "summary": [] } }),
        json!({ "type": "response.output_item.done", "sequence_number": 2, "output_index": 0,
            "item": { "id": "rs_1", "type": "reasoning", "summary": [] } }),
        json!({ "type": "response.output_item.added", "sequence_number": 3, "output_index": 1,
            "item": { "id": "msg_1", "type": "message", "role": "assistant", "content": [] } }),
        json!({ "type": "response.output_text.delta", "sequence_number": 4, "item_id": "msg_1",
            "output_index": 1, "content_index": 0, "delta": "Let me see." }),
        json!({ "type": "response.output_text.done", "sequence_number": 5, "item_id": "msg_1",
            "output_index": 1, "content_index": 0, "text": "Let me see." }),
        json!({ "type": "response.output_item.added", "sequence_number": 6, "output_index": 2,
            "item": { "id": "fc_1", "type": "function_call", "call_id": "call_1",
                "name": "get_weather", "arguments": "" } }),
        json!({ "type": "response.function_call_arguments.delta", "sequence_number": 7,
            "item_id": "fc_1", "output_index": 2, "delta": "{\"location\":\"Bern\"}" }),
        json!({ "type": "response.function_call_arguments.done", "sequence_number": 8,
            "item_id": "fc_1", "output_index": 2, "arguments": "{\"location\":\"Bern\"}" }),
        json!({ "type": "response.output_item.done", "sequence_number": 9, "output_index": 2,
            "item": { "id": "fc_1", "type": "function_call", "call_id": "call_1",
                "name": "get_weather", "arguments": "{\"location\":\"Bern\"}" } }),
        json!({ "type": "response.completed", "sequence_number": 10, "response": {
            "id": "resp_67ca", "status": "completed", "usage": {
                "input_tokens": 328, "input_tokens_details": { "cached_tokens": 256 },
                "output_tokens": 52, "output_tokens_details": { "reasoning_tokens": 0 },
                "total_tokens": 380
            }
        } }),
    ])
    .unwrap();
    assert_eq!(
        events,
        [
            LlmEvent::Text("Let me see.".to_owned()),
            LlmEvent::ToolCall {
                call_id: "call_1".to_owned(),
                name: "get_weather".to_owned()
            },
            LlmEvent::ToolArguments("{\"location\":\"Bern\"}".to_owned()),
        ]
    );
    let usage = LlmUsage {
        input_tokens: 328,
        cached_tokens: 256,
        output_tokens: 52,
    };
    assert_eq!(
        (response.finish(), response.usage()),
        (Some(Finish::Stop), usage)
    );
    assert_eq!(last, Taken::Last);
}

#[test]
fn incomplete_answers_say_why() {
    for (reason, expected) in [
        ("max_output_tokens", Finish::Length),
        ("content_filter", Finish::ContentFilter),
    ] {
        let end = json!({ "type": "response.incomplete", "response": {
            "incomplete_details": { "reason": reason }
        } });
        assert_eq!(all(&[end]).unwrap().1.finish(), Some(expected), "{reason}");
    }
    let refused = json!({ "type": "response.refusal.delta", "delta": "I cannot." });
    assert_eq!(
        all(&[refused]).unwrap().0,
        [LlmEvent::Text("I cannot.".to_owned())]
    );
}

#[test]
fn failures_have_three_shapes() {
    let flat = json!({ "type": "error", "code": "server_error", "message": "x", "param": null });
    assert_eq!(
        all(&[flat]).unwrap_err(),
        BadEvent::Error(Kind::Unavailable)
    );
    let nested = json!({ "type": "error", "error": {
        "type": "invalid_request_error", "code": "context_length_exceeded"
    } });
    assert_eq!(all(&[nested]).unwrap_err(), BadEvent::Error(Kind::Rejected));
    let failed = json!({ "type": "response.failed", "response": {
        "status": "failed", "error": { "code": "rate_limit_exceeded", "message": "x" }
    } });
    assert_eq!(
        all(&[failed]).unwrap_err(),
        BadEvent::Error(Kind::RateLimited)
    );
    assert_eq!(all(&[json!("x")]).unwrap_err(), BadEvent::Malformed);
}
