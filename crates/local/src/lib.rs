//! Speech and language models on this machine: ears (Whisper), turn sense (Smart Turn), voice
//! (Piper, Kokoro) and a small language model, behind one scheduler that many sessions share.
//! `providers` calls it through [`LocalModels`]; `antiphon models` uses [`models`] and [`export`].
//! It never speaks HTTP, never touches SQL, and never logs what was said.

mod cancel;
mod error;
pub mod runtime;

pub use cancel::{Cancel, CancelHook};
pub use error::LocalError;
