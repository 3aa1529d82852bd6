//! Stands in for a stage that a pipeline does not have, because its speech-to-speech model needs none.
//! Chosen by the catalog; asked by whoever wants that stage alone.
//! Never does anything but say which setting is missing.

use std::sync::Arc;

use async_trait::async_trait;
use engine::ask::{LlmRequest, SpeakOptions, SttOptions};

use crate::{
    Kind, ProviderError,
    guarded::Stage,
    ports::{Llm, LlmStream, Stt, SttStream, Tts, TtsStream, VoiceInfo},
};

/// A stage that is not there.
pub(crate) struct Absent(ProviderError);

impl Absent {
    pub(crate) fn new(pipeline: &str, stage: Stage) -> Self {
        let stage = stage.name();
        let message = format!("the pipeline has no {stage}: set pipelines.{pipeline}.{stage}");
        let pipeline = pipeline.to_owned();
        Self(ProviderError::new(pipeline, Kind::Rejected, message))
    }
}

#[async_trait]
impl Stt for Absent {
    fn name(&self) -> &str {
        &self.0.provider
    }

    async fn open(&self, _options: SttOptions) -> Result<SttStream, ProviderError> {
        Err(self.0.clone())
    }

    fn usable(&self) -> Result<(), ProviderError> {
        Err(self.0.clone())
    }
}

#[async_trait]
impl Llm for Absent {
    fn name(&self) -> &str {
        &self.0.provider
    }

    async fn ask(&self, _request: LlmRequest) -> Result<LlmStream, ProviderError> {
        Err(self.0.clone())
    }

    fn usable(&self) -> Result<(), ProviderError> {
        Err(self.0.clone())
    }
}

#[async_trait]
impl Tts for Absent {
    fn name(&self) -> &str {
        &self.0.provider
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        Vec::new()
    }

    fn voice_names(&self) -> Option<Arc<[String]>> {
        None
    }

    async fn open(&self, _options: SpeakOptions) -> Result<TtsStream, ProviderError> {
        Err(self.0.clone())
    }

    fn usable(&self) -> Result<(), ProviderError> {
        Err(self.0.clone())
    }
}
