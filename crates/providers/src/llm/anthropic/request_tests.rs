use engine::ask::LlmMessage;
use wire::realtime::session::{NamedTool, Tool, ToolChoice};

use super::*;

fn said(text: &str) -> LlmMessage {
    LlmMessage::User {
        text: text.to_owned(),
        images: Vec::new(),
    }
}

fn asking(messages: Vec<LlmMessage>) -> LlmRequest {
    LlmRequest {
        messages,
        ..LlmRequest::default()
    }
}

fn look() -> Tool {
    Tool::Function {
        name: "look".to_owned(),
        description: Some("looks".to_owned()),
        parameters: None,
    }
}

#[test]
fn instructions_and_functions_are_marked_to_be_cached() {
    let request = LlmRequest {
        tools: vec![look(), look()],
        ..asking(vec![
            LlmMessage::System("one".to_owned()),
            LlmMessage::System("two".to_owned()),
            said("hello"),
            LlmMessage::System("late".to_owned()),
        ])
    };
    let body = body(&request, "claude-haiku-4-5");
    assert_eq!(
        body,
        json!({
            "model": "claude-haiku-4-5",
            "max_tokens": 1024,
            "stream": true,
            "system": [
                { "type": "text", "text": "one" },
                { "type": "text", "text": "two", "cache_control": { "type": "ephemeral" } }
            ],
            "messages": [{ "role": "user", "content": [
                { "type": "text", "text": "hello" },
                { "type": "text", "text": "<system>\nlate\n</system>" }
            ] }],
            "tools": [
                {
                    "name": "look", "description": "looks",
                    "input_schema": { "type": "object", "properties": {} }
                },
                {
                    "name": "look", "description": "looks",
                    "input_schema": { "type": "object", "properties": {} },
                    "cache_control": { "type": "ephemeral" }
                }
            ]
        })
    );
}

#[test]
fn calls_have_ids_that_the_protocol_takes_and_pictures_a_source() {
    let call = |output: &str| {
        [
            LlmMessage::ToolCall {
                call_id: "call:0".to_owned(),
                name: "look".to_owned(),
                arguments: r#"{"a":1}"#.to_owned(),
            },
            LlmMessage::ToolOutput {
                call_id: "call:0".to_owned(),
                output: output.to_owned(),
            },
        ]
    };
    let picture = LlmMessage::User {
        text: "what?".to_owned(),
        images: vec![
            "data:image/png;base64,AAAA".to_owned(),
            "https://a/b.png".to_owned(),
        ],
    };
    let mut messages = vec![picture];
    messages.extend(call("one"));
    messages.extend(call(""));
    let written = body(&asking(messages), "m");
    let use_of =
        |id: &str| json!([{ "type": "tool_use", "id": id, "name": "look", "input": { "a": 1 } }]);
    let result_of = |id: &str, text: &str| json!([{ "type": "tool_result", "tool_use_id": id, "content": text }]);
    assert_eq!(
        written["messages"],
        json!([
            { "role": "user", "content": [
                { "type": "text", "text": "what?" },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
                { "type": "image", "source": { "type": "url", "url": "https://a/b.png" } }
            ] },
            { "role": "assistant", "content": use_of("call_0") },
            { "role": "user", "content": result_of("call_0", "one") },
            // a weak server gave the same id again
            { "role": "assistant", "content": use_of("call_0-2") },
            { "role": "user", "content": result_of("call_0-2", "(nothing)") }
        ])
    );
}

/// What is said of thinking, effort, choice and temperature.
fn told(model: &str, effort: Option<&str>, choice: &ToolChoice) -> String {
    let request = LlmRequest {
        tools: vec![look()],
        tool_choice: choice.clone(),
        temperature: Some(1.5),
        reasoning_effort: effort.map(|effort| json!({ "effort": effort })),
        ..asking(vec![said("hello")])
    };
    let body = body(&request, model);
    let words = [
        &body["thinking"]["type"],
        &body["output_config"]["effort"],
        &body["tool_choice"]["type"],
    ];
    let words = words.map(|word| word.as_str().unwrap_or("-"));
    format!("{} {}", words.join(" "), body["temperature"])
}

#[test]
fn each_family_gets_what_it_takes() {
    let (auto, any) = (ToolChoice::Auto, ToolChoice::Required);
    for (model, effort, choice, expected) in [
        ("claude-haiku-5-5", None, &auto, "disabled - - null"),
        ("claude-haiku-5-5", Some("none"), &auto, "disabled - - null"),
        ("claude-haiku-5-5", Some("high"), &auto, "- high - null"),
        (
            "claude-haiku-5-5",
            Some("high"),
            &any,
            "disabled - any null",
        ),
        ("claude-sonnet-5-5", None, &any, "between_tools - - null"),
        ("claude-sonnet-5-5", Some("high"), &any, "- high - null"),
        ("claude-opus-5-5", None, &any, "- low - null"),
        ("claude-opus-5", None, &auto, "disabled - - null"),
        ("claude-opus-4-8", Some("low"), &auto, "adaptive low - null"),
        ("claude-haiku-4-5", Some("low"), &any, "- - any 1.0"),
        ("another", None, &auto, "- - - 1.0"),
    ] {
        assert_eq!(told(model, effort, choice), expected, "{model} {effort:?}");
    }
}

#[test]
fn one_call_at_a_time_is_said_with_the_choice() {
    let named = Choice::This("look");
    for (choice, parallel, expected) in [
        (Choice::Auto, None, None),
        (Choice::Auto, Some(true), None),
        (
            Choice::Auto,
            Some(false),
            Some(json!({ "type": "auto", "disable_parallel_tool_use": true })),
        ),
        (
            named,
            Some(false),
            Some(json!({ "type": "tool", "name": "look", "disable_parallel_tool_use": true })),
        ),
        (Choice::None, Some(false), Some(json!({ "type": "none" }))),
    ] {
        assert_eq!(tool_choice(choice, parallel), expected);
    }
    let request = LlmRequest {
        tool_choice: ToolChoice::Named(NamedTool::Function {
            name: "look".to_owned(),
        }),
        ..asking(vec![said("hello")])
    };
    // without functions there is nothing to choose
    assert!(body(&request, "m")["tool_choice"].is_null());
}
