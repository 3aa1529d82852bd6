//! Which models a server loads and how it shares them, and whose work a job is.
//! Filled from the server's configuration; read once by `LocalModels::open`.
//! Plain values: nothing here opens or checks anything.

use std::path::PathBuf;

use super::{Priority, QueueLimits};

/// Whose work a job is, and how urgent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The session's id: sessions are served in turns, and one session's jobs keep their order.
    /// Empty for work that belongs to no session.
    pub session: String,
    /// Whether a turn depends on it.
    pub priority: Priority,
}

/// A kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Whisper: speech to text.
    Stt,
    /// Smart Turn: has the speaker finished?
    Turn,
    /// Piper, and Kokoro where installed: text to speech.
    Tts,
    /// The small language model; needs the cargo feature `llama`.
    Llm,
}

/// What `LocalModels::open` loads and how it shares it.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Directory that `antiphon models pull` fills.
    pub models_dir: PathBuf,
    /// Models to load; a request for any other is refused.
    pub parts: Vec<Part>,
    /// Whisper copies that work in parallel, each with weights of its own.
    pub stt_workers: usize,
    /// Piper copies that work in parallel, each with weights of its own.
    pub tts_workers: usize,
    /// Threads that work on one piece of speech.
    pub tts_threads: usize,
    /// Voice that speaks when a client names none it knows; with a Kokoro voice here, OpenAI's
    /// voice names become Kokoro look-alikes.
    pub default_voice: String,
    /// The language model.
    pub llm: LlmConfig,
    /// When to refuse work, per queue.
    pub limits: Limits,
}

impl LocalConfig {
    /// The default set for `models_dir`: Whisper, Smart Turn, voices, and the language model where
    /// this build has one.
    pub fn new(models_dir: impl Into<PathBuf>) -> Self {
        let mut parts = vec![Part::Stt, Part::Turn, Part::Tts];
        if cfg!(feature = "llama") {
            parts.push(Part::Llm);
        }
        Self {
            models_dir: models_dir.into(),
            parts,
            stt_workers: 1,
            tts_workers: 1,
            tts_threads: 2,
            default_voice: "joe".to_owned(),
            llm: LlmConfig::default(),
            limits: Limits::default(),
        }
    }
}

/// The language model and its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmConfig {
    /// Folder inside the models directory that holds `model.gguf`; a `ChatML` model.
    pub model: String,
    /// Tokens of all conversations together; 23 kB each for SmolLM2-135M.
    pub context_tokens: u32,
    /// Most tokens of one conversation, answer included.
    pub conversation_tokens: u32,
    /// Conversations whose prompts stay cached, and most answers generated at once.
    pub sequences: u32,
    /// Threads that work on one step. Two meet hundreds of times in a step, and on cores that also speak and
    /// listen each meeting can cost a time slice: measured, 1 to 40 tokens/s with two, 30 to 70 with one.
    pub threads: u32,
    /// Prompt tokens per step: larger is a faster prompt, smaller is a faster cancellation.
    pub prefill_tokens: u32,
}

impl Default for LlmConfig {
    fn default() -> Self {
        Self {
            model: "smollm2-135m".to_owned(),
            context_tokens: 4096,
            conversation_tokens: 2048,
            sequences: 8,
            threads: 1,
            prefill_tokens: 32,
        }
    }
}

/// When each queue refuses work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Speech to text.
    pub stt: QueueLimits,
    /// End of turn.
    pub turn: QueueLimits,
    /// Piper.
    pub tts: QueueLimits,
    /// Kokoro, slower than Piper by a factor of ten.
    pub kokoro: QueueLimits,
    /// The language model.
    pub llm: QueueLimits,
}

impl Default for Limits {
    /// A caller gives up after a few seconds of silence; work that would start later is better
    /// refused now.
    fn default() -> Self {
        let limits = |max_wait_ms| QueueLimits {
            capacity: 64,
            max_wait_ms,
        };
        Self {
            stt: limits(4_000),
            turn: limits(1_000),
            tts: limits(4_000),
            kokoro: limits(15_000),
            llm: limits(6_000),
        }
    }
}
