//! What the configuration means to the providers' catalog.
//! Used by `App::load_catalog`.
//! Never opens anything.

use providers::scripted::{self, ScriptedConfig};
use providers::{CatalogConfig, LlmConfig, PipelineConfig, ProviderConfig, Workers};
use store::live::WorkKind;

use super::{Config, Provider, named};

/// Model name asked of a language server when the configuration names none.
const DEFAULT_LLM_MODEL: &str = "default";

/// Why a worker has nobody who does its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProviders {
    /// It would ask itself.
    #[error(
        "pipelines.{pipeline}.{stage} names nobody but workers: set worker.pipeline to one whose providers do the work, such as local"
    )]
    OnlyWorkers {
        /// The pipeline.
        pipeline: String,
        /// What nobody does.
        stage: &'static str,
    },
    /// A vendor's address is none.
    #[error("a provider's address is not a URL: {0}")]
    Address(#[from] url::ParseError),
}

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

    /// Whether any pipeline asks workers.
    pub fn asks_workers(&self) -> bool {
        named::asks_workers(self)
    }

    /// The catalog of a worker that does work of these kinds: what it does not do is not loaded.
    ///
    /// # Errors
    /// [`NoProviders`] when nobody but workers is named for a kind; when a vendor's address is not a URL.
    pub fn worker_catalog(&self, kinds: &[WorkKind]) -> Result<CatalogConfig, NoProviders> {
        let mut catalog = self.catalog()?;
        let own = self.worker.pipeline.as_ref().unwrap_or(&self.pipeline.name);
        let name = match own.as_str() {
            "" | Workers::NAME => "local",
            name => name,
        };
        let does = |kind| kinds.contains(&kind);
        let mut wanted = match catalog.pipelines.remove(name) {
            Some(named) => named,
            // its language model may be one of the section `llm`, which only the built-in pipelines have
            None if does(WorkKind::Llm)
                && (kinds.len() == WorkKind::ALL.len() || catalog.llm.is_some()) =>
            {
                if kinds.len() < WorkKind::ALL.len() {
                    scripted::NAME.clone_into(&mut catalog.default);
                } else {
                    name.clone_into(&mut catalog.default);
                }
                catalog.pipelines.clear();
                return Ok(catalog);
            }
            None => PipelineConfig::of(name),
        };
        for (kind, stage, entries) in [
            (WorkKind::Stt, "stt", &mut wanted.stt),
            (WorkKind::Llm, "llm", &mut wanted.llm),
            (WorkKind::Tts, "tts", &mut wanted.tts),
        ] {
            if does(kind) {
                entries.retain(|entry| !named::is_workers(self, entry));
                if entries.is_empty() {
                    let pipeline = name.to_owned();
                    return Err(NoProviders::OnlyWorkers { pipeline, stage });
                }
            } else {
                // never asked, and nothing to load
                *entries = vec![scripted::NAME.to_owned()];
            }
        }
        wanted.duplex.clear();
        name.clone_into(&mut catalog.default);
        catalog.pipelines = [(name.to_owned(), wanted)].into();
        Ok(catalog)
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
