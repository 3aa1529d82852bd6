//! The chat-completions client against a server that enforces the protocol.

use std::time::Duration;

use engine::ask::{Finish, LlmMessage, LlmRequest, LlmUsage};
use providers::{
    Kind, http,
    llm::openai::{Limits, OpenAiConfig, OpenAiLlm},
    ports::{Llm as _, LlmEvent},
};
use serde_json::json;
use wire::realtime::session::Tool;

use crate::{
    conformance::{self, answer, ask},
    fake_openai::{FakeOpenAi, KEY, MODEL},
};

fn config(fake: &FakeOpenAi) -> OpenAiConfig {
    OpenAiConfig {
        base_url: fake.base_url.parse().unwrap(),
        model: MODEL.to_owned(),
        api_key: Some(KEY.into()),
        limits: Limits::default(),
    }
}

fn open(config: OpenAiConfig) -> OpenAiLlm {
    OpenAiLlm::new(http::client().unwrap(), config).unwrap()
}

fn function(name: &str) -> Tool {
    Tool::Function {
        name: name.to_owned(),
        description: None,
        parameters: Some(json!({ "type": "object" })),
    }
}

#[tokio::test]
async fn the_suite_passes() {
    let fake = FakeOpenAi::start().await;
    let llm = open(config(&fake));
    conformance::llm_answers(&llm).await;
    conformance::llm_keeps_to_the_limit(&llm).await;
}

#[tokio::test]
async fn an_answer_has_its_text_and_its_counts() {
    let fake = FakeOpenAi::start().await;
    let answered = answer(&open(config(&fake)), ask("hello")).await.unwrap();
    assert_eq!(answered.text, "All is well.");
    let usage = LlmUsage {
        input_tokens: 11,
        cached_tokens: 7,
        output_tokens: 3,
    };
    assert_eq!(answered.done(), (Finish::Stop, usage));
}

#[tokio::test]
async fn a_base_url_works_with_and_without_a_slash_at_its_end() {
    let fake = FakeOpenAi::start().await;
    let base_url = format!("{}/", fake.base_url).parse().unwrap();
    let llm = open(OpenAiConfig {
        base_url,
        ..config(&fake)
    });
    assert_eq!(
        answer(&llm, ask("hello")).await.unwrap().text,
        "All is well."
    );
}

#[tokio::test]
async fn a_function_is_called_and_its_output_answered() {
    let fake = FakeOpenAi::start().await;
    let llm = open(config(&fake));
    let question = LlmRequest {
        tools: vec![function("weather"), function("time")],
        ..ask("call")
    };
    let called = answer(&llm, question.clone()).await.unwrap();
    let expected = [
        ("call_a", "weather", "{\"city\":\"Bern\"}"),
        ("call_b", "time", "{}"),
    ];
    let calls: Vec<(&str, &str, &str)> = called
        .calls
        .iter()
        .map(|(id, name, arguments)| (id.as_str(), name.as_str(), arguments.as_str()))
        .collect();
    assert_eq!(calls, expected);
    assert_eq!(called.done().0, Finish::Stop);

    let mut context = question.messages;
    for (call_id, name, arguments) in called.calls {
        context.push(LlmMessage::ToolCall {
            call_id,
            name,
            arguments,
        });
    }
    // outputs come in any order, the caller speaks in between, and one is still to come
    context.push(LlmMessage::User {
        text: "and?".to_owned(),
        images: Vec::new(),
    });
    context.push(LlmMessage::ToolOutput {
        call_id: "call_b".to_owned(),
        output: "noon".to_owned(),
    });
    context.push(LlmMessage::User {
        text: "hello?".to_owned(),
        images: Vec::new(),
    });
    let request = LlmRequest {
        messages: context,
        ..ask("")
    };
    assert_eq!(answer(&llm, request).await.unwrap().text, "All is well.");
    let sent = fake.last_body();
    assert_eq!(sent["messages"][4]["content"], "noon");
}

#[tokio::test]
async fn refusals_say_who_must_act() {
    let fake = FakeOpenAi::start().await;
    let llm = open(config(&fake));
    let failure = async |text: &str| answer(&llm, ask(text)).await.unwrap_err();
    assert_eq!(failure("trouble").await.kind, Kind::Unavailable);
    let away = failure("away").await;
    assert_eq!(
        (away.kind, away.retry_after),
        (Kind::Unavailable, Some(Duration::from_secs(30)))
    );
    assert_eq!(failure("no money").await.kind, Kind::Unauthorized);
    assert_eq!(failure("moved").await.kind, Kind::Protocol);

    let stranger = answer(
        &llm,
        LlmRequest {
            model: Some("nobody".to_owned()),
            ..ask("hello")
        },
    )
    .await
    .unwrap_err();
    assert_eq!(stranger.kind, Kind::Rejected);
    // what the vendor says may quote the prompt: for the client, not for the log
    assert!(!stranger.message.contains("does not exist"), "{stranger}");
    let told = stranger.message_for_client();
    assert!(told.contains("does not exist"), "{told}");

    fake.limit_to(1);
    answer(&llm, ask("hello")).await.unwrap();
    let limited = failure("hello").await;
    assert_eq!(
        (limited.kind, limited.retry_after),
        (Kind::RateLimited, Some(Duration::from_secs(2)))
    );
}

#[tokio::test]
async fn a_wrong_key_is_told_without_any_part_of_it() {
    let fake = FakeOpenAi::start().await;
    for api_key in [None, Some("sk-wrong".into()), Some("".into())] {
        let llm = open(OpenAiConfig {
            api_key,
            ..config(&fake)
        });
        let refused = answer(&llm, ask("hello")).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Unauthorized);
        assert!(!refused.to_string().contains("sk-"), "{refused}");
    }
    let unwritable = OpenAiConfig {
        api_key: Some("sk\n1".into()),
        ..config(&fake)
    };
    let refused = OpenAiLlm::new(http::client().unwrap(), unwritable)
        .err()
        .unwrap();
    assert_eq!(refused.kind, Kind::Unauthorized);
}

#[tokio::test]
async fn a_connection_that_is_cut_or_malformed_fails_behind_what_came() {
    let fake = FakeOpenAi::start().await;
    let llm = open(config(&fake));
    let mut cut = llm.ask(ask("cut")).await.unwrap();
    let mut text = String::new();
    while text != "All is well." {
        let Some(LlmEvent::Text(part)) = cut.events.recv().await else {
            panic!("no text behind {text}")
        };
        text += &part;
    }
    fake.cut();
    let Some(LlmEvent::Failed(error)) = cut.events.recv().await else {
        panic!("no failure")
    };
    assert_eq!(error.kind, Kind::Unavailable);
    assert_eq!(cut.events.recv().await, None);
    let malformed = answer(&llm, ask("malformed")).await.unwrap();
    assert_eq!(
        (malformed.text.as_str(), malformed.failure().kind),
        ("All is well.", Kind::Protocol)
    );
    let bare = answer(&llm, ask("bare")).await.unwrap();
    assert_eq!(
        (bare.text.as_str(), bare.done()),
        ("All is well.", (Finish::Stop, LlmUsage::default()))
    );
}

#[tokio::test]
async fn silence_times_out() {
    let fake = FakeOpenAi::start().await;
    let limits = Limits {
        first_event: Duration::from_millis(60),
        ..Limits::default()
    };
    let llm = open(OpenAiConfig {
        limits,
        ..config(&fake)
    });
    let hung = answer(&llm, ask("hang")).await.unwrap();
    assert_eq!(hung.failure().kind, Kind::Timeout);

    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", nobody.local_addr().unwrap())
        .parse()
        .unwrap();
    let llm = open(OpenAiConfig {
        base_url,
        limits,
        ..config(&fake)
    });
    assert_eq!(
        answer(&llm, ask("hello")).await.unwrap_err().kind,
        Kind::Timeout
    );
    drop(nobody);
    assert_eq!(
        answer(&llm, ask("hello")).await.unwrap_err().kind,
        Kind::Unavailable
    );
}

#[tokio::test]
async fn dropping_the_answer_closes_the_request() {
    let mut fake = FakeOpenAi::start().await;
    let llm = open(config(&fake));
    let mut stream = llm.ask(ask("forever")).await.unwrap();
    assert!(matches!(
        stream.events.recv().await,
        Some(LlmEvent::Text(_))
    ));
    drop(stream);
    fake.given_up().await;
}

#[tokio::test]
async fn one_connection_serves_one_question_after_another() {
    let fake = FakeOpenAi::start().await;
    let llm = open(config(&fake));
    for _ in 0..5 {
        // read to the end of the channel, where the connection has been handed back
        answer(&llm, ask("hello")).await.unwrap();
    }
    assert_eq!(fake.connections(), 1);
}
