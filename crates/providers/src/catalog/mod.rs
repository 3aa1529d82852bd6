//! Which providers there are, how pipelines are made of them, and which pipeline a model name means.
//! Opened once by the composition root; asked for a [`Pipeline`] at the start of each session.
//! Never downloads anything: a missing model is an error that names the command to run.

mod config;
mod open;
mod trouble;
mod vendors;

use std::{collections::BTreeMap, sync::Arc};

#[cfg(feature = "local")]
use local::LocalModels;

pub use config::{
    CatalogConfig, LlmConfig, PipelineConfig, ProviderConfig, ProviderKind, WELL_KNOWN, WellKnown,
    one_or_more, well_known,
};

pub use vendors::{Checked, Vendors};

use crate::{
    ProviderError,
    guarded::Watch,
    models::{self, LISTED, ModelInfo, ModelKind},
    ports::{Duplex, Llm, Stt, Tts},
    transcribe::Transcriber,
};

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
    /// A vendor's address or key cannot be used.
    #[error("{place}: {error}")]
    Vendor {
        /// Where it is configured.
        place: String,
        /// What is wrong; told above, so that it is no source that a chain would tell again.
        error: ProviderError,
    },
    /// A pipeline names what does not exist, or what cannot do the job.
    #[error("pipelines.{pipeline}: {problem}")]
    Pipeline {
        /// Its name.
        pipeline: String,
        /// What is wrong, and what there is.
        problem: String,
    },
}

/// Ears, mind and voice in other processes: the gateway has them, for this crate knows no queue between processes.
#[derive(Clone)]
pub struct Workers {
    /// Ears.
    pub stt: Arc<dyn Stt>,
    /// Language.
    pub llm: Arc<dyn Llm>,
    /// Voice.
    pub tts: Arc<dyn Tts>,
}

impl Workers {
    /// Their name in pipelines, and that of the pipeline that has nothing else.
    pub const NAME: &'static str = "workers";
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
    pub name: Arc<str>,
    /// Ears.
    pub stt: Arc<dyn Stt>,
    /// Language.
    pub llm: Arc<dyn Llm>,
    /// Voice.
    pub tts: Arc<dyn Tts>,
    /// Name of the language model where there is exactly one; for the models route and the information page.
    pub llm_model: Option<String>,
    /// Ears for whole recordings.
    pub transcriber: Transcriber,
    /// Ears, language and voice in one, which holds the conversations where it is there.
    pub duplex: Option<Arc<dyn Duplex>>,
}

impl Pipeline {
    /// Names of voices that a conversation may ask for; `None` where any name may be right.
    pub fn voice_names(&self) -> Option<Arc<[String]>> {
        if self.duplex.is_some() {
            return None;
        }
        self.tts.voice_names()
    }

    /// Why no conversation should begin with it: a stage whose every provider refused the key it was given. A
    /// speech-to-speech model needs no other stage.
    ///
    /// Errors: that provider's; its message names the setting.
    pub fn usable(&self) -> Result<(), ProviderError> {
        if let Some(duplex) = &self.duplex {
            return duplex.usable();
        }
        self.stt.usable()?;
        self.llm.usable()?;
        self.tts.usable()
    }
}

/// All providers of a server.
#[derive(Clone)]
pub struct Catalog {
    default: Pipeline,
    pipelines: Arc<BTreeMap<String, Pipeline>>,
    vendors: Arc<Vendors>,
    #[cfg(feature = "local")]
    models: Option<LocalModels>,
}

impl Catalog {
    /// Opens what the configuration names; `watch` is told what happens to providers. Blocks while local models
    /// are loaded.
    ///
    /// Errors: see [`CatalogError`]; each says what to do.
    pub fn open(config: CatalogConfig, watch: Watch) -> Result<Self, CatalogError> {
        open::catalog(config, watch, None)
    }

    /// As [`Catalog::open`], with workers to ask.
    ///
    /// Errors: see [`CatalogError`]; each says what to do.
    pub fn open_with(
        config: CatalogConfig,
        watch: Watch,
        workers: Option<Workers>,
    ) -> Result<Self, CatalogError> {
        open::catalog(config, watch, workers)
    }

    /// The vendors that the configuration names, without this machine's models and without any pipeline.
    ///
    /// Errors: see [`CatalogError`].
    pub fn vendors_of(config: CatalogConfig) -> Result<Vendors, CatalogError> {
        open::vendors(config)
    }

    /// The vendors that pipelines name.
    pub fn vendors(&self) -> &Vendors {
        &self.vendors
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

    /// The pipeline whose language model answers to this model name: a pipeline's, the language model's own, or that
    /// of a hosted chat model, which SDKs and examples ask for.
    pub fn chat(&self, model: &str) -> Option<Pipeline> {
        let own = self.default.llm_model.as_deref() == Some(model);
        if own {
            return Some(self.default.clone());
        }
        self.of_kind(model, ModelKind::Chat)
    }

    /// The pipeline used where a request names no model.
    pub fn default_pipeline(&self) -> Pipeline {
        self.default.clone()
    }

    fn of_kind(&self, model: &str, kind: ModelKind) -> Option<Pipeline> {
        if let Some(named) = self.pipelines.get(model) {
            return Some(named.clone());
        }
        let ours = model == OWN_NAME || models::kind_of(model) == Some(kind);
        ours.then(|| self.default.clone())
    }

    /// Names that requests may use for a conversation and that are this server's own, for error messages.
    pub fn names(&self) -> Vec<String> {
        let own = std::iter::once(OWN_NAME.to_owned());
        own.chain(self.pipelines.keys().cloned()).collect()
    }

    /// Names for the models route, ours first.
    pub fn models(&self) -> Vec<ModelInfo> {
        let owned_by = format!("antiphon ({})", self.default.name);
        let default = std::iter::once(&(OWN_NAME, ModelKind::Realtime))
            .chain(&LISTED)
            .map(|(id, kind)| ModelInfo {
                id: (*id).to_owned(),
                kind: *kind,
                owned_by: owned_by.clone(),
            });
        let named = self.pipelines.keys().map(|name| ModelInfo {
            id: name.clone(),
            kind: ModelKind::Realtime,
            owned_by: format!("antiphon ({name})"),
        });
        let chat = self.default.llm_model.iter().map(|id| ModelInfo {
            id: id.clone(),
            kind: ModelKind::Chat,
            owned_by: self.default.llm.name().to_owned(),
        });
        default.chain(named).chain(chat).collect()
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

/// The model name under which every server answers.
const OWN_NAME: &str = "antiphon";
