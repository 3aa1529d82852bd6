//! Language models: the caller hears the whole answer, once.

use std::{sync::Arc, time::Duration};

use engine::ask::{LlmMessage, LlmRequest};
use providers::{
    Limits, Vendor,
    guarded::{GuardedLlm, Member, Stage, Watch},
    ports::Llm,
    scripted::{ScriptedConfig, ScriptedLlm},
};

use super::{QUESTIONS, Story, consequence};
use crate::{
    conformance::{answer, ask},
    fakes::Fault,
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

fn row(subject: &Subject, vendor: Vendor, watch: &Watch) -> GuardedLlm {
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
    GuardedLlm::new(members, watch.clone())
}

async fn matrix(subject: &Subject) {
    for fault in Fault::ALL {
        let fake = llm_subjects::start(subject).await;
        let story = Story::new(Stage::Llm);
        let llm = row(subject, llm_subjects::vendor(&fake), &story.watch);
        fake.fault_always(Some(fault)).await;
        for _ in 0..QUESTIONS {
            let answered = answer(&llm, question()).await.unwrap();
            assert_eq!(answered.text, ANSWER, "{fault:?}");
        }
        let (taken_over, _) = match fault {
            // slow is not broken
            Fault::Trickle => (0, Duration::ZERO),
            fault => consequence(fault),
        };
        story.holds(fault, taken_over);
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
