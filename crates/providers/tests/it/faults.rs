//! Every language model vendor × everything that can go wrong, with another provider behind it: the caller hears the
//! whole answer, once. Real sockets on both sides.

use std::{sync::Arc, time::Duration};

use engine::ask::{LlmMessage, LlmRequest};
use providers::{
    Limits, Vendor,
    guarded::{GuardedLlm, Member, Stage},
    ports::Llm,
    scripted::{ScriptedConfig, ScriptedLlm},
};

use crate::{
    conformance::{answer, ask},
    fakes::Fault,
    guarded::written,
    llm_subjects::{self, ANTHROPIC, GEMINI, OLLAMA, OPENAI, RESPONSES, Subject},
};

/// What both providers answer.
const ANSWER: &str = "All is well.";

fn question() -> LlmRequest {
    let mut question = ask("hello");
    let words = LlmMessage::System(format!("say: {ANSWER}"));
    question.messages.insert(0, words);
    question
}

/// The vendor's name, and who took over after each question.
struct Row {
    llm: GuardedLlm,
    lines: Arc<std::sync::Mutex<Vec<String>>>,
}

fn row(subject: &Subject, vendor: Vendor) -> Row {
    let (watch, lines) = written();
    let patience = Limits {
        first_event: Duration::from_millis(150),
        between_events: Duration::from_millis(150),
    };
    let acme = llm_subjects::open(
        subject,
        Vendor {
            limits: patience,
            ..vendor
        },
    );
    let scripted: Arc<dyn Llm> = Arc::new(ScriptedLlm::new(Arc::new(ScriptedConfig::default())));
    let members = [("acme", acme), ("second", scripted)]
        .into_iter()
        .map(|(name, llm)| Arc::new(Member::new(name, Stage::Llm, llm, watch.clone())))
        .collect();
    Row {
        llm: GuardedLlm::new(members, watch),
        lines,
    }
}

async fn matrix(subject: &Subject) {
    for fault in Fault::ALL {
        let fake = llm_subjects::start(subject).await;
        let row = row(subject, llm_subjects::vendor(&fake));
        fake.fault_always(Some(fault)).await;
        for _ in 0..6 {
            let answered = answer(&row.llm, question()).await.unwrap();
            assert_eq!(answered.text, ANSWER, "{fault:?}");
        }
        let lines = row.lines.lock().unwrap().join(", ");
        let took_over = lines.matches("llm acme -> second").count();
        let expected = match fault {
            // slow is not broken
            Fault::Trickle => 0,
            // left alone for as long as it said, or until its key may be another one
            Fault::RateLimited | Fault::Unauthorized => 1,
            _ => 5,
        };
        assert_eq!(took_over, expected, "{fault:?}: {lines}");
        let rests = lines.contains("llm acme rests");
        assert_eq!(rests, expected == 5, "{fault:?}: {lines}");
        fake.fault_always(None).await;
    }
}

#[tokio::test]
async fn openai_with_faults() {
    matrix(&OPENAI).await;
}

#[tokio::test]
async fn responses_with_faults() {
    matrix(&RESPONSES).await;
}

#[tokio::test]
async fn anthropic_with_faults() {
    matrix(&ANTHROPIC).await;
}

#[tokio::test]
async fn gemini_with_faults() {
    matrix(&GEMINI).await;
}

#[tokio::test]
async fn ollama_with_faults() {
    matrix(&OLLAMA).await;
}
