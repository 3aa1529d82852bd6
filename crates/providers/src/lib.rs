//! Asking others: speech and language providers behind four traits.
//! Used by `gateway::session` and the REST audio routes.
//! Never sees SQL, Redis or the web framework.

mod absent;
pub mod carrier;
pub mod catalog;
pub mod duplex;
pub mod error;
mod failure;
pub mod guarded;
pub mod http;
mod kept;
pub mod llm;
#[cfg(feature = "local")]
pub mod local;
pub mod models;
mod openai;
pub mod ports;
pub mod scripted;
pub mod sse;
pub mod stt;
pub mod tools;
pub mod transcribe;
pub mod tts;
pub mod vendor;
pub mod voices;
pub mod webhook;
mod ws;

pub use catalog::{
    Catalog, CatalogConfig, CatalogError, LlmConfig, Pipeline, PipelineConfig, ProviderConfig,
    ProviderKind, QueueDepths, Workers,
};
pub use error::{Kind, ProviderError};
pub use models::{ModelInfo, ModelKind};
pub use transcribe::{Detail, Segment, Transcriber, Transcription, transcribe_once};
pub use vendor::{Limits, Vendor};
