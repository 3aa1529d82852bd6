//! What a response asks of the language model: instructions, messages, tools and limits.
//! Called by `respond` when a response begins and by the session when it warms the prompt.
//! Never changes the conversation.

use wire::realtime::item::ItemBody;
use wire::realtime::response::{CreateResponse, InputItem};
use wire::realtime::session::MaxTokens;
use wire::realtime::{Item, ItemStatus};

use super::items::Cut;
use super::reply::Reply;
use super::{Session, context};
use crate::ask::{LlmMessage, LlmRequest};

impl Session {
    /// A request like the next one will be, as far as it is known: the prompt prefix.
    pub(super) fn warm_request(&self) -> LlmRequest {
        let mut messages = self.instructions(&CreateResponse::default());
        messages.extend(context::messages(self.conversation.entries().iter()));
        let limit = self.policy.context_tokens;
        LlmRequest {
            session: self.settings.id.clone(),
            model: self.policy.llm_model.clone(),
            messages: context::fit(messages, limit, &self.settings.truncation).unwrap_or_default(),
            tools: self.settings.tools.clone(),
            tool_choice: self.settings.tool_choice.clone(),
            ..LlmRequest::default()
        }
    }

    fn instructions(&self, create: &CreateResponse) -> Vec<LlmMessage> {
        let text = create
            .instructions
            .as_ref()
            .unwrap_or(&self.settings.instructions);
        if text.trim().is_empty() {
            Vec::new()
        } else {
            vec![LlmMessage::System(text.clone())]
        }
    }

    /// What `reply` asks: its own input or the conversation, its own settings or the session's.
    ///
    /// Errors: the conversation is longer than the context and may not be cut.
    pub(super) fn request(&self, reply: &Reply) -> Result<LlmRequest, context::Overflow> {
        let create = &reply.create;
        let mut messages = self.instructions(create);
        match &create.input {
            Some(input) => {
                messages.extend(input.iter().filter_map(|item| self.input_message(item)));
            }
            None => messages.extend(context::messages(self.conversation.entries().iter())),
        }
        if let Some(words) = &reply.prompt {
            messages.push(LlmMessage::User {
                text: words.clone(),
                images: Vec::new(),
            });
        }
        let settings = &self.settings;
        let limit = match reply.response.max_output_tokens {
            MaxTokens::Limit(limit) => Some(limit),
            MaxTokens::Inf => None,
        };
        let effort = create.reasoning.as_ref().or(settings.reasoning.as_ref());
        Ok(LlmRequest {
            session: settings.id.clone(),
            model: self.policy.llm_model.clone(),
            messages: context::fit(messages, self.policy.context_tokens, &settings.truncation)?,
            tools: create
                .tools
                .clone()
                .unwrap_or_else(|| settings.tools.clone()),
            tool_choice: create
                .tool_choice
                .clone()
                .unwrap_or_else(|| settings.tool_choice.clone()),
            parallel_tool_calls: create.parallel_tool_calls.or(settings.parallel_tool_calls),
            max_tokens: limit,
            temperature: self.policy.temperature,
            reasoning_effort: effort.and_then(|r| r.get("effort")).cloned(),
            speculative: false,
        })
    }

    fn input_message(&self, item: &InputItem) -> Option<LlmMessage> {
        match item {
            InputItem::Reference { id } => {
                let entry = self.conversation.get(id)?;
                context::message(&entry.item, entry.cut)
            }
            InputItem::Inline { body, .. } => inline_message(body),
        }
    }
}

fn inline_message(body: &ItemBody) -> Option<LlmMessage> {
    context::message(
        &Item::new("", ItemStatus::Completed, body.clone()),
        Cut::Whole,
    )
}
