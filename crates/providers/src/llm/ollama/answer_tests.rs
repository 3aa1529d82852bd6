use serde_json::json;

use super::*;
use crate::Kind;

fn take(line: &str) -> Result<(Vec<LlmEvent>, Message, Taken), BadEvent> {
    let (mut message, mut out) = (Message::default(), Vec::new());
    let event = SseEvent {
        event: String::new(),
        data: line.to_owned(),
    };
    let taken = message.take(&event, &mut out)?;
    Ok((out, message, taken))
}

/// As at <https://docs.ollama.com/capabilities/tool-calling> and <https://docs.ollama.com/api/chat>.
#[test]
fn recorded_lines_are_understood() {
    let thinking = json!({ "model": "qwen3", "created_at": "2025-05-27T22:54:57.641643Z", "message": {
        "role": "assistant", "content": "", "thinking": "Okay, the user"
    }, "done": false });
    assert_eq!(take(&thinking.to_string()).unwrap().0, []);
    let called = json!({ "model": "qwen3", "created_at": "2025-05-27T22:54:58.100509Z", "message": {
        "role": "assistant", "content": "", "tool_calls": [
            { "function": { "name": "get_current_weather", "arguments": { "location": "Toronto" } } },
            { "id": "call_9", "function": { "index": 1, "name": "get_time", "arguments": {} } }
        ]
    }, "done": false });
    let call = |id: &str, name: &str| LlmEvent::ToolCall {
        call_id: id.to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(
        take(&called.to_string()).unwrap().0,
        [
            call("", "get_current_weather"),
            LlmEvent::ToolArguments("{\"location\":\"Toronto\"}".to_owned()),
            call("call_9", "get_time"),
            LlmEvent::ToolArguments("{}".to_owned()),
        ]
    );
    let end = json!({ "model": "qwen3", "created_at": "2025-05-27T22:54:59Z", "message": {
        "role": "assistant", "content": "."
    }, "done": true, "done_reason": "stop", "total_duration": 174_560_334, "load_duration": 101_397_084,
        "prompt_eval_count": 21, "prompt_eval_cached_count": 16, "prompt_eval_duration": 13_074_791,
        "eval_count": 18, "eval_duration": 52_479_709 });
    let (events, message, taken) = take(&end.to_string()).unwrap();
    assert_eq!(events, [LlmEvent::Text(".".to_owned())]);
    let usage = LlmUsage {
        input_tokens: 21,
        cached_tokens: 16,
        output_tokens: 18,
    };
    assert_eq!(
        (message.finish(), message.usage()),
        (Some(Finish::Stop), usage)
    );
    assert_eq!(taken, Taken::Last);
}

#[test]
fn the_end_has_a_reason_or_none() {
    for (line, expected) in [
        (r#"{"done":true}"#, Finish::Stop),
        (r#"{"done":true,"done_reason":"stop"}"#, Finish::Stop),
        (r#"{"done":true,"done_reason":"length"}"#, Finish::Length),
    ] {
        assert_eq!(take(line).unwrap().1.finish(), Some(expected), "{line}");
    }
}

#[test]
fn errors_and_odd_lines_are_told_apart() {
    let failed = r#"{"error":"an error was encountered while running the model"}"#;
    assert_eq!(
        take(failed).unwrap_err(),
        BadEvent::Error(Kind::Unavailable)
    );
    for line in ["{", "[]", "\"x\""] {
        assert_eq!(take(line).unwrap_err(), BadEvent::Malformed, "{line}");
    }
    assert_eq!(take("").unwrap().2, Taken::KeepAlive);
    assert_eq!(take("{}").unwrap().2, Taken::Event);
}
