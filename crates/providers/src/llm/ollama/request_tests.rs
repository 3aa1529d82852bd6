use engine::ask::LlmMessage;
use wire::realtime::session::{NamedTool, Tool, ToolChoice};

use super::*;

fn function(name: &str) -> Tool {
    Tool::Function {
        name: name.to_owned(),
        description: None,
        parameters: Some(json!({ "type": "object" })),
    }
}

#[test]
fn a_conversation_becomes_messages_with_bare_pictures_and_named_results() {
    let request = LlmRequest {
        messages: vec![
            LlmMessage::System("be kind".to_owned()),
            LlmMessage::User {
                text: "what?".to_owned(),
                images: vec![
                    "data:image/png;base64,AAAA".to_owned(),
                    "https://a/b".to_owned(),
                ],
            },
            LlmMessage::ToolCall {
                call_id: "a".to_owned(),
                name: "look".to_owned(),
                arguments: r#"{"a":1}"#.to_owned(),
            },
            LlmMessage::ToolOutput {
                call_id: "a".to_owned(),
                output: "a cat".to_owned(),
            },
        ],
        tools: vec![function("look")],
        max_tokens: Some(7),
        temperature: Some(0.5),
        ..LlmRequest::default()
    };
    let written = body(&request, "gemma4");
    assert_eq!(
        written,
        json!({
            "model": "gemma4", "stream": true, "think": false, "keep_alive": "30m",
            "messages": [
                { "role": "system", "content": "be kind" },
                { "role": "user", "content": "what?", "images": ["AAAA"] },
                { "role": "assistant", "content": "", "tool_calls": [{
                    "id": "a", "type": "function",
                    "function": { "name": "look", "arguments": { "a": 1 } }
                }] },
                { "role": "tool", "tool_name": "look", "tool_call_id": "a", "content": "a cat" }
            ],
            "tools": [{ "type": "function", "function": {
                "name": "look", "description": "", "parameters": { "type": "object" }
            } }],
            "options": { "num_predict": 7, "temperature": 0.5 }
        })
    );
}

#[test]
fn what_cannot_be_insisted_on_is_all_that_is_offered() {
    let offered = |choice: ToolChoice| {
        let request = LlmRequest {
            tools: vec![function("look"), function("listen")],
            tool_choice: choice,
            ..LlmRequest::default()
        };
        let tools = body(&request, "m")["tools"].clone();
        tools.as_array().map_or(0, Vec::len)
    };
    let named = NamedTool::Function {
        name: "listen".to_owned(),
    };
    assert_eq!(offered(ToolChoice::Auto), 2);
    assert_eq!(offered(ToolChoice::Required), 2);
    assert_eq!(offered(ToolChoice::Named(named)), 1);
    assert_eq!(offered(ToolChoice::None), 0);
}

#[test]
fn thinking_is_asked_for_in_the_models_own_words() {
    for (model, effort, expected) in [
        ("qwen3", None, json!(false)),
        ("qwen3", Some("minimal"), json!(false)),
        ("qwen3", Some("low"), json!(true)),
        ("gpt-oss:20b", Some("low"), json!("low")),
        ("gpt-oss:20b", Some("xhigh"), json!("high")),
    ] {
        assert_eq!(think(model, effort), expected, "{model} {effort:?}");
    }
}

#[test]
fn a_model_is_loaded_by_a_question_without_messages() {
    assert_eq!(
        preload("gemma4"),
        json!({ "model": "gemma4", "messages": [], "stream": false, "keep_alive": "30m" })
    );
}
