//! What the configuration means to the providers' catalog.
//! Used by `App::load_catalog`.
//! Never opens anything.

use providers::scripted::ScriptedConfig;
use providers::{CatalogConfig, LlmConfig, PipelineKind};

use super::Config;

/// Model name asked of a language server when the configuration names none.
const DEFAULT_LLM_MODEL: &str = "default";

impl Config {
    /// The catalog's part of this configuration.
    ///
    /// # Errors
    /// When the language server's address is not a URL; [`Config::load`] has checked that.
    pub fn catalog(&self) -> Result<CatalogConfig, url::ParseError> {
        let llm = match &self.llm.base_url {
            None => None,
            Some(base_url) => Some(LlmConfig {
                base_url: base_url.parse()?,
                model: self
                    .llm
                    .model
                    .clone()
                    .unwrap_or_else(|| DEFAULT_LLM_MODEL.to_owned()),
                api_key: self.llm.api_key.as_ref().map(|key| key.reveal().into()),
            }),
        };
        let scripted = &self.scripted;
        Ok(CatalogConfig {
            pipeline: match self.pipeline.name.as_str() {
                "scripted" => PipelineKind::Scripted,
                _ => PipelineKind::Local,
            },
            llm,
            scripted: ScriptedConfig {
                stt_ms: scripted.stt_ms,
                first_token_ms: scripted.first_token_ms,
                token_ms: scripted.token_ms,
                slow_token_ms: scripted.slow_token_ms,
                tts_ms: scripted.tts_ms,
                speech_ms_per_char: scripted.speech_ms_per_char,
                speech_pace_percent: scripted.speech_pace_percent,
                transcripts: scripted.transcripts.clone(),
                ..ScriptedConfig::default()
            },
            models_dir: self.models_dir(),
        })
    }
}
