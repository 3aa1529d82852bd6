//! The small language model of this machine behind the port.
//! Asked by the session where no better model is configured.
//! Never offers it functions: a model of this size calls them at random. Tools, the choice among
//! them, their calls and outputs, and pictures are left out of what it is told.

use async_trait::async_trait;
use engine::ask::{Finish, LlmMessage, LlmRequest, LlmUsage};
use local::{
    ChatMessage, ChatRole, FinishReason, GenerateRequest, Generation, LocalModels, Origin,
    Priority, Sampling,
};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{NAME, failure};
use crate::{
    ProviderError,
    ports::{EVENT_BUFFER, Llm, LlmEvent, LlmStream},
};

/// Tokens of an answer that asks for no limit: half a minute of speech.
const DEFAULT_TOKENS: u32 = 128;
/// Most tokens of an answer.
const MAX_TOKENS: u32 = 512;
/// Characters of context that fit beside the longest answer: 1500 tokens of 3 characters each.
const CONTEXT_CHARS: usize = 4_500;
/// Characters of it that are kept free for the next question: half a minute of speech.
const QUESTION_CHARS: usize = 500;
/// Characters of it that the instructions may take.
const INSTRUCTION_CHARS: usize = 2_500;

/// The language model of this machine.
#[derive(Clone)]
pub struct LocalLlm {
    models: LocalModels,
}

impl LocalLlm {
    /// Answers with `models`.
    pub fn new(models: LocalModels) -> Self {
        Self { models }
    }
}

#[async_trait]
impl Llm for LocalLlm {
    fn name(&self) -> &str {
        NAME
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let priority = if request.speculative {
            Priority::Speculative
        } else {
            Priority::Live
        };
        let defaults = Sampling::default();
        let generation = self
            .models
            .generate(GenerateRequest {
                origin: Origin {
                    session: request.session,
                    priority,
                },
                messages: chat(&request.messages),
                max_tokens: request
                    .max_tokens
                    .unwrap_or(DEFAULT_TOKENS)
                    .clamp(1, MAX_TOKENS),
                sampling: Sampling {
                    temperature: request.temperature.unwrap_or(defaults.temperature),
                    ..defaults
                },
                ..GenerateRequest::default()
            })
            .map_err(|error| failure(&error))?;
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        tokio::spawn(hand_on(generation, outbox).in_current_span());
        Ok(LlmStream { events })
    }

    fn warm(&self, request: &LlmRequest) {
        self.models.warm(&request.session, chat(&request.messages));
    }
}

/// Ends, and with it the generation, when nobody listens.
async fn hand_on(mut generation: Generation, events: mpsc::Sender<LlmEvent>) {
    loop {
        let event = tokio::select! {
            biased;
            () = events.closed() => return,
            event = generation.next() => event,
        };
        let event = match event {
            Some(local::LlmEvent::Text(text)) => LlmEvent::Text(text),
            Some(local::LlmEvent::Done {
                prompt_tokens,
                cached_tokens,
                output_tokens,
                finish,
            }) => LlmEvent::Done {
                finish: match finish {
                    FinishReason::Stop => Finish::Stop,
                    FinishReason::Length => Finish::Length,
                },
                usage: LlmUsage {
                    input_tokens: prompt_tokens,
                    cached_tokens,
                    output_tokens,
                },
            },
            Some(local::LlmEvent::Failed(error)) => LlmEvent::Failed(failure(&error)),
            None => return,
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// Instructions first, then as much of the newest conversation as fits.
fn chat(context: &[LlmMessage]) -> Vec<ChatMessage> {
    let mut instructions = String::new();
    let mut conversation: Vec<ChatMessage> = Vec::new();
    for message in context {
        match message {
            LlmMessage::System(text) => {
                if !instructions.is_empty() {
                    instructions.push('\n');
                }
                instructions.push_str(text);
            }
            LlmMessage::User { text, .. } => say(&mut conversation, ChatRole::User, text),
            LlmMessage::Assistant(text) => say(&mut conversation, ChatRole::Assistant, text),
            LlmMessage::ToolCall { .. } | LlmMessage::ToolOutput { .. } => {}
        }
    }
    cut(&mut instructions, INSTRUCTION_CHARS);
    let start = first_kept(&conversation, CONTEXT_CHARS - instructions.len());
    let mut messages = Vec::with_capacity(1 + conversation.len() - start);
    if !instructions.is_empty() {
        messages.push(ChatMessage::new(ChatRole::System, instructions));
    }
    messages.extend(conversation.drain(start..));
    messages
}

fn say(conversation: &mut Vec<ChatMessage>, role: ChatRole, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    let mut text = text.to_owned();
    cut(&mut text, CONTEXT_CHARS - INSTRUCTION_CHARS);
    conversation.push(ChatMessage::new(role, text));
}

fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        let end = (0..=limit)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        text.truncate(end);
    }
}

/// The first message that still fits. It moves on by half the room at a time: as long as it stays,
/// the cached prompt of the last turn is the beginning of the next. Room for the next question is set aside, so that
/// the move happens when the prompt is warmed after an answer, and not when the question is waiting.
fn first_kept(conversation: &[ChatMessage], room: usize) -> usize {
    let size = |messages: &[ChatMessage]| -> usize {
        messages.iter().map(|message| message.content.len()).sum()
    };
    let answered = conversation
        .iter()
        .rposition(|message| message.role == ChatRole::Assistant)
        .map_or(0, |at| at + 1);
    let (settled, question) = conversation.split_at(answered);
    let total = size(settled) + size(question).max(QUESTION_CHARS.min(room / 4));
    let step = (room / 2).max(1);
    let over = total.saturating_sub(room).div_ceil(step) * step;
    let mut dropped = 0;
    let kept = conversation.iter().position(|message| {
        let enough = dropped >= over;
        dropped += message.content.len();
        enough
    });
    // what was said last is what is to be answered
    kept.unwrap_or(conversation.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> LlmMessage {
        LlmMessage::User {
            text: text.to_owned(),
            images: vec!["data:x".to_owned()],
        }
    }

    #[test]
    fn functions_pictures_and_silence_are_left_out() {
        let call = |id: &str| LlmMessage::ToolCall {
            call_id: id.to_owned(),
            name: "f".to_owned(),
            arguments: "{}".to_owned(),
        };
        let output = LlmMessage::ToolOutput {
            call_id: "a".to_owned(),
            output: "1".to_owned(),
        };
        let context = [
            LlmMessage::System("be".to_owned()),
            user("hi"),
            call("a"),
            output,
            user(" "),
            LlmMessage::Assistant("hello".to_owned()),
            LlmMessage::System("kind".to_owned()),
        ];
        let expected = [
            ChatMessage::new(ChatRole::System, "be\nkind"),
            ChatMessage::new(ChatRole::User, "hi"),
            ChatMessage::new(ChatRole::Assistant, "hello"),
        ];
        assert_eq!(chat(&context), expected);
    }

    #[test]
    fn a_long_conversation_loses_its_beginning_in_large_steps() {
        let turn = "x".repeat(100);
        let starts: Vec<usize> = (1..200)
            .map(|turns| {
                let conversation = vec![ChatMessage::new(ChatRole::User, turn.as_str()); turns];
                let start = first_kept(&conversation, 2_000);
                assert!(start < turns, "the question itself was dropped");
                assert!(
                    (turns - start) * 100 <= 2_000,
                    "{turns} turns from {start} do not fit"
                );
                start
            })
            .collect();
        let moves = starts.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(moves <= 200 / 10, "{moves} moves");
        assert!(starts.is_sorted());
    }

    #[test]
    fn the_beginning_is_lost_after_an_answer_and_not_before_one() {
        let mut conversation = Vec::new();
        let mut last = 0;
        for _ in 0..100 {
            conversation.push(ChatMessage::new(ChatRole::User, "x".repeat(120)));
            assert_eq!(first_kept(&conversation, 2_000), last);
            conversation.push(ChatMessage::new(ChatRole::Assistant, "y".repeat(90)));
            last = first_kept(&conversation, 2_000);
        }
        assert!(last > 100, "{last} of {} dropped", conversation.len());
    }

    #[test]
    fn what_alone_is_too_long_is_cut_at_a_character() {
        let context = [
            LlmMessage::System("ä".repeat(5_000)),
            user(&"ö".repeat(5_000)),
        ];
        let messages = chat(&context);
        assert_eq!(messages.len(), 2);
        assert!(
            messages
                .iter()
                .map(|message| message.content.len())
                .sum::<usize>()
                <= CONTEXT_CHARS
        );
        assert!(messages[1].content.chars().all(|c| c == 'ö'));
    }
}
