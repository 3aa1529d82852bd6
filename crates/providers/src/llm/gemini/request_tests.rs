use engine::ask::LlmMessage;
use wire::realtime::session::{NamedTool, Tool, ToolChoice};

use super::*;

fn said(text: &str) -> LlmMessage {
    LlmMessage::User {
        text: text.to_owned(),
        images: Vec::new(),
    }
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

#[test]
fn a_conversation_becomes_contents_with_results_apart_and_signed_calls() {
    let signatures = Signatures::default();
    signatures.keep("a", "signed");
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
            LlmMessage::Assistant("Looking.".to_owned()),
            call("a"),
            call("b"),
            output("a", r#"{"seen":"a cat"}"#),
            output("b", "nothing"),
            said("and?"),
            call("foreign"),
            output("foreign", "x"),
        ],
        ..LlmRequest::default()
    };
    let written = body(&request, "gemini-3.5-flash-lite", &signatures);
    let called = |id: &str| json!({ "id": id, "name": "look", "args": { "a": 1 } });
    let returned = |id: &str, response: Value| json!({ "functionResponse": { "id": id, "name": "look", "response": response } });
    assert_eq!(
        written,
        json!({
            "systemInstruction": { "parts": [{ "text": "be kind" }] },
            "contents": [
                { "role": "user", "parts": [
                    { "text": "what?" },
                    { "inlineData": { "mimeType": "image/png", "data": "AAAA" } },
                    { "text": UNSEEN }
                ] },
                { "role": "model", "parts": [
                    { "text": "Looking." },
                    { "functionCall": called("a"), "thoughtSignature": "signed" },
                    { "functionCall": called("b") }
                ] },
                { "role": "user", "parts": [
                    returned("a", json!({ "seen": "a cat" })),
                    returned("b", json!({ "output": "nothing" }))
                ] },
                { "role": "user", "parts": [{ "text": "and?" }] },
                { "role": "model", "parts": [
                    { "functionCall": called("foreign"), "thoughtSignature": FOREIGN }
                ] },
                { "role": "user", "parts": [returned("foreign", json!({ "output": "x" }))] }
            ],
            "generationConfig": { "thinkingConfig": { "thinkingLevel": "minimal" } }
        })
    );
}

#[test]
fn options_are_written_in_their_places() {
    let request = LlmRequest {
        messages: vec![said("hello")],
        tools: vec![Tool::Function {
            name: "look".to_owned(),
            description: None,
            parameters: Some(json!({ "type": "object", "additionalProperties": false })),
        }],
        tool_choice: ToolChoice::Named(NamedTool::Function {
            name: "look".to_owned(),
        }),
        max_tokens: Some(7),
        temperature: Some(0.5),
        ..LlmRequest::default()
    };
    let written = body(&request, "gemini-2.0-flash", &Signatures::default());
    assert_eq!(
        written["tools"],
        json!([{ "functionDeclarations": [{ "name": "look", "description": "look" }] }])
    );
    assert_eq!(
        written["toolConfig"],
        json!({ "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["look"] } })
    );
    assert_eq!(
        written["generationConfig"],
        json!({ "maxOutputTokens": 7, "temperature": 0.5 })
    );
}

#[test]
fn each_generation_is_told_how_much_to_think_in_its_own_words() {
    let level = |level: &str| Some(json!({ "thinkingLevel": level }));
    let budget = |tokens: u32| Some(json!({ "thinkingBudget": tokens }));
    for (model, effort, expected) in [
        ("gemini-3.5-flash-lite", None, level("minimal")),
        ("gemini-3.1-pro-preview", None, level("low")),
        ("gemini-3.8-flash", Some("medium"), level("medium")),
        ("gemini-3.8-flash", Some("xhigh"), level("high")),
        ("gemini-flash-latest", None, level("minimal")),
        ("gemini-2.5-flash", None, budget(0)),
        ("gemini-2.5-pro", None, None),
        ("gemini-2.5-pro", Some("low"), budget(1024)),
        ("gemini-2.0-flash", Some("low"), None),
        ("gemma-3", Some("low"), None),
    ] {
        assert_eq!(thinking(model, effort), expected, "{model} {effort:?}");
    }
}
