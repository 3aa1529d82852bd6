//! Language models: the caller hears the whole answer, once.

use std::sync::Arc;

use engine::ask::{LlmMessage, LlmRequest};
use providers::{
    Vendor,
    guarded::{GuardedLlm, Member, Stage, Watch},
    ports::Llm,
    scripted::{ScriptedConfig, ScriptedLlm},
};

use super::{Story, endure, walk};
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
    let acme = llm_subjects::open(subject, vendor);
    let scripted: Arc<dyn Llm> = Arc::new(ScriptedLlm::new(Arc::new(ScriptedConfig::default())));
    let members = [("acme", acme), ("second", scripted)]
        .into_iter()
        .map(|(name, llm)| Arc::new(Member::new(name, Stage::Llm, llm, watch.clone())))
        .collect();
    GuardedLlm::new(members, watch.clone())
}

async fn matrix(subject: &Subject) {
    walk();
    for fault in Fault::ALL {
        let fake = llm_subjects::start(subject).await;
        let story = Story::new(Stage::Llm);
        let llm = row(subject, llm_subjects::vendor(&fake), &story.watch);
        endure(&fake, fault, &story, async || {
            let answered = answer(&llm, question()).await.unwrap();
            assert_eq!(answered.text, ANSWER, "{fault:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn openai_with_faults() {
    matrix(&OPENAI).await;
}

#[tokio::test(start_paused = true)]
async fn responses_with_faults() {
    matrix(&RESPONSES).await;
}

#[tokio::test(start_paused = true)]
async fn anthropic_with_faults() {
    matrix(&ANTHROPIC).await;
}

#[tokio::test(start_paused = true)]
async fn gemini_with_faults() {
    matrix(&GEMINI).await;
}

#[tokio::test(start_paused = true)]
async fn ollama_with_faults() {
    matrix(&OLLAMA).await;
}
