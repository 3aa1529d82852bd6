//! What a response asks of the language model (instructions, messages, tools, limits), and an utterance of
//! transcription.
//! Called by `respond` when a response begins, by `transcript` when speech does, and when the session gets ready.
//! Never changes the conversation: it only remembers from where on the model reads.

use wire::realtime::item::ItemBody;
use wire::realtime::response::{CreateResponse, InputItem};
use wire::realtime::session::{MaxTokens, Truncation, TurnDetection};
use wire::realtime::{Item, ItemStatus};

use super::items::Cut;
use super::reply::Reply;
use super::tools::{Round, runs_tools};
use super::{Session, context};
use crate::ask::{LlmMessage, LlmRequest, SttOptions};

/// Whether a cut made for one request holds for the next ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Cut,
    Nothing,
}

impl Session {
    /// What the next utterance asks of transcription.
    pub(super) fn stt_options(&self) -> SttOptions {
        let wanted = self.settings.input.transcription.as_ref();
        let mut prompt = wanted.and_then(|t| t.prompt.clone()).unwrap_or_default();
        for keyword in wanted
            .and_then(|t| t.keywords.as_deref())
            .unwrap_or_default()
        {
            if !prompt.is_empty() {
                prompt.push_str(", ");
            }
            prompt.push_str(keyword);
        }
        SttOptions {
            session: self.settings.id.clone(),
            turn: self.next_turn(),
            language: wanted
                .and_then(|t| t.language.clone())
                .or_else(|| self.policy.language.clone()),
            prompt: (!prompt.is_empty()).then_some(prompt),
            logprobs: self.wants_logprobs(),
            judge_turn: matches!(
                self.settings.input.turn_detection,
                Some(TurnDetection::SemanticVad { .. })
            ),
        }
    }

    pub(super) fn wants_logprobs(&self) -> bool {
        self.settings.include.as_ref().is_some_and(|include| {
            include
                .iter()
                .any(|field| field == "item.input_audio_transcription.logprobs")
        })
    }

    /// A request like the next one will be, as far as it is known: the prompt prefix.
    pub(super) fn warm_request(&mut self) -> LlmRequest {
        let instructions = self.instructions(&CreateResponse::default());
        let messages = self.conversation_view(instructions, None, Keep::Cut, &[]);
        LlmRequest {
            session: self.settings.id.clone(),
            turn: self.next_turn(),
            model: self.policy.llm_model.clone(),
            messages: messages.unwrap_or_default(),
            tools: self.with_server_tools(&self.settings.tools),
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
    pub(super) fn request(&mut self, reply: &Reply) -> Result<LlmRequest, context::Overflow> {
        let create = &reply.create;
        let mut messages = self.instructions(create);
        let prompt = reply.prompt.as_ref().map(|words| LlmMessage::User {
            text: words.clone(),
            images: Vec::new(),
        });
        let messages = if let Some(input) = &create.input {
            messages.extend(input.iter().filter_map(|item| self.input_message(item)));
            messages.extend(prompt);
            let limit = self.policy.context_tokens;
            context::fit(messages, limit, &self.settings.truncation)?
        } else {
            let in_conversation = reply.response.conversation_id.is_some();
            let keep = if in_conversation && create.instructions.is_none() {
                Keep::Cut
            } else {
                Keep::Nothing
            };
            self.conversation_view(messages, prompt, keep, &reply.rounds)?
        };
        let settings = &self.settings;
        let limit = match reply.response.max_output_tokens {
            MaxTokens::Limit(limit) => Some(limit),
            MaxTokens::Inf => None,
        };
        let effort = create.reasoning.as_ref().or(settings.reasoning.as_ref());
        let offered = create.tools.as_ref();
        let mut request = LlmRequest {
            session: settings.id.clone(),
            turn: reply.speak.turn,
            model: self.policy.llm_model.clone(),
            messages,
            tools: if runs_tools(reply) {
                self.with_server_tools(&settings.tools)
            } else {
                offered.unwrap_or(&settings.tools).clone()
            },
            tool_choice: create
                .tool_choice
                .clone()
                .unwrap_or_else(|| settings.tool_choice.clone()),
            parallel_tool_calls: create.parallel_tool_calls.or(settings.parallel_tool_calls),
            max_tokens: limit,
            temperature: self.policy.temperature,
            reasoning_effort: effort.and_then(|r| r.get("effort")).cloned(),
            speculative: false,
        };
        self.add_rounds(reply, &mut request);
        Ok(request)
    }

    /// The conversation as far as it fits after `instructions` and before `prompt`.
    ///
    /// With a retention ratio the cut stays where it is until the limit is reached again: then every prompt
    /// begins with the one before it, which is what prompt caches need. Calls of `apart` are left out.
    fn conversation_view(
        &mut self,
        instructions: Vec<LlmMessage>,
        prompt: Option<LlmMessage>,
        keep: Keep,
        apart: &[Round],
    ) -> Result<Vec<LlmMessage>, context::Overflow> {
        let by_ratio = matches!(self.settings.truncation, Truncation::RetentionRatio(_));
        let entries = self.conversation.entries();
        let cut = self
            .reads_from
            .as_deref()
            .filter(|_| by_ratio)
            .and_then(|id| self.conversation.position(id));
        let (mut positions, mut said) = (Vec::new(), instructions);
        let instructed = said.len();
        for (at, message) in context::messages(entries) {
            if apart.iter().any(|round| round.holds(&entries[at].item.id)) {
                continue;
            }
            let leads =
                context::head(&said) == said.len() && matches!(message, LlmMessage::System(_));
            if leads || cut.is_none_or(|cut| at >= cut) {
                positions.push(at);
                said.push(message);
            }
        }
        said.extend(prompt);
        let head = context::head(&said);
        let (first, rest) = said.split_at(head);
        // what the reply has been told so far comes on top, and needs its room
        let limit = self.policy.context_tokens;
        let told = self.rounds_tokens(apart);
        let limit = limit.saturating_sub(told).max(limit / 4);
        let dropped = context::surplus(first, rest, limit, &self.settings.truncation)?;
        if dropped > 0 && by_ratio && keep == Keep::Cut {
            let oldest = positions.get(head + dropped - instructed);
            self.reads_from = oldest.map(|at| entries[*at].item.id.clone());
        }
        said.drain(head..head + dropped);
        Ok(said)
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
