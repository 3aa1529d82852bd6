//! Tests with real models: they need `ANTIPHON_MODELS_DIR`, filled by `antiphon models pull`.

mod clips;
#[cfg(feature = "llama")]
mod llm;
mod scheduler;
mod stt;
mod tts;
mod turn;
