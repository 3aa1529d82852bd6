//! What every language model behind HTTP must do, whoever the vendor is.
//! Run once per vendor against its fake; what is particular to one has a file of its own.
//! Knows no protocol: the fakes hold every question against their vendor's contract.

use std::time::Duration;

use engine::ask::{Finish, LlmMessage, LlmRequest, LlmUsage};
use providers::{Kind, Limits, Vendor, http, ports::LlmEvent};
use serde_json::json;
use wire::realtime::session::{NamedTool, ToolChoice};

use crate::{
    conformance::{self, answer, ask},
    fakes::{Fake, Fault, PROMPT_TOKENS},
    llm_subjects::{
        ANTHROPIC, GEMINI, OLLAMA, OPENAI, RESPONSES, Subject, function, open, pair, said, start,
        vendor,
    },
};

/// The tests of one vendor.
macro_rules! suite {
    ($($vendor:ident: $subject:expr;)*) => {$(
        mod $vendor {
            use super::*;

            suite!(@tests $subject;
                the_conformance_suite_passes
                an_answer_has_its_text_and_its_counts
                a_base_url_works_with_a_slash_at_its_end
                functions_are_called_and_their_outputs_answered
                every_choice_of_functions_is_taken
                a_conversation_may_begin_and_end_with_anyone
                refusals_say_who_must_act
                a_wrong_key_is_told_without_any_part_of_it
                a_connection_that_is_cut_fails_behind_what_came
                a_malformed_or_bare_end_is_told_apart
                silence_times_out
                dropping_the_answer_closes_the_request
                one_connection_serves_one_question_after_another
                a_check_asks_without_making_work
                every_fault_has_its_kind
            );
        }
    )*};
    (@tests $subject:expr; $($test:ident)*) => {$(
        #[tokio::test]
        async fn $test() {
            super::$test(&$subject).await;
        }
    )*};
}

suite! {
    openai: OPENAI;
    responses: RESPONSES;
    anthropic: ANTHROPIC;
    gemini: GEMINI;
    ollama: OLLAMA;
}

async fn the_conformance_suite_passes(subject: &Subject) {
    let (_fake, llm) = pair(subject).await;
    conformance::llm_answers(&*llm).await;
    conformance::llm_keeps_to_a_limit_of(&*llm, subject.least_limit).await;
}

async fn an_answer_has_its_text_and_its_counts(subject: &Subject) {
    let (_fake, llm) = pair(subject).await;
    assert_eq!(llm.name(), "acme");
    let answered = answer(&*llm, ask("hello")).await.unwrap();
    assert_eq!(answered.text, "All is well.");
    let (input_tokens, cached_tokens) = PROMPT_TOKENS;
    let usage = LlmUsage {
        input_tokens,
        cached_tokens,
        output_tokens: 3,
    };
    assert_eq!(answered.done(), (Finish::Stop, usage));
}

async fn a_base_url_works_with_a_slash_at_its_end(subject: &Subject) {
    let fake = start(subject).await;
    let base_url = format!("{}/", fake.base_url).parse().unwrap();
    let slashed = Vendor {
        base_url,
        ..vendor(&fake)
    };
    let llm = open(subject, slashed);
    let answered = answer(&*llm, ask("hello")).await.unwrap();
    assert_eq!(answered.text, "All is well.");
    llm.check().await.unwrap();
}

async fn functions_are_called_and_their_outputs_answered(subject: &Subject) {
    let (fake, llm) = pair(subject).await;
    let question = LlmRequest {
        tools: vec![function("weather"), function("time")],
        ..ask("call")
    };
    let called = answer(&*llm, question.clone()).await.unwrap();
    let calls: Vec<(&str, serde_json::Value)> = called
        .calls
        .iter()
        .map(|(_, name, arguments)| (name.as_str(), serde_json::from_str(arguments).unwrap()))
        .collect();
    assert_eq!(
        calls,
        [("weather", json!({ "city": "Bern" })), ("time", json!({}))]
    );
    assert_eq!(called.done().0, Finish::Stop);
    assert_eq!(called.done().1.output_tokens, 9);
    let second = called.calls[1].0.clone();
    assert_ne!(called.calls[0].0, second);

    let mut context = question.messages.clone();
    for (call_id, name, arguments) in called.calls {
        context.push(LlmMessage::ToolCall {
            call_id,
            name,
            arguments,
        });
    }
    // outputs come in any order, the caller speaks in between, and one is still to come
    context.push(said("and?"));
    context.push(LlmMessage::ToolOutput {
        call_id: second,
        output: "noon".to_owned(),
    });
    // calls of another vendor's model, with another vendor's idea of an id
    context.push(LlmMessage::Assistant("One moment.".to_owned()));
    context.push(LlmMessage::ToolCall {
        call_id: "foreign:1".to_owned(),
        name: "time".to_owned(),
        arguments: "{broken".to_owned(),
    });
    context.push(LlmMessage::ToolOutput {
        call_id: "foreign:1".to_owned(),
        output: "\n".to_owned(),
    });
    context.push(said("hello?"));
    let request = LlmRequest {
        messages: context,
        ..question
    };
    assert_eq!(answer(&*llm, request).await.unwrap().text, "All is well.");
    let sent = fake.last_body().to_string();
    assert!(sent.contains("noon"), "{sent}");
    assert!(sent.contains("has not returned yet"), "{sent}");
}

async fn every_choice_of_functions_is_taken(subject: &Subject) {
    let (_fake, llm) = pair(subject).await;
    let named = NamedTool::Function {
        name: "time".to_owned(),
    };
    for choice in [
        ToolChoice::Auto,
        ToolChoice::None,
        ToolChoice::Required,
        ToolChoice::Named(named),
    ] {
        for parallel in [None, Some(false)] {
            let question = LlmRequest {
                tools: vec![function("weather"), function("time")],
                tool_choice: choice.clone(),
                parallel_tool_calls: parallel,
                temperature: Some(0.8),
                reasoning_effort: Some(json!("low")),
                ..ask("hello")
            };
            let answered = answer(&*llm, question).await.unwrap();
            assert_eq!(answered.text, "All is well.", "{choice:?} {parallel:?}");
        }
    }
}

async fn a_conversation_may_begin_and_end_with_anyone(subject: &Subject) {
    let (_fake, llm) = pair(subject).await;
    let model = |text: &str| LlmMessage::Assistant(text.to_owned());
    let system = |text: &str| LlmMessage::System(text.to_owned());
    let picture = LlmMessage::User {
        text: String::new(),
        images: vec!["data:image/png;base64,iVBORw0KGgo=".to_owned()],
    };
    for messages in [
        vec![system("Greet the caller.")],
        vec![model("Hello!"), said("hello")],
        vec![system("be kind"), said("hello"), model("Well, ")],
        vec![
            said("a"),
            said("b"),
            model("c"),
            model("d"),
            picture,
            said("hello"),
        ],
        // an answer that another model has to go on with
        vec![
            system("be kind"),
            said("hello"),
            model("All "),
            system("Go on."),
        ],
    ] {
        let request = LlmRequest {
            messages: messages.clone(),
            ..ask("")
        };
        let answered = answer(&*llm, request).await;
        assert_eq!(answered.unwrap().text, "All is well.", "{messages:?}");
    }
}

async fn refusals_say_who_must_act(subject: &Subject) {
    let (fake, llm) = pair(subject).await;
    let failure = async |text: &str| answer(&*llm, ask(text)).await.unwrap_err();
    assert_eq!(failure("trouble").await.kind, Kind::Unavailable);
    let away = failure("away").await;
    assert_eq!(
        (away.kind, away.retry_after),
        (Kind::Unavailable, Some(Duration::from_secs(30)))
    );
    assert_eq!(failure("no money").await.kind, Kind::Unauthorized);
    assert_eq!(failure("moved").await.kind, Kind::Protocol);

    let stranger = LlmRequest {
        model: Some("nobody".to_owned()),
        ..ask("hello")
    };
    let stranger = answer(&*llm, stranger).await.unwrap_err();
    assert_eq!(stranger.kind, Kind::Rejected);
    assert_eq!(stranger.provider, "acme");
    // what the vendor says may quote the prompt: for the client, not for the log
    assert!(!stranger.message.contains("does not exist"), "{stranger}");
    let told = stranger.message_for_client();
    assert!(told.contains("does not exist"), "{told}");

    fake.limit_to(1);
    answer(&*llm, ask("hello")).await.unwrap();
    let limited = failure("hello").await;
    assert_eq!(
        (limited.kind, limited.retry_after),
        (Kind::RateLimited, Some(Duration::from_secs(2)))
    );
}

async fn a_wrong_key_is_told_without_any_part_of_it(subject: &Subject) {
    let fake = start(subject).await;
    for key in [None, Some(""), Some("sk-wrong")] {
        let keyed = Vendor {
            api_key: key.map(Into::into),
            ..vendor(&fake)
        };
        let missing = key.is_none_or(str::is_empty);
        let opened = (subject.open)(http::client().unwrap(), keyed);
        let refused = match opened {
            Ok(llm) => {
                assert!(!(missing && subject.needs_key), "opened without a key");
                let checked = llm.check().await.unwrap_err();
                assert_eq!(checked.kind, Kind::Unauthorized);
                answer(&*llm, ask("hello")).await.unwrap_err()
            }
            Err(refused) => {
                assert!(missing && subject.needs_key);
                assert!(refused.message.contains("providers.acme.api_key"));
                refused
            }
        };
        assert_eq!(refused.kind, Kind::Unauthorized);
        assert!(!refused.message_for_client().contains("sk-"), "{refused}");
    }
    let unwritable = Vendor {
        api_key: Some("sk\n1".into()),
        ..vendor(&fake)
    };
    let refused = (subject.open)(http::client().unwrap(), unwritable).err();
    assert_eq!(refused.unwrap().kind, Kind::Unauthorized);
}

async fn a_connection_that_is_cut_fails_behind_what_came(subject: &Subject) {
    let (fake, llm) = pair(subject).await;
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
}

async fn a_malformed_or_bare_end_is_told_apart(subject: &Subject) {
    let (fake, llm) = pair(subject).await;
    let malformed = answer(&*llm, ask("malformed")).await.unwrap();
    assert_eq!(
        (malformed.text.as_str(), malformed.failure().kind),
        ("All is well.", Kind::Protocol)
    );
    let bare = answer(&*llm, ask("bare")).await.unwrap();
    assert_eq!(bare.text, "All is well.");
    if fake.may_end_bare() {
        assert_eq!(bare.done(), (Finish::Stop, LlmUsage::default()));
    } else {
        assert_eq!(bare.failure().kind, Kind::Unavailable);
    }
}

fn impatient(fake: &Fake, first_event_ms: u64) -> Vendor {
    Vendor {
        limits: Limits {
            first_event: Duration::from_millis(first_event_ms),
            between_events: Duration::from_millis(250),
        },
        ..vendor(fake)
    }
}

async fn silence_times_out(subject: &Subject) {
    let fake = start(subject).await;
    let llm = open(subject, impatient(&fake, 250));
    let hung = answer(&*llm, ask("hang")).await.unwrap();
    assert_eq!(hung.failure().kind, Kind::Timeout);

    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut silent = impatient(&fake, 250);
    silent
        .base_url
        .set_port(Some(nobody.local_addr().unwrap().port()))
        .unwrap();
    let llm = open(subject, silent);
    let asked = answer(&*llm, ask("hello")).await.unwrap_err();
    let checked = llm.check().await.unwrap_err();
    assert_eq!((asked.kind, checked.kind), (Kind::Timeout, Kind::Timeout));
    drop(nobody);
    let asked = answer(&*llm, ask("hello")).await.unwrap_err();
    let checked = llm.check().await.unwrap_err();
    assert_eq!(
        (asked.kind, checked.kind),
        (Kind::Unavailable, Kind::Unavailable)
    );
}

async fn dropping_the_answer_closes_the_request(subject: &Subject) {
    let (mut fake, llm) = pair(subject).await;
    let mut stream = llm.ask(ask("forever")).await.unwrap();
    assert!(matches!(
        stream.events.recv().await,
        Some(LlmEvent::Text(_))
    ));
    drop(stream);
    fake.given_up().await;
}

async fn one_connection_serves_one_question_after_another(subject: &Subject) {
    let (fake, llm) = pair(subject).await;
    // what a check opened is used by the first question
    llm.check().await.unwrap();
    for _ in 0..5 {
        // read to the end of the channel, where the connection has been handed back
        answer(&*llm, ask("hello")).await.unwrap();
    }
    assert_eq!(fake.connections(), 1);
}

async fn a_check_asks_without_making_work(subject: &Subject) {
    let (fake, llm) = pair(subject).await;
    llm.check().await.unwrap();
    let targets = fake.targets();
    assert_eq!(targets.len(), 1);
    fake.fault(Fault::RateLimited);
    assert_eq!(llm.check().await.unwrap_err().kind, Kind::RateLimited);
    fake.fault(Fault::Broken);
    assert_eq!(llm.check().await.unwrap_err().kind, Kind::Unavailable);
}

async fn every_fault_has_its_kind(subject: &Subject) {
    let fake = start(subject).await;
    for fault in Fault::ALL {
        // a connection of its own, so that nobody listening is noticed
        let stalls = matches!(fault, Fault::StallBefore | Fault::StallMidway);
        let patient = vendor(&fake);
        let llm = open(
            subject,
            if stalls {
                impatient(&fake, 1000)
            } else {
                patient
            },
        );
        if fault == Fault::Refuse {
            fake.fault_always(Some(fault)).await;
        } else {
            fake.fault(fault);
        }
        let answered = answer(&*llm, ask("hello")).await;
        fake.fault_always(None).await;
        let (text, kind) = match answered {
            Ok(answered) => {
                let failed = answered.end.unwrap().err();
                (answered.text, failed.map(|failed| failed.kind))
            }
            Err(refused) => (String::new(), Some(refused.kind)),
        };
        let expected = match fault {
            Fault::Refuse | Fault::Broken => ("", Some(Kind::Unavailable)),
            Fault::Unauthorized => ("", Some(Kind::Unauthorized)),
            Fault::RateLimited => ("", Some(Kind::RateLimited)),
            Fault::StallBefore => ("", Some(Kind::Timeout)),
            Fault::StallMidway => ("All is ", Some(Kind::Timeout)),
            Fault::CloseMidway => ("All is ", Some(Kind::Unavailable)),
            Fault::Garbage => ("All is ", Some(Kind::Protocol)),
            Fault::Trickle => ("All is well.", None),
        };
        assert_eq!((text.as_str(), kind), expected, "{fault:?}");
        let healthy = answer(&*llm, ask("hello")).await.unwrap();
        assert_eq!(healthy.text, "All is well.", "after {fault:?}");
    }
}
