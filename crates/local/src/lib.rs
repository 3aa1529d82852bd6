//! Speech and language models on this machine: ears (Whisper), turn sense (Smart Turn), voice
//! (Piper, Kokoro) and a small language model, behind one scheduler that many sessions share.
//! `providers` calls it through [`LocalModels`]; `antiphon models` uses [`models`] and [`export`].
//! It never speaks HTTP, never touches SQL, and never logs what was said.

mod cancel;
mod chat;
mod error;
pub mod export;
mod kokoro;
#[cfg(feature = "llama")]
mod llama;
mod memory;
pub mod models;
pub mod mp3;
pub mod phonemes;
mod piper;
pub mod runtime;
mod scheduler;
mod smart_turn;
mod speakable;
mod voice;
pub mod whisper;

pub use cancel::{Cancel, CancelHook};
pub use chat::{
    ChatMessage, ChatRole, FinishReason, GenerateRequest, Generation, LlmEvent, Sampling,
};
pub use error::LocalError;
pub use kokoro::Kokoro;
pub use piper::Piper;
pub use scheduler::{
    Limits, LlmConfig, LocalConfig, LocalModels, Origin, Part, Pending, Priority, QueueDepths,
    QueueLimits, SpeakRequest,
};
pub use smart_turn::SmartTurn;
pub use voice::{Audio, Voice, VoiceModel, Voices, openai_voice_names};
pub use whisper::{Segment, TranscribeRequest, Transcript, Whisper};
