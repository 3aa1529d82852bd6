//! A survey in the place of a language model: an agent with `survey` asks its questions over any voice channel.
//! Put into the session's pipeline by `session::prepare`; asked like every other model.
//! Never keeps where a conversation stands: it follows from what its caller has said, so that it may move and be resumed.

use std::sync::Arc;

use async_trait::async_trait;
use engine::ask::{Finish, LlmMessage, LlmRequest, LlmUsage};
use engine::survey::{Dialect, Phrase, Questions, Spoken};
use providers::ports::{Llm, LlmEvent, LlmStream};
use providers::{Pipeline, ProviderError};
use store::{Added, StoreError};
use tokio::sync::mpsc;
use wire::realtime::session::Tool;
use wire::rest::surveys::Answer;

use super::{Desk, Kept, questions};

/// Its name in logs.
const NAME: &str = "survey";
/// The function that ends a conversation, where the agent has it.
const END_CALL: &str = "end_call";
/// Text, a call with its arguments, and the end.
const EVENTS: usize = 4;

/// A spoken survey.
pub(crate) struct Mind {
    desk: Arc<Desk>,
    tenant: String,
    questions: Questions,
}

/// Whether a survey answers in this pipeline.
pub(crate) fn asks(pipeline: &Pipeline) -> bool {
    pipeline.llm.name() == NAME
}

impl Mind {
    /// The survey `id` of `tenant`; `None` when there is none that can be asked.
    pub(crate) async fn open(
        desk: &Arc<Desk>,
        tenant: &str,
        id: &str,
    ) -> Result<Option<Self>, StoreError> {
        let set = desk.sql.find_question_set(tenant, Some(id)).await?;
        Ok(set.and_then(questions).map(|questions| Self {
            desk: Arc::clone(desk),
            tenant: tenant.to_owned(),
            questions,
        }))
    }

    /// What is said first.
    pub(crate) fn greeting(&self) -> String {
        match self.after([].into_iter()) {
            Spoken::Next(text) | Spoken::Stopped(text) | Spoken::Done(_, text) => text,
        }
    }

    fn after<'a>(&self, said: impl Iterator<Item = &'a str>) -> Spoken {
        let manner = self.desk.manner(Dialect::V3c);
        Spoken::after(&self.questions, &manner.locale, said)
    }

    /// Stores the answers of a conversation, once, whatever its caller says after the last of them.
    async fn save(&self, session: &str, answers: &[Answer]) -> Result<Added, StoreError> {
        let who = format!("session:{session}");
        let person = self.desk.sql.person(&who).await?;
        let kept = Kept {
            who: &who,
            person: &person,
            id: session,
        };
        let answered = (&*self.questions.id, answers);
        self.desk.store(&self.tenant, &kept, answered).await
    }

    /// What is said now, and whether it is the last.
    async fn reply(&self, request: &LlmRequest) -> (String, bool) {
        let said = request.messages.iter().filter_map(|message| match message {
            LlmMessage::User { text, .. } => Some(text.as_str()),
            _ => None,
        });
        match self.after(said) {
            Spoken::Next(text) => (text, false),
            Spoken::Stopped(text) => (text, true),
            Spoken::Done(answers, text) => match self.save(&request.session, &answers).await {
                Ok(Added::Stored | Added::AnsweredBefore) => (text, true),
                Ok(Added::NoSet) => (self.failed(), true),
                Err(error) => {
                    tracing::error!(
                        error = %crate::auth::chain(&error),
                        session = request.session,
                        "the answers of a spoken survey could not be stored; the caller is asked to try again"
                    );
                    (self.failed(), false)
                }
            },
        }
    }

    fn failed(&self) -> String {
        let manner = self.desk.manner(Dialect::V3c);
        manner.locale.plain(Phrase::Failed).to_owned()
    }
}

#[async_trait]
impl Llm for Mind {
    fn name(&self) -> &str {
        NAME
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let (text, is_last) = self.reply(&request).await;
        let ends = |tool: &Tool| matches!(tool, Tool::Function { name, .. } if name == END_CALL);
        let may_end = request.tools.iter().any(ends);
        let (outbox, events) = mpsc::channel(EVENTS);
        let mut all = vec![LlmEvent::Text(text)];
        if is_last && may_end {
            all.push(LlmEvent::ToolCall {
                call_id: format!("call_{}", request.turn),
                name: END_CALL.to_owned(),
            });
            all.push(LlmEvent::ToolArguments("{}".to_owned()));
        }
        all.push(LlmEvent::Done {
            finish: Finish::Stop,
            usage: LlmUsage::default(),
        });
        for event in all {
            // there is room for all of them, and the reader is held here
            let _ = outbox.try_send(event);
        }
        Ok(LlmStream { events })
    }
}
