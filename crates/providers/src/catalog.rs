//! Which providers there are and which of them a model name means.
//! Opened once by the composition root; asked for a [`Pipeline`] at the start of each session.
//! Never downloads anything: a missing model is an error that names the command to run.

use std::{path::PathBuf, sync::Arc};

#[cfg(feature = "local")]
use local::LocalModels;
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use crate::{
    ProviderError, http,
    llm::openai::{Limits, OpenAiConfig, OpenAiLlm},
    models::{self, LISTED, ModelInfo, ModelKind},
    ports::{Llm, Stt, Tts},
    scripted::{self, ScriptedConfig, ScriptedLlm, ScriptedStt, ScriptedTts},
    transcribe::Transcriber,
};
#[cfg(feature = "local")]
use crate::{
    llm::Unconfigured,
    local::{LocalLlm, LocalStt, LocalTranscriber, LocalTts},
};

/// Which providers a server offers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogConfig {
    /// Where speech and language come from.
    pub pipeline: PipelineKind,
    /// Replaces the pipeline's language model.
    pub llm: Option<LlmConfig>,
    /// Delays and transcripts of the scripted pipeline.
    pub scripted: ScriptedConfig,
    /// Directory of the local models.
    pub models_dir: PathBuf,
}

/// Where speech and language come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PipelineKind {
    /// Models on this machine.
    #[default]
    Local,
    /// Deterministic, without models (see [`crate::scripted`]).
    Scripted,
}

/// A language model behind the chat-completions protocol.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlmConfig {
    /// Address up to and including the version, for example `http://127.0.0.1:11434/v1`.
    pub base_url: Url,
    /// Model name as that server knows it.
    pub model: String,
    /// Sent as bearer token; many servers on one's own machine need none.
    #[serde(default, serialize_with = "hidden")]
    pub api_key: Option<SecretString>,
}

/// Shows that there is a key, not which.
#[expect(
    clippy::ref_option,
    reason = "the signature that serialize_with asks for"
)]
fn hidden<S: Serializer>(key: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(|_| "(hidden)").serialize(serializer)
}

/// Why no catalog could be opened.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The local models cannot be loaded.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Local(#[from] local::LocalError),
    /// This build has no local models.
    #[cfg(not(feature = "local"))]
    #[error(
        "pipeline local: this build has no local models; build with the feature `local`, or set the pipeline to scripted"
    )]
    NotBuilt,
    /// The HTTP client cannot start.
    #[error("start the http client: {0}")]
    Http(#[from] reqwest::Error),
    /// The language model's address or key cannot be used.
    #[error("llm: {0}")]
    Llm(#[source] ProviderError),
}

/// Jobs that wait for local models, per kind; zero where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepths {
    /// Transcriptions.
    pub stt: usize,
    /// Judgements of the end of a turn.
    pub turn: usize,
    /// Pieces to be spoken.
    pub tts: usize,
    /// Answers.
    pub llm: usize,
}

/// The providers of one conversation. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    /// For logs, metrics and the models route.
    pub name: &'static str,
    /// Ears.
    pub stt: Arc<dyn Stt>,
    /// Language.
    pub llm: Arc<dyn Llm>,
    /// Voice.
    pub tts: Arc<dyn Tts>,
    /// Model name to put into requests to `llm`; absent where it has only one.
    pub llm_model: Option<String>,
    /// Ears for whole recordings.
    pub transcriber: Transcriber,
}

/// All providers of a server.
#[derive(Clone)]
pub struct Catalog {
    pipeline: Pipeline,
    #[cfg(feature = "local")]
    models: Option<LocalModels>,
}

impl Catalog {
    /// Opens what the configuration names. Blocks while local models are loaded.
    ///
    /// Errors: see [`CatalogError`]; each says what to do.
    pub fn open(config: CatalogConfig) -> Result<Self, CatalogError> {
        let mut catalog = match config.pipeline {
            PipelineKind::Scripted => Self::of(scripted_pipeline(config.scripted)),
            #[cfg(feature = "local")]
            PipelineKind::Local => {
                let models = crate::local::open(&config)?;
                Self {
                    models: Some(models.clone()),
                    ..Self::of(local_pipeline(models))
                }
            }
            #[cfg(not(feature = "local"))]
            PipelineKind::Local => return Err(CatalogError::NotBuilt),
        };
        if let Some(llm) = config.llm {
            catalog.pipeline.llm_model = Some(llm.model.clone());
            catalog.pipeline.llm = Arc::new(open_llm(llm)?);
        }
        Ok(catalog)
    }

    fn of(pipeline: Pipeline) -> Self {
        Self {
            pipeline,
            #[cfg(feature = "local")]
            models: None,
        }
    }

    /// The pipeline for conversations with this model name; `None` for a name nobody knows.
    pub fn pipeline(&self, model: &str) -> Option<Pipeline> {
        self.of_kind(model, ModelKind::Realtime)
    }

    /// The pipeline whose ears answer to this model name.
    pub fn transcription(&self, model: &str) -> Option<Pipeline> {
        self.of_kind(model, ModelKind::Transcription)
    }

    /// The pipeline whose voice answers to this model name.
    pub fn speech(&self, model: &str) -> Option<Pipeline> {
        self.of_kind(model, ModelKind::Speech)
    }

    /// The pipeline used where a request names no model.
    pub fn default_pipeline(&self) -> Pipeline {
        self.pipeline.clone()
    }

    fn of_kind(&self, model: &str, kind: ModelKind) -> Option<Pipeline> {
        let ours = [self.pipeline.name, OWN_NAME].contains(&model);
        (ours || models::kind_of(model) == Some(kind)).then(|| self.pipeline.clone())
    }

    /// Names for the models route, ours first.
    pub fn models(&self) -> Vec<ModelInfo> {
        let owned_by = format!("antiphon ({})", self.pipeline.name);
        let ours = [(OWN_NAME, ModelKind::Realtime)];
        let chat = self.pipeline.llm_model.iter().map(|id| ModelInfo {
            id: id.clone(),
            kind: ModelKind::Chat,
            owned_by: self.pipeline.llm.name().to_owned(),
        });
        ours.iter()
            .chain(&LISTED)
            .map(|(id, kind)| ModelInfo {
                id: (*id).to_owned(),
                kind: *kind,
                owned_by: owned_by.clone(),
            })
            .chain(chat)
            .collect()
    }

    /// Jobs waiting for local models right now.
    pub fn queue_depths(&self) -> QueueDepths {
        #[cfg(feature = "local")]
        if let Some(models) = &self.models {
            let local::QueueDepths {
                stt,
                turn,
                tts,
                llm,
            } = models.queue_depths();
            return QueueDepths {
                stt,
                turn,
                tts,
                llm,
            };
        }
        QueueDepths::default()
    }
}

/// The model name under which every pipeline answers.
const OWN_NAME: &str = "antiphon";

fn scripted_pipeline(config: ScriptedConfig) -> Pipeline {
    let config = Arc::new(config);
    let stt: Arc<dyn Stt> = Arc::new(ScriptedStt::new(Arc::clone(&config)));
    Pipeline {
        name: scripted::NAME,
        transcriber: Transcriber::Stream(Arc::clone(&stt)),
        stt,
        llm: Arc::new(ScriptedLlm::new(Arc::clone(&config))),
        tts: Arc::new(ScriptedTts::new(config)),
        llm_model: None,
    }
}

#[cfg(feature = "local")]
fn local_pipeline(models: LocalModels) -> Pipeline {
    let llm: Arc<dyn Llm> = if models.has_llm() {
        Arc::new(LocalLlm::new(models.clone()))
    } else {
        Arc::new(Unconfigured)
    };
    Pipeline {
        name: crate::local::NAME,
        stt: Arc::new(LocalStt::new(models.clone())),
        llm,
        tts: Arc::new(LocalTts::new(models.clone())),
        llm_model: None,
        transcriber: Transcriber::Local(LocalTranscriber::new(models)),
    }
}

fn open_llm(config: LlmConfig) -> Result<OpenAiLlm, CatalogError> {
    let config = OpenAiConfig {
        base_url: config.base_url,
        model: config.model,
        api_key: config.api_key,
        limits: Limits::default(),
    };
    OpenAiLlm::new(http::client()?, config).map_err(CatalogError::Llm)
}
