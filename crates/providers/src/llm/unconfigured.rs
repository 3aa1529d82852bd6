//! Stands in where no language model is configured and says so, aloud.
//! Chosen by the catalog, so that a first conversation ends with the next step and not with silence.
//! Never looks at the question.

use async_trait::async_trait;
use engine::ask::{Finish, LlmRequest, LlmUsage};
use tokio::sync::mpsc;

use crate::{
    ProviderError,
    ports::{Llm, LlmEvent, LlmStream},
};

/// What it answers to everything.
pub(crate) const ANSWER: &str = "I can hear you, but no language model is configured on this server. \
    Set the option llm base url to any server that speaks the OpenAI chat protocol, and ask me again.";

/// The absent language model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unconfigured;

#[async_trait]
impl Llm for Unconfigured {
    fn name(&self) -> &'static str {
        "unconfigured"
    }

    async fn ask(&self, _request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let (outbox, events) = mpsc::channel(2);
        let done = LlmEvent::Done {
            finish: Finish::Stop,
            usage: LlmUsage::default(),
        };
        for event in [LlmEvent::Text(ANSWER.to_owned()), done] {
            // both fit into the channel, whose reader is still in this function
            let _ = outbox.try_send(event);
        }
        Ok(LlmStream { events })
    }
}
