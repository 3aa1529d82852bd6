use serde_json::json;

use super::*;
use crate::Kind;

fn all(chunks: &[Value]) -> (Vec<LlmEvent>, Assembly) {
    let mut assembly = Assembly::default();
    let mut events = Vec::new();
    for chunk in chunks {
        assembly.chunk(&chunk.to_string(), &mut events).unwrap();
    }
    assembly.rest(&mut events);
    (events, assembly)
}

fn calls(deltas: &Value) -> Value {
    json!({ "choices": [{ "index": 0, "delta": { "tool_calls": deltas }, "finish_reason": null }] })
}

fn began(id: &str, name: &str) -> LlmEvent {
    LlmEvent::ToolCall {
        call_id: id.to_owned(),
        name: name.to_owned(),
    }
}

fn arguments(text: &str) -> LlmEvent {
    LlmEvent::ToolArguments(text.to_owned())
}

#[test]
fn interleaved_calls_are_put_in_order() {
    let (events, _) = all(&[
        calls(
            &json!([{ "index": 0, "id": "a", "function": { "name": "first", "arguments": "" } }]),
        ),
        calls(&json!([{ "index": 1, "id": "b", "function": { "name": "second" } }])),
        calls(&json!([{ "index": 0, "function": { "arguments": "{\"x\"" } }])),
        calls(&json!([
            { "index": 1, "function": { "arguments": "{}" } },
            { "index": 0, "function": { "arguments": ":1}" } }
        ])),
    ]);
    assert_eq!(
        events,
        [
            began("a", "first"),
            arguments("{\"x\""),
            arguments(":1}"),
            began("b", "second"),
            arguments("{}")
        ]
    );
}

#[test]
fn calls_without_an_index_or_with_arguments_as_an_object_are_understood() {
    let (events, _) = all(&[
        calls(&json!([{ "id": "a", "function": { "name": "first", "arguments": { "x": 1 } } }])),
        calls(&json!([{ "id": "b", "function": { "name": "second", "arguments": "{" } }])),
        calls(&json!([{ "function": { "arguments": "}" } }])),
    ]);
    assert_eq!(
        events,
        [
            began("a", "first"),
            arguments("{\"x\":1}"),
            began("b", "second"),
            arguments("{}")
        ]
    );
}

#[test]
fn odd_chunks_bring_nothing_and_do_no_harm() {
    let (events, assembly) = all(&[
        json!(null),
        json!([1]),
        json!({}),
        json!({ "choices": null, "usage": null, "error": null }),
        json!({ "choices": [] }),
        json!({ "choices": [{ "delta": null }] }),
        json!({ "choices": [{ "delta": { "role": "assistant", "content": "" }, "logprobs": {} }] }),
        json!({ "choices": [{ "index": 1, "delta": { "content": "another choice" } }] }),
        json!({ "choices": [{ "delta": { "reasoning_content": "hm" } }] }),
        json!({ "choices": [{ "delta": { "content": [{ "type": "text", "text": "yes" }] } }] }),
    ]);
    assert_eq!(events, [LlmEvent::Text("yes".to_owned())]);
    assert_eq!(assembly.finish, None);
}

#[test]
fn usage_is_read_wherever_it_stands() {
    let usage = json!({
        "prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": { "cached_tokens": 5 }
    });
    let expected = LlmUsage {
        input_tokens: 9,
        cached_tokens: 5,
        output_tokens: 4,
    };
    assert_eq!(
        all(&[json!({ "choices": [], "usage": usage })]).1.usage,
        expected
    );
    assert_eq!(
        all(&[json!({ "choices": [], "x_groq": { "usage": usage } })])
            .1
            .usage,
        expected
    );
}

#[test]
fn finish_reasons_are_told_apart() {
    for (reason, finish) in [
        ("stop", Finish::Stop),
        ("tool_calls", Finish::Stop),
        ("length", Finish::Length),
        ("content_filter", Finish::ContentFilter),
        ("something_new", Finish::Stop),
    ] {
        let chunk = json!({ "choices": [{ "delta": {}, "finish_reason": reason }] });
        assert_eq!(all(&[chunk]).1.finish, Some(finish), "{reason}");
    }
}

#[test]
fn errors_say_who_must_act() {
    let mut assembly = Assembly::default();
    let mut take = |json: &str| assembly.chunk(json, &mut Vec::new()).unwrap_err();
    assert_eq!(take("{"), BadEvent::Malformed);
    assert_eq!(
        take(r#"{"error":{"code":429}}"#),
        BadEvent::Error(Kind::RateLimited)
    );
    assert_eq!(
        take(r#"{"error":{"code":"insufficient_quota"}}"#),
        BadEvent::Error(Kind::Unauthorized)
    );
    assert_eq!(
        take(r#"{"error":{"type":"overloaded_error"}}"#),
        BadEvent::Error(Kind::Overloaded)
    );
    assert_eq!(
        take(r#"{"error":{"type":"invalid_request_error"}}"#),
        BadEvent::Error(Kind::Rejected)
    );
    assert_eq!(
        take(r#"{"error":"boom"}"#),
        BadEvent::Error(Kind::Unavailable)
    );
}
