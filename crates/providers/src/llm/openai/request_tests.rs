use engine::ask::LlmMessage;
use wire::realtime::session::{NamedTool, Tool, ToolChoice};

use super::*;
use crate::llm::turns::{Late, NO_OUTPUT_YET};

fn messages(context: &[LlmMessage]) -> Vec<Value> {
    super::messages(turns(context, Late::Told))
}

fn call(id: &str) -> LlmMessage {
    LlmMessage::ToolCall {
        call_id: id.to_owned(),
        name: "look".to_owned(),
        arguments: r#"{"a":1}"#.to_owned(),
    }
}

fn output(id: &str, output: &str) -> LlmMessage {
    LlmMessage::ToolOutput {
        call_id: id.to_owned(),
        output: output.to_owned(),
    }
}

fn said(text: &str) -> LlmMessage {
    LlmMessage::User {
        text: text.to_owned(),
        images: Vec::new(),
    }
}

fn shape(messages: &[Value]) -> Vec<String> {
    messages
        .iter()
        .map(|message| {
            let calls = message["tool_calls"].as_array().map_or(0, Vec::len);
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            format!("{} {calls} {id}", message["role"].as_str().unwrap())
        })
        .collect()
}

#[test]
fn calls_of_one_answer_are_one_message_and_outputs_follow_it() {
    let context = [
        LlmMessage::System("be kind".to_owned()),
        said("look twice"),
        LlmMessage::Assistant("looking".to_owned()),
        call("a"),
        call("b"),
        said("hurry"),
        output("b", "two"),
        output("a", "one"),
    ];
    let written = messages(&context);
    assert_eq!(
        shape(&written),
        [
            "system 0 ",
            "user 0 ",
            "assistant 2 ",
            "tool 0 a",
            "tool 0 b",
            "user 0 "
        ]
    );
    assert_eq!(written[2]["content"], "looking");
    assert_eq!(written[3]["content"], "one");
}

#[test]
fn a_call_without_output_is_answered_and_an_output_without_call_is_left_out() {
    let written = messages(&[
        output("gone", "x"),
        call("a"),
        said("and?"),
        call("b"),
        output("b", "y"),
    ]);
    assert_eq!(
        shape(&written),
        [
            "assistant 1 ",
            "tool 0 a",
            "user 0 ",
            "assistant 1 ",
            "tool 0 b"
        ]
    );
    assert_eq!(written[1]["content"], NO_OUTPUT_YET);
    assert_eq!(written[0]["content"], Value::Null);
}

#[test]
fn a_call_sent_twice_is_written_once_and_malformed_arguments_become_an_empty_object() {
    let bad = LlmMessage::ToolCall {
        call_id: "a".to_owned(),
        name: "look".to_owned(),
        arguments: "{\"a\":".to_owned(),
    };
    let written = messages(&[bad, call("a"), output("a", "1")]);
    assert_eq!(shape(&written), ["assistant 1 ", "tool 0 a"]);
    assert_eq!(written[0]["tool_calls"][0]["function"]["arguments"], "{}");
}

#[test]
fn pictures_are_parts_beside_the_words() {
    let seen = LlmMessage::User {
        text: "what?".to_owned(),
        images: vec!["data:x".to_owned()],
    };
    let written = messages(&[seen]);
    assert_eq!(
        written[0]["content"],
        json!([
            { "type": "text", "text": "what?" },
            { "type": "image_url", "image_url": { "url": "data:x" } }
        ])
    );
}

#[test]
fn options_are_written_only_when_they_are_set() {
    let plain = body(&LlmRequest::default(), "m", Host::Compatible);
    let mut keys: Vec<&str> = plain
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, ["messages", "model", "stream", "stream_options"]);

    let full = LlmRequest {
        model: Some("other".to_owned()),
        tools: vec![
            Tool::Function {
                name: "look".to_owned(),
                description: Some("looks".to_owned()),
                parameters: Some(json!({ "type": "object" })),
            },
            Tool::Mcp {
                server_label: "x".to_owned(),
                rest: Map::new(),
            },
        ],
        tool_choice: ToolChoice::Named(NamedTool::Function {
            name: "look".to_owned(),
        }),
        parallel_tool_calls: Some(false),
        max_tokens: Some(7),
        temperature: Some(0.5),
        reasoning_effort: Some(json!({ "effort": "low" })),
        ..LlmRequest::default()
    };
    let full = body(&full, "m", Host::OpenAi);
    assert_eq!(full["model"], "other");
    assert_eq!(full["tools"].as_array().unwrap().len(), 1);
    assert_eq!(full["tools"][0]["function"]["name"], "look");
    assert_eq!(full["tool_choice"]["function"]["name"], "look");
    assert_eq!(full["parallel_tool_calls"], false);
    assert_eq!(full["max_completion_tokens"], 7);
    assert_eq!(full["temperature"], 0.5);
    assert_eq!(full["reasoning_effort"], "low");
}

#[test]
fn openais_own_models_get_what_they_take() {
    let look = Tool::Function {
        name: "look".to_owned(),
        description: None,
        parameters: None,
    };
    let request = LlmRequest {
        messages: vec![said("hello"), LlmMessage::System("late".to_owned())],
        tools: vec![look],
        temperature: Some(0.5),
        reasoning_effort: Some(json!("high")),
        ..LlmRequest::default()
    };
    let own = body(&request, "gpt-6-luna", Host::OpenAi);
    assert!(own["temperature"].is_null());
    // with functions on offer, this protocol takes no effort
    assert_eq!(own["reasoning_effort"], "none");
    assert_eq!(own["messages"][1]["role"], "system");
    let other = body(&request, "gpt-6-luna", Host::Compatible);
    assert_eq!(other["temperature"], 0.5);
    assert_eq!(other["reasoning_effort"], "high");
    assert_eq!(other["messages"][1]["role"], "user");
}
