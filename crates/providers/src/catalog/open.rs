//! Puts pipelines together from what the configuration names.
//! Called once by [`super::Catalog::open`]; a vendor that several pipelines name is opened once.
//! Never asks a vendor anything: what is wrong with a key shows when it is used, or when it is checked.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

#[cfg(feature = "local")]
use local::{LocalConfig, LocalModels, Part};
use reqwest::Client;
use url::Url;

use super::trouble::{
    Trouble, name_of, opened, problem_of, problem_of_provider, unreachable_workers,
};
use super::{
    Catalog, CatalogConfig, CatalogError, LlmConfig, Pipeline, PipelineConfig, ProviderConfig,
    ProviderKind, Vendors, WELL_KNOWN, Workers, well_known,
};
use crate::{
    absent::Absent,
    duplex::{GeminiLive, OpenAiRealtime},
    guarded::{GuardedDuplex, GuardedLlm, GuardedStt, GuardedTts, HedgedLlm, Member, Stage, Watch},
    http,
    llm::{AnthropicLlm, GeminiLlm, OllamaLlm, OpenAiLlm, ResponsesLlm},
    ports::{Duplex, Llm, Stt, Tts},
    scripted::{self, ScriptedLlm, ScriptedStt, ScriptedTts},
    stt::{assemblyai::AssemblyAiStt, deepgram::DeepgramStt, openai::OpenAiStt},
    transcribe::Transcriber,
    tts::{
        cartesia::CartesiaTts, deepgram::DeepgramTts, elevenlabs::ElevenLabsTts, openai::OpenAiTts,
    },
    vendor::Vendor,
};
#[cfg(feature = "local")]
use crate::{
    llm::Unconfigured,
    local::{LocalLlm, LocalStt, LocalTranscriber, LocalTts},
};

/// Name of the pipeline of this machine's models.
const LOCAL: &str = "local";

pub(super) fn catalog(
    config: CatalogConfig,
    watch: Watch,
    workers: Option<Workers>,
) -> Result<Catalog, CatalogError> {
    let default = match config.default.as_str() {
        "" => LOCAL.to_owned(),
        name => name.to_owned(),
    };
    let mut opening = Opening::new(config, watch)?;
    opening.workers = workers;
    let mut pipelines = BTreeMap::new();
    for (name, wanted) in opening.config.pipelines.clone() {
        let pipeline = opening.pipeline(&name, &wanted)?;
        pipelines.insert(name, pipeline);
    }
    if !pipelines.contains_key(&default) {
        let built_in = opening.built_in(&default)?;
        pipelines.insert(default.clone(), built_in);
    }
    let Some(default) = pipelines.get(&default).cloned() else {
        return Err(opening.unknown_pipeline(&default));
    };
    Ok(Catalog {
        default,
        pipelines: Arc::new(pipelines),
        vendors: Arc::new(Vendors {
            stt: opening.stt.into_values().collect(),
            llm: opening.llm.into_values().collect(),
            tts: opening.tts.into_values().collect(),
            duplex: opening.duplex.into_values().collect(),
        }),
        #[cfg(feature = "local")]
        models: opening.models,
    })
}

/// The vendors alone.
pub(super) fn vendors(config: CatalogConfig) -> Result<Vendors, CatalogError> {
    let mut opening = Opening::new(config, Watch::default())?;
    for (name, pipeline) in opening.config.pipelines.clone() {
        let of_vendors = |entries: &[String]| -> Vec<String> {
            let inside =
                |entry: &&String| ![LOCAL, scripted::NAME, Workers::NAME].contains(&name_of(entry));
            entries.iter().filter(inside).cloned().collect()
        };
        opening.members(&name, &of_vendors(&pipeline.stt), Opening::stt)?;
        opening.members(&name, &of_vendors(&pipeline.llm), Opening::llm)?;
        opening.members(&name, &of_vendors(&pipeline.tts), Opening::tts)?;
        opening.members(&name, &of_vendors(&pipeline.duplex), Opening::duplex)?;
    }
    if let Some(llm) = opening.config.llm.clone() {
        opening.short_llm(&llm)?;
    }
    Ok(Vendors {
        stt: opening.stt.into_values().collect(),
        llm: opening.llm.into_values().collect(),
        tts: opening.tts.into_values().collect(),
        duplex: opening.duplex.into_values().collect(),
    })
}

/// What has been opened so far.
struct Opening {
    config: CatalogConfig,
    watch: Watch,
    client: Client,
    scripted: Arc<scripted::ScriptedConfig>,
    workers: Option<Workers>,
    #[cfg(feature = "local")]
    models: Option<LocalModels>,
    stt: HashMap<String, Arc<Member<dyn Stt>>>,
    llm: HashMap<String, Arc<Member<dyn Llm>>>,
    tts: HashMap<String, Arc<Member<dyn Tts>>>,
    duplex: HashMap<String, Arc<Member<dyn Duplex>>>,
}

impl Opening {
    fn new(config: CatalogConfig, watch: Watch) -> Result<Self, CatalogError> {
        Ok(Self {
            watch,
            client: http::client()?,
            scripted: Arc::new(config.scripted.clone()),
            workers: None,
            #[cfg(feature = "local")]
            models: None,
            stt: HashMap::new(),
            llm: HashMap::new(),
            tts: HashMap::new(),
            duplex: HashMap::new(),
            config,
        })
    }

    /// The pipelines that need no configuration.
    fn built_in(&mut self, name: &str) -> Result<Pipeline, CatalogError> {
        let mut pipeline = match name {
            scripted::NAME => {
                let stt: Arc<dyn Stt> = Arc::new(ScriptedStt::new(Arc::clone(&self.scripted)));
                let llm: Arc<dyn Llm> = Arc::new(ScriptedLlm::new(Arc::clone(&self.scripted)));
                let tts: Arc<dyn Tts> = Arc::new(ScriptedTts::new(Arc::clone(&self.scripted)));
                self.at_home(scripted::NAME, stt, llm, tts)
            }
            #[cfg(feature = "local")]
            LOCAL => self.local_pipeline()?,
            #[cfg(not(feature = "local"))]
            LOCAL => return Err(CatalogError::NotBuilt),
            Workers::NAME => self.pipeline(name, &PipelineConfig::of(Workers::NAME))?,
            _ => return Err(self.unknown_pipeline(name)),
        };
        if let Some(llm) = self.config.llm.clone() {
            let member = self.short_llm(&llm)?;
            pipeline.llm_model = Some(llm.model);
            pipeline.llm = Arc::new(GuardedLlm::new(vec![member], self.watch.clone()));
        }
        Ok(pipeline)
    }

    /// The model of `[llm]`, which has no name of its own.
    fn short_llm(&mut self, llm: &LlmConfig) -> Result<Arc<Member<dyn Llm>>, CatalogError> {
        let vendor = Vendor {
            api_key: llm.api_key.clone(),
            model: Some(llm.model.clone()),
            ..Vendor::new("openai", llm.base_url.clone())
        };
        let opened = OpenAiLlm::new(self.client.clone(), vendor);
        let llm: Arc<dyn Llm> = Arc::new(opened.map_err(|error| CatalogError::Vendor {
            place: "llm".to_owned(),
            error,
        })?);
        let member = Member::new("openai", Stage::Llm, llm, self.watch.clone());
        let member = Arc::new(member.with_key_in("llm.api_key"));
        self.llm.insert("llm".to_owned(), Arc::clone(&member));
        Ok(member)
    }

    /// A pipeline of what is part of this process: guarded like any other, so that it is counted like any other.
    fn at_home(
        &self,
        name: &str,
        stt: Arc<dyn Stt>,
        llm: Arc<dyn Llm>,
        tts: Arc<dyn Tts>,
    ) -> Pipeline {
        let watch = || self.watch.clone();
        let stt = Member::new(name, Stage::Stt, stt, watch()).at_home();
        // there may be none, which has a name of its own
        let mind = llm.name().to_owned();
        let llm = Member::new(&mind, Stage::Llm, llm, watch()).at_home();
        let tts = Member::new(name, Stage::Tts, tts, watch()).at_home();
        let stt: Arc<dyn Stt> = Arc::new(GuardedStt::new(vec![Arc::new(stt)], watch()));
        Pipeline {
            name: name.into(),
            transcriber: Transcriber::Stream(Arc::clone(&stt)),
            stt,
            llm: Arc::new(GuardedLlm::new(vec![Arc::new(llm)], watch())),
            tts: Arc::new(GuardedTts::new(vec![Arc::new(tts)], watch())),
            llm_model: None,
            duplex: None,
        }
    }

    #[cfg(feature = "local")]
    fn local_pipeline(&mut self) -> Result<Pipeline, CatalogError> {
        let models = self.models()?;
        let llm: Arc<dyn Llm> = if models.has_llm() {
            Arc::new(LocalLlm::new(models.clone()))
        } else {
            Arc::new(Unconfigured)
        };
        let stt = Arc::new(LocalStt::new(models.clone()));
        let tts = Arc::new(LocalTts::new(models.clone()));
        Ok(Pipeline {
            transcriber: Transcriber::Local(LocalTranscriber::new(models)),
            ..self.at_home(LOCAL, stt, llm, tts)
        })
    }

    /// The models of this machine: all that any pipeline uses, loaded once.
    #[cfg(feature = "local")]
    fn models(&mut self) -> Result<LocalModels, CatalogError> {
        if let Some(models) = &self.models {
            return Ok(models.clone());
        }
        let mut wanted = LocalConfig::new(&self.config.models_dir);
        let used = |list: fn(&PipelineConfig) -> &Vec<String>| {
            self.config
                .pipelines
                .values()
                .any(|pipeline| list(pipeline).iter().any(|entry| name_of(entry) == LOCAL))
        };
        let (stt, llm, tts) = (used(|p| &p.stt), used(|p| &p.llm), used(|p| &p.tts));
        let all = ["", LOCAL].contains(&self.config.default.as_str())
            && !self.config.pipelines.contains_key(LOCAL);
        wanted.parts.retain(|part| match part {
            Part::Llm => llm || all && self.config.llm.is_none(),
            Part::Tts => tts || all,
            Part::Stt | Part::Turn => stt || all,
        });
        let models = LocalModels::open(&wanted)?;
        self.models = Some(models.clone());
        Ok(models)
    }

    fn pipeline(&mut self, name: &str, wanted: &PipelineConfig) -> Result<Pipeline, CatalogError> {
        for (key, list) in [
            ("stt", &wanted.stt),
            ("llm", &wanted.llm),
            ("tts", &wanted.tts),
        ] {
            if list.is_empty() && wanted.duplex.is_empty() {
                let names = self.names();
                let problem = format!(
                    "{key} names no provider, and no duplex stands in for it; there are {names}"
                );
                return Err(problem_of(name, problem));
            }
        }
        let stt = self.members(name, &wanted.stt, Self::stt)?;
        let llm = self.members(name, &wanted.llm, Self::llm)?;
        let tts = self.members(name, &wanted.tts, Self::tts)?;
        let duplex = self.members(name, &wanted.duplex, Self::duplex)?;
        let watch = || self.watch.clone();
        let absent = |stage| Absent::new(name, stage);
        let stt: Arc<dyn Stt> = if stt.is_empty() {
            Arc::new(absent(Stage::Stt))
        } else {
            Arc::new(GuardedStt::new(stt, watch()))
        };
        let llm: Arc<dyn Llm> = if llm.is_empty() {
            Arc::new(absent(Stage::Llm))
        } else {
            let hedge = wanted.hedge_ms.map(Duration::from_millis);
            match hedge.and_then(|after| HedgedLlm::new(&llm, after, watch())) {
                Some(hedged) => Arc::new(hedged),
                None => Arc::new(GuardedLlm::new(llm, watch())),
            }
        };
        let tts: Arc<dyn Tts> = if tts.is_empty() {
            Arc::new(absent(Stage::Tts))
        } else {
            Arc::new(GuardedTts::new(tts, watch()))
        };
        let duplex = (!duplex.is_empty())
            .then(|| -> Arc<dyn Duplex> { Arc::new(GuardedDuplex::new(duplex, watch())) });
        Ok(Pipeline {
            name: name.into(),
            transcriber: Transcriber::Stream(Arc::clone(&stt)),
            stt,
            llm,
            tts,
            llm_model: None,
            duplex,
        })
    }

    /// The members of one stage, in the order of failover.
    fn members<T>(
        &mut self,
        pipeline: &str,
        entries: &[String],
        open: fn(&mut Self, &str) -> Result<Arc<T>, Trouble>,
    ) -> Result<Vec<Arc<T>>, CatalogError> {
        entries
            .iter()
            .map(|entry| {
                open(self, entry).map_err(|trouble| match trouble {
                    Trouble::Error(error) => error,
                    Trouble::Unknown => {
                        let (name, known) = (name_of(entry), self.names());
                        let problem = format!("there is no provider {name:?}; there are {known}");
                        problem_of(pipeline, problem)
                    }
                    Trouble::Incapable(stage) => {
                        let name = name_of(entry);
                        problem_of(pipeline, format!("provider {name:?} does no {stage}"))
                    }
                })
            })
            .collect()
    }

    fn stt(&mut self, entry: &str) -> Result<Arc<Member<dyn Stt>>, Trouble> {
        if let Some(member) = self.stt.get(entry) {
            return Ok(Arc::clone(member));
        }
        let client = self.client.clone();
        let vendor = || self.vendor(entry, Stage::Stt);
        let provider: Arc<dyn Stt> = match self.kind(entry)? {
            ProviderKind::Scripted => Arc::new(ScriptedStt::new(Arc::clone(&self.scripted))),
            ProviderKind::Workers => self.workers(entry)?.stt,
            #[cfg(feature = "local")]
            ProviderKind::Local => Arc::new(LocalStt::new(self.models()?)),
            #[cfg(not(feature = "local"))]
            ProviderKind::Local => return Err(CatalogError::NotBuilt.into()),
            ProviderKind::Openai => Arc::new(opened(entry, OpenAiStt::new(client, vendor()?))?),
            ProviderKind::Deepgram => Arc::new(opened(entry, DeepgramStt::new(client, vendor()?))?),
            ProviderKind::Assemblyai => {
                Arc::new(opened(entry, AssemblyAiStt::new(client, vendor()?))?)
            }
            _ => return Err(Trouble::Incapable("speech to text")),
        };
        let member = self.member(entry, Stage::Stt, provider);
        self.stt.insert(entry.to_owned(), Arc::clone(&member));
        Ok(member)
    }

    fn llm(&mut self, entry: &str) -> Result<Arc<Member<dyn Llm>>, Trouble> {
        if let Some(member) = self.llm.get(entry) {
            return Ok(Arc::clone(member));
        }
        let client = self.client.clone();
        let vendor = || self.vendor(entry, Stage::Llm);
        let provider: Arc<dyn Llm> = match self.kind(entry)? {
            ProviderKind::Scripted => Arc::new(ScriptedLlm::new(Arc::clone(&self.scripted))),
            ProviderKind::Workers => self.workers(entry)?.llm,
            #[cfg(feature = "local")]
            ProviderKind::Local => Arc::new(LocalLlm::new(self.models()?)),
            #[cfg(not(feature = "local"))]
            ProviderKind::Local => return Err(CatalogError::NotBuilt.into()),
            ProviderKind::Openai => Arc::new(opened(entry, OpenAiLlm::new(client, vendor()?))?),
            ProviderKind::OpenaiResponses => {
                Arc::new(opened(entry, ResponsesLlm::new(client, vendor()?))?)
            }
            ProviderKind::Anthropic => {
                Arc::new(opened(entry, AnthropicLlm::new(client, vendor()?))?)
            }
            ProviderKind::Gemini => Arc::new(opened(entry, GeminiLlm::new(client, vendor()?))?),
            ProviderKind::Ollama => Arc::new(opened(entry, OllamaLlm::new(client, vendor()?))?),
            _ => return Err(Trouble::Incapable("language")),
        };
        let member = self.member(entry, Stage::Llm, provider);
        self.llm.insert(entry.to_owned(), Arc::clone(&member));
        Ok(member)
    }

    fn tts(&mut self, entry: &str) -> Result<Arc<Member<dyn Tts>>, Trouble> {
        if let Some(member) = self.tts.get(entry) {
            return Ok(Arc::clone(member));
        }
        let client = self.client.clone();
        let vendor = || self.vendor(entry, Stage::Tts);
        let provider: Arc<dyn Tts> = match self.kind(entry)? {
            ProviderKind::Scripted => Arc::new(ScriptedTts::new(Arc::clone(&self.scripted))),
            ProviderKind::Workers => self.workers(entry)?.tts,
            #[cfg(feature = "local")]
            ProviderKind::Local => Arc::new(LocalTts::new(self.models()?)),
            #[cfg(not(feature = "local"))]
            ProviderKind::Local => return Err(CatalogError::NotBuilt.into()),
            ProviderKind::Openai => Arc::new(opened(entry, OpenAiTts::new(client, vendor()?))?),
            ProviderKind::Deepgram => Arc::new(opened(entry, DeepgramTts::new(client, vendor()?))?),
            ProviderKind::Elevenlabs => {
                Arc::new(opened(entry, ElevenLabsTts::new(client, vendor()?))?)
            }
            ProviderKind::Cartesia => Arc::new(opened(entry, CartesiaTts::new(client, vendor()?))?),
            _ => return Err(Trouble::Incapable("text to speech")),
        };
        let member = self.member(entry, Stage::Tts, provider);
        self.tts.insert(entry.to_owned(), Arc::clone(&member));
        Ok(member)
    }

    fn duplex(&mut self, entry: &str) -> Result<Arc<Member<dyn Duplex>>, Trouble> {
        if let Some(member) = self.duplex.get(entry) {
            return Ok(Arc::clone(member));
        }
        let client = self.client.clone();
        let vendor = || self.vendor(entry, Stage::Duplex);
        let provider: Arc<dyn Duplex> = match self.kind(entry)? {
            ProviderKind::OpenaiRealtime => {
                Arc::new(opened(entry, OpenAiRealtime::new(client, vendor()?))?)
            }
            ProviderKind::GeminiLive => {
                Arc::new(opened(entry, GeminiLive::new(client, vendor()?))?)
            }
            _ => return Err(Trouble::Incapable("speech to speech")),
        };
        let member = self.member(entry, Stage::Duplex, provider);
        self.duplex.insert(entry.to_owned(), Arc::clone(&member));
        Ok(member)
    }

    fn workers(&self, entry: &str) -> Result<Workers, Trouble> {
        self.workers
            .clone()
            .ok_or_else(|| unreachable_workers(entry))
    }

    fn member<P: ?Sized>(&self, entry: &str, stage: Stage, provider: Arc<P>) -> Arc<Member<P>> {
        let member = Member::new(entry, stage, provider, self.watch.clone());
        let at_home = matches!(self.kind(entry), Ok(ProviderKind::Local));
        Arc::new(if at_home { member.at_home() } else { member })
    }

    fn kind(&self, entry: &str) -> Result<ProviderKind, Trouble> {
        let name = name_of(entry);
        let configured = self.config.providers.get(name).and_then(|own| own.kind);
        configured
            .or_else(|| well_known(name).map(|known| known.kind))
            .ok_or(Trouble::Unknown)
    }

    /// The vendor that `NAME` or `NAME/MODEL` means for a stage.
    fn vendor(&self, entry: &str, stage: Stage) -> Result<Vendor, Trouble> {
        let (name, model) = match entry.split_once('/') {
            Some((name, model)) => (name, Some(model.to_owned())),
            None => (entry, None),
        };
        let own = self.config.providers.get(name);
        let ProviderConfig {
            kind: _,
            base_url,
            api_key,
            model: default_model,
            voice,
        } = own.cloned().unwrap_or_default();
        let address = || well_known(name).and_then(|known| Url::parse(known.base_url).ok());
        let base_url = base_url.or_else(address).ok_or_else(|| {
            let problem = "it needs an address: set base_url".to_owned();
            Trouble::from(problem_of_provider(name, problem))
        })?;
        Ok(Vendor {
            api_key,
            // the configured default is a language model, or one that needs no other
            model: model.or(default_model.filter(|_| matches!(stage, Stage::Llm | Stage::Duplex))),
            voice,
            ..Vendor::new(name, base_url)
        })
    }

    /// Every provider that a pipeline may name.
    fn names(&self) -> String {
        let known = WELL_KNOWN.iter().map(|known| known.name);
        let configured = self.config.providers.keys().map(String::as_str);
        let mut names: Vec<&str> = known.chain(configured).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    fn unknown_pipeline(&self, name: &str) -> CatalogError {
        let configured = self.config.pipelines.keys().map(String::as_str);
        let built_in = [LOCAL, scripted::NAME, Workers::NAME];
        let names: Vec<&str> = configured.chain(built_in).collect();
        let problem = format!("there is no such pipeline; there are {}", names.join(", "));
        problem_of(name, problem)
    }
}
