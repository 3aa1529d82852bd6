use engine::ask::LlmMessage;
use wire::realtime::session::{NamedTool, Tool, ToolChoice};

use super::*;

fn said(text: &str) -> LlmMessage {
    LlmMessage::User {
        text: text.to_owned(),
        images: Vec::new(),
    }
}

#[test]
fn a_conversation_becomes_items_and_functions_are_flat() {
    let request = LlmRequest {
        session: "sess_1".to_owned(),
        messages: vec![
            LlmMessage::System("be kind".to_owned()),
            LlmMessage::System("be brief".to_owned()),
            LlmMessage::User {
                text: "what?".to_owned(),
                images: vec!["data:image/png;base64,AAAA".to_owned()],
            },
            LlmMessage::Assistant("Looking.".to_owned()),
            LlmMessage::ToolCall {
                call_id: "call_1".to_owned(),
                name: "look".to_owned(),
                arguments: "{}".to_owned(),
            },
            said("and?"),
            LlmMessage::ToolOutput {
                call_id: "call_1".to_owned(),
                output: "a cat".to_owned(),
            },
            LlmMessage::System("hurry".to_owned()),
        ],
        tools: vec![Tool::Function {
            name: "look".to_owned(),
            description: Some("looks".to_owned()),
            parameters: None,
        }],
        tool_choice: ToolChoice::Named(NamedTool::Function {
            name: "look".to_owned(),
        }),
        parallel_tool_calls: Some(false),
        max_tokens: Some(3),
        temperature: Some(0.5),
        reasoning_effort: Some(json!("low")),
        ..LlmRequest::default()
    };
    let written = body(&request, "m", Host::Compatible);
    assert_eq!(
        written,
        json!({
            "model": "m", "stream": true, "store": false,
            "instructions": "be kind\n\nbe brief",
            "input": [
                { "role": "user", "content": [
                    { "type": "input_text", "text": "what?" },
                    { "type": "input_image", "image_url": "data:image/png;base64,AAAA" }
                ] },
                { "role": "assistant", "content": "Looking." },
                { "type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}" },
                { "type": "function_call_output", "call_id": "call_1", "output": "a cat" },
                { "role": "user", "content": "and?" },
                { "role": "user", "content": "<system>\nhurry\n</system>" }
            ],
            "tools": [{
                "type": "function", "name": "look", "description": "looks", "strict": false,
                "parameters": { "type": "object", "properties": {} }
            }],
            "tool_choice": { "type": "function", "name": "look" },
            "parallel_tool_calls": false,
            "max_output_tokens": 16,
            "temperature": 0.5,
            "reasoning": { "effort": "low" }
        })
    );
}

#[test]
fn openai_itself_is_told_the_session_and_the_least_effort() {
    let request = LlmRequest {
        session: "sess_1".to_owned(),
        messages: vec![said("hello")],
        temperature: Some(0.5),
        ..LlmRequest::default()
    };
    let written = body(&request, "gpt-6-luna", Host::OpenAi);
    assert_eq!(
        written,
        json!({
            "model": "gpt-6-luna", "stream": true, "store": false,
            "input": [{ "role": "user", "content": "hello" }],
            "prompt_cache_key": "sess_1",
            "reasoning": { "effort": "none" }
        })
    );
}

#[test]
fn instructions_alone_are_the_question() {
    let request = LlmRequest {
        messages: vec![LlmMessage::System("greet".to_owned())],
        ..LlmRequest::default()
    };
    let written = body(&request, "m", Host::Compatible);
    assert_eq!(
        written["input"],
        json!([{ "role": "system", "content": "greet" }])
    );
    assert!(written["instructions"].is_null());
}
