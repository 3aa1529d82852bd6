//! Asking others: speech and language providers behind four traits.
//! Used by `gateway::session` and the REST audio routes.
//! Never sees SQL, Redis or the web framework.

pub mod catalog;
pub mod error;
pub mod http;
pub mod llm;
#[cfg(feature = "local")]
pub mod local;
pub mod models;
pub mod ports;
pub mod scripted;
pub mod sse;
pub mod transcribe;
pub mod voices;

pub use catalog::{
    Catalog, CatalogConfig, CatalogError, LlmConfig, Pipeline, PipelineKind, QueueDepths,
};
pub use error::{Kind, ProviderError};
pub use models::{ModelInfo, ModelKind};
pub use transcribe::{Detail, Segment, Transcriber, Transcription, transcribe_once};
