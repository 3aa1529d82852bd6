//! What the configuration means to the providers' catalog.
//! Used by `App::load_catalog`.
//! Never opens anything.

use providers::scripted::ScriptedConfig;
use providers::{CatalogConfig, LlmConfig, PipelineConfig, ProviderConfig};

use super::{Config, Provider, named};

/// Model name asked of a language server when the configuration names none.
const DEFAULT_LLM_MODEL: &str = "default";

impl Config {
    /// The catalog's part of this configuration.
    ///
    /// # Errors
    /// When a vendor's address is not a URL; [`Config::load`] has checked that.
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
        let mut providers = std::collections::BTreeMap::new();
        for (name, own) in &self.providers {
            providers.insert(name.clone(), self.provider(name, own)?);
        }
        let scripted = &self.scripted;
        Ok(CatalogConfig {
            default: self.pipeline.name.clone(),
            providers,
            pipelines: self
                .pipelines
                .iter()
                .map(|(name, own)| {
                    let pipeline = PipelineConfig {
                        stt: own.stt.clone(),
                        llm: own.llm.clone(),
                        tts: own.tts.clone(),
                        duplex: own.duplex.clone(),
                        hedge_ms: own.hedge_ms,
                    };
                    (name.clone(), pipeline)
                })
                .collect(),
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

    fn provider(&self, name: &str, own: &Provider) -> Result<ProviderConfig, url::ParseError> {
        Ok(ProviderConfig {
            kind: named::kind(self, name),
            base_url: own
                .base_url
                .as_ref()
                .map(|address| address.parse())
                .transpose()?,
            api_key: own.api_key.as_ref().map(|key| key.reveal().into()),
            model: own.model.clone(),
            voice: own.voice.clone(),
        })
    }
}
