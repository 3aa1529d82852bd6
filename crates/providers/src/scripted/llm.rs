//! Plays a planned answer as a stream of tokens.
//! Asked by the session like every other language model.
//! Never thinks: [`super::script`] has decided what to say.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use engine::ask::{Finish, LlmMessage, LlmRequest, LlmUsage};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{
    NAME, ScriptedConfig, failure,
    script::{self, Act, Pace},
    wait,
};
use crate::{
    ProviderError,
    ports::{EVENT_BUFFER, Llm, LlmEvent, LlmStream},
};

/// Characters of a call's arguments per event.
const ARGUMENT_CHARS: usize = 8;

/// Deterministic language model.
#[derive(Debug, Clone)]
pub struct ScriptedLlm {
    config: Arc<ScriptedConfig>,
    calls: Arc<AtomicU64>,
}

impl ScriptedLlm {
    /// Answers at the pace that `config` gives.
    pub fn new(config: Arc<ScriptedConfig>) -> Self {
        Self {
            config,
            calls: Arc::default(),
        }
    }
}

#[async_trait]
impl Llm for ScriptedLlm {
    fn name(&self) -> &str {
        NAME
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let plan = script::plan(&request);
        if plan.act == Act::Refuse {
            return Err(failure("the language model"));
        }
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let answer = Answer {
            first_token_ms: self.config.first_token_ms,
            token_ms: match plan.pace {
                Pace::Configured => self.config.token_ms,
                Pace::Slow => self.config.slow_token_ms,
                Pace::Ms(ms) => ms,
            },
            max_tokens: request.max_tokens.unwrap_or(u32::MAX),
            usage: LlmUsage {
                input_tokens: words(&request.messages),
                ..LlmUsage::default()
            },
            calls: Arc::clone(&self.calls),
            events: outbox,
        };
        tokio::spawn(answer.give(plan.act).in_current_span());
        Ok(LlmStream { events })
    }
}

/// What ends an answer early.
enum Stop {
    /// `max_tokens` was reached.
    Limit,
    /// Nobody listens any more.
    Unheard,
}

struct Answer {
    first_token_ms: u64,
    token_ms: u64,
    max_tokens: u32,
    usage: LlmUsage,
    calls: Arc<AtomicU64>,
    events: mpsc::Sender<LlmEvent>,
}

impl Answer {
    async fn give(mut self, act: Act) {
        let breaks_off = matches!(act, Act::BreakOff(_));
        let played = match act {
            Act::Say(text) | Act::BreakOff(text) => self.say(&text).await,
            Act::Call(calls) => self.call(&calls).await,
            Act::Refuse => Ok(()),
        };
        let finish = match played {
            Ok(()) => Finish::Stop,
            Err(Stop::Limit) => Finish::Length,
            Err(Stop::Unheard) => return,
        };
        let last = if breaks_off {
            LlmEvent::Failed(failure("the language model"))
        } else {
            LlmEvent::Done {
                finish,
                usage: self.usage,
            }
        };
        // the session may have gone away meanwhile
        let _ = self.events.send(last).await;
    }

    async fn say(&mut self, text: &str) -> Result<(), Stop> {
        for token in text.split_inclusive(' ') {
            self.token(LlmEvent::Text(token.to_owned())).await?;
        }
        Ok(())
    }

    async fn call(&mut self, calls: &[(String, String)]) -> Result<(), Stop> {
        for (name, arguments) in calls {
            let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            let call = LlmEvent::ToolCall {
                call_id: format!("call_scripted_{number}"),
                name: name.clone(),
            };
            self.token(call).await?;
            let characters: Vec<char> = arguments.chars().collect();
            for part in characters.chunks(ARGUMENT_CHARS) {
                self.token(LlmEvent::ToolArguments(part.iter().collect()))
                    .await?;
            }
        }
        Ok(())
    }

    async fn token(&mut self, event: LlmEvent) -> Result<(), Stop> {
        let first = self.usage.output_tokens == 0;
        let delay_ms = if first {
            self.first_token_ms
        } else {
            self.token_ms
        };
        if self.usage.output_tokens >= self.max_tokens {
            return Err(Stop::Limit);
        }
        if !wait(&self.events, delay_ms).await || self.events.send(event).await.is_err() {
            return Err(Stop::Unheard);
        }
        self.usage.output_tokens += 1;
        Ok(())
    }
}

/// Tokens of the context: its words.
fn words(messages: &[LlmMessage]) -> u32 {
    let count = |text: &str| text.split_whitespace().count();
    let total: usize = messages
        .iter()
        .map(|message| match message {
            LlmMessage::System(text)
            | LlmMessage::User { text, .. }
            | LlmMessage::Assistant(text) => count(text),
            LlmMessage::ToolCall {
                name, arguments, ..
            } => count(name) + count(arguments),
            LlmMessage::ToolOutput { output, .. } => count(output),
        })
        .sum();
    u32::try_from(total).unwrap_or(u32::MAX)
}
