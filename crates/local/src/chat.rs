//! What a conversation asks of the local language model, and what comes back.
//! `providers` builds the requests; the scheduler's `llm` thread answers them.
//! Plain values and one channel: present in every build, whether or not a model is.

use tokio::sync::mpsc;

use crate::{Cancel, CancelHook, LocalError, scheduler::Origin};

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatRole {
    /// Instructions.
    System,
    /// The caller.
    User,
    /// The model, earlier.
    Assistant,
}

impl ChatRole {
    /// The role's name in `ChatML`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who said it.
    pub role: ChatRole,
    /// What was said.
    pub content: String,
}

impl ChatMessage {
    /// A message.
    pub fn new(role: ChatRole, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }
}

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 always takes the likeliest token.
    pub temperature: f32,
    /// Above 1.0 makes recently generated tokens less likely; small models loop without it.
    pub repeat_penalty: f32,
    /// The same seed and prompt give the same text on the same machine.
    pub seed: u32,
}

impl Default for Sampling {
    /// Values under which `SmolLM2` answers plainly and does not loop (spec/local-models section 4).
    fn default() -> Self {
        Self {
            temperature: 0.2,
            repeat_penalty: 1.15,
            seed: 1,
        }
    }
}

/// A question to the local language model.
#[derive(Debug, Clone, Default)]
pub struct GenerateRequest {
    /// Whose question it is; the session's earlier prompt stays cached under this name.
    pub origin: Origin,
    /// The conversation, oldest first, ending with what is to be answered.
    pub messages: Vec<ChatMessage>,
    /// Most tokens to generate.
    pub max_tokens: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Stops the generation.
    pub cancel: Cancel,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model had said everything, or a stop text came.
    Stop,
    /// `max_tokens` was reached.
    Length,
}

/// What a generation reports, in order; [`Done`](Self::Done) or [`Failed`](Self::Failed) is last.
#[derive(Debug)]
pub enum LlmEvent {
    /// More of the answer; whole characters only.
    Text(String),
    /// The answer is complete.
    Done {
        /// Tokens of the prompt.
        prompt_tokens: u32,
        /// Those of them that were still cached from before.
        cached_tokens: u32,
        /// Tokens generated.
        output_tokens: u32,
        /// Why it ended.
        finish: FinishReason,
    },
    /// It went wrong, or was cancelled.
    Failed(LocalError),
}

/// A running generation. Dropping it stops the model.
#[must_use = "dropping a generation stops it"]
pub struct Generation {
    receiver: mpsc::Receiver<LlmEvent>,
    cancel: Cancel,
    _hook: CancelHook,
}

impl Generation {
    /// A generation and the sender that feeds it. `events` bounds what may be unread.
    #[cfg(feature = "llama")]
    pub(crate) fn channel(outer: &Cancel, events: usize) -> (Self, mpsc::Sender<LlmEvent>, Cancel) {
        let (sender, receiver) = mpsc::channel(events);
        let (cancel, hook) = crate::scheduler::child(outer);
        (
            Self {
                receiver,
                cancel: cancel.clone(),
                _hook: hook,
            },
            sender,
            cancel,
        )
    }

    /// The next event; `None` after the last one.
    pub async fn next(&mut self) -> Option<LlmEvent> {
        self.receiver.recv().await
    }

    /// As [`next`](Self::next), blocking this thread; for threads outside an async runtime only.
    pub fn next_blocking(&mut self) -> Option<LlmEvent> {
        self.receiver.blocking_recv()
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
