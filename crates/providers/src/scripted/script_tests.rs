use serde_json::json;

use super::*;

fn user(text: &str) -> LlmRequest {
    LlmRequest {
        messages: vec![LlmMessage::User {
            text: text.to_owned(),
            images: Vec::new(),
        }],
        ..LlmRequest::default()
    }
}

fn with_tools(text: &str, names: &[&str]) -> LlmRequest {
    let tools = names
        .iter()
        .map(|name| Tool::Function {
            name: (*name).to_owned(),
            description: None,
            parameters: Some(json!({
                "type": "object",
                "properties": { "city": { "type": "string" } },
                "required": ["city"]
            })),
        })
        .collect();
    LlmRequest {
        tools,
        ..user(text)
    }
}

fn instructed(line: &str, request: LlmRequest) -> LlmRequest {
    let mut messages = vec![LlmMessage::System(format!(
        "You are helpful, but not long winded.\n{line}"
    ))];
    messages.extend(request.messages);
    LlmRequest {
        messages,
        ..request
    }
}

fn names(request: &LlmRequest) -> Vec<String> {
    match plan(request).act {
        Act::Call(calls) => calls.into_iter().map(|(name, _)| name).collect(),
        other => panic!("no call: {other:?}"),
    }
}

fn text(request: &LlmRequest) -> String {
    match plan(request).act {
        Act::Say(text) => text,
        other => panic!("no reply: {other:?}"),
    }
}

#[test]
fn say_is_taken_literally() {
    assert_eq!(
        text(&user("Please say: Fail llm, slowly. long!")),
        "Fail llm, slowly. long!"
    );
    assert_eq!(plan(&user("say: slowly")).pace, Pace::Configured);
    assert_eq!(
        plan(&user("slowly say: x")),
        Plan {
            act: Act::Say("x".to_owned()),
            pace: Pace::Slow
        }
    );
    assert_eq!(
        text(&user("essay: about birds")),
        "You said: essay: about birds. What else can I do for you?"
    );
}

#[test]
fn the_default_reply_has_two_sentences() {
    let reply = text(&user(
        "Hello. Who are you? I am Ann, and one two three four five six seven",
    ));
    assert_eq!(
        reply,
        "You said: Hello Who are you I am Ann, and one two three four. What else can I do for you?"
    );
    assert_eq!(
        text(&LlmRequest::default()),
        "Hello, this is the scripted voice. How can I help you?"
    );
}

#[test]
fn long_is_long_only_when_the_user_says_it_or_a_line_is_nothing_else() {
    assert_eq!(
        text(&user("tell me a LONG story")).matches('.').count(),
        LONG_SENTENCES
    );
    assert!(text(&instructed("Do not take too long.", user("hi"))).starts_with("You said"));
    assert_eq!(
        text(&instructed("scripted: long", user("hi")))
            .matches('.')
            .count(),
        LONG_SENTENCES
    );
}

#[test]
fn functions_are_called_in_the_order_of_the_text() {
    let request = with_tools(
        "call get_time and get_weather",
        &["get_weather", "get_time", "other"],
    );
    assert_eq!(names(&request), ["get_time", "get_weather"]);
    let one_at_a_time = LlmRequest {
        parallel_tool_calls: Some(false),
        ..request
    };
    assert_eq!(names(&one_at_a_time), ["get_time"]);
}

#[test]
fn the_longer_of_two_names_at_one_place_is_meant() {
    let request = with_tools(
        "get weather tomorrow",
        &["get_weather", "get_weather_tomorrow"],
    );
    assert_eq!(names(&request), ["get_weather_tomorrow"]);
}

#[test]
fn arguments_come_from_the_text_or_from_the_schema() {
    let given = with_tools(
        r#"call get_weather {"city":"Köln","n":[1]} please"#,
        &["get_weather"],
    );
    let Act::Call(calls) = plan(&given).act else {
        panic!("no call")
    };
    assert_eq!(calls[0].1, r#"{"city":"Köln","n":[1]}"#);
    let Act::Call(calls) = plan(&with_tools("get_weather", &["get_weather"])).act else {
        panic!("no call")
    };
    assert_eq!(calls[0].1, r#"{"city":"example"}"#);
}

#[test]
fn tool_choice_decides_when_the_text_does_not() {
    let request = |choice| LlmRequest {
        tool_choice: choice,
        ..with_tools("hello", &["first", "second"])
    };
    assert_eq!(names(&request(ToolChoice::Required)), ["first"]);
    let second = NamedTool::Function {
        name: "second".to_owned(),
    };
    assert_eq!(names(&request(ToolChoice::Named(second))), ["second"]);
    assert!(text(&request(ToolChoice::Auto)).starts_with("You said"));
    let forbidden = LlmRequest {
        tool_choice: ToolChoice::None,
        ..with_tools("call first", &["first"])
    };
    assert!(text(&forbidden).starts_with("You said"));
}

#[test]
fn an_output_is_repeated_even_when_a_call_is_required() {
    let mut request = LlmRequest {
        tool_choice: ToolChoice::Required,
        ..with_tools("call first", &["first"])
    };
    for (call_id, output) in [("a", "12 degrees"), ("b", "noon")] {
        request.messages.push(LlmMessage::ToolCall {
            call_id: call_id.to_owned(),
            name: "first".to_owned(),
            arguments: "{}".to_owned(),
        });
        request.messages.push(LlmMessage::ToolOutput {
            call_id: call_id.to_owned(),
            output: output.to_owned(),
        });
    }
    assert_eq!(
        text(&request),
        "The function returned 12 degrees and noon. Is there anything else?"
    );
}

#[test]
fn failures_and_paces_are_found() {
    assert_eq!(plan(&user("now fail llm")).act, Act::Refuse);
    assert!(matches!(
        plan(&user("fail llm midway")).act,
        Act::BreakOff(_)
    ));
    assert_eq!(plan(&instructed("fail llm", user("hi"))).act, Act::Refuse);
    assert!(text(&user("fail tts")).contains("fail tts"));
    assert_eq!(plan(&user("slowly 250 please")).pace, Pace::Ms(250));
    assert_eq!(plan(&instructed("slowly", user("hi"))).pace, Pace::Slow);
}

#[test]
fn instructions_call_only_on_request() {
    let tools = || with_tools("hello", &["lookup"]);
    assert!(text(&instructed("Use lookup when asked.", tools())).starts_with("You said"));
    assert_eq!(names(&instructed("call lookup", tools())), ["lookup"]);
}
