//! What the configuration says of providers and pipelines, and what is known of vendors without it.
//! Filled by the gateway from `[providers.*]` and `[pipelines.*]`; read by the catalog once.
//! Never shows a key.

use std::{collections::BTreeMap, path::PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::scripted::ScriptedConfig;

/// Which providers a server offers, and how they are put together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogConfig {
    /// Name of the pipeline for requests that name none: one of `pipelines`, [`crate::local::NAME`] or
    /// [`crate::scripted::NAME`]; the models of this machine when empty.
    pub default: String,
    /// Vendors by name. A well-known name needs no kind and no address.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Pipelines by name.
    pub pipelines: BTreeMap<String, PipelineConfig>,
    /// Replaces the language model of the built-in pipelines.
    pub llm: Option<LlmConfig>,
    /// Delays and transcripts of the scripted pipeline.
    pub scripted: ScriptedConfig,
    /// Directory of the local models.
    pub models_dir: PathBuf,
}

/// A vendor's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Models on this machine.
    Local,
    /// Deterministic, without models (see [`crate::scripted`]).
    Scripted,
    /// The OpenAI protocols: chat completions, audio transcriptions, audio speech.
    Openai,
    /// OpenAI's Responses.
    OpenaiResponses,
    /// Anthropic's Messages.
    Anthropic,
    /// Google's Gemini.
    Gemini,
    /// Ollama's own protocol.
    Ollama,
    /// Deepgram: ears and voice.
    Deepgram,
    /// `AssemblyAI`: ears.
    Assemblyai,
    /// `ElevenLabs`: voice.
    Elevenlabs,
    /// Cartesia: voice.
    Cartesia,
    /// OpenAI Realtime: speech to speech.
    OpenaiRealtime,
    /// Gemini Live: speech to speech.
    GeminiLive,
    /// Workers: other processes of this program, which run providers of their own.
    Workers,
}

impl ProviderKind {
    /// Every kind, as the configuration writes it.
    pub const ALL: [(&'static str, Self); 14] = [
        ("local", Self::Local),
        ("scripted", Self::Scripted),
        ("openai", Self::Openai),
        ("openai_responses", Self::OpenaiResponses),
        ("anthropic", Self::Anthropic),
        ("gemini", Self::Gemini),
        ("ollama", Self::Ollama),
        ("deepgram", Self::Deepgram),
        ("assemblyai", Self::Assemblyai),
        ("elevenlabs", Self::Elevenlabs),
        ("cartesia", Self::Cartesia),
        ("openai_realtime", Self::OpenaiRealtime),
        ("gemini_live", Self::GeminiLive),
        ("workers", Self::Workers),
    ];
}

/// One vendor: `[providers.NAME]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderConfig {
    /// Its protocol; that of the vendor whose name the section has, when absent.
    pub kind: Option<ProviderKind>,
    /// Its address up to and including the version; the vendor's own when absent.
    pub base_url: Option<Url>,
    /// Its key.
    #[serde(serialize_with = "hidden")]
    pub api_key: Option<SecretString>,
    /// Its language model, where a pipeline names none.
    pub model: Option<String>,
    /// Voice for requests whose voice it does not know.
    pub voice: Option<String>,
}

/// One pipeline: `[pipelines.NAME]`. Each entry is a provider's name, or `NAME/MODEL`; the first that answers, does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineConfig {
    /// Speech to text.
    pub stt: Vec<String>,
    /// Language models.
    pub llm: Vec<String>,
    /// Text to speech.
    pub tts: Vec<String>,
    /// Speech to speech, in place of the three; where they are there as well, they serve what is no conversation.
    /// One name, or a list.
    #[serde(deserialize_with = "one_or_more")]
    pub duplex: Vec<String>,
    /// The second language model is asked as well when the first has not begun to answer after so long, in ms.
    pub hedge_ms: Option<u64>,
}

impl PipelineConfig {
    /// Everything by one provider.
    pub fn of(provider: &str) -> Self {
        let only = || vec![provider.to_owned()];
        Self {
            stt: only(),
            llm: only(),
            tts: only(),
            ..Self::default()
        }
    }
}

/// A list of names, or one name alone.
///
/// # Errors
/// For anything else.
pub fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        More(Vec<String>),
    }
    Ok(match Names::deserialize(deserializer)? {
        Names::One(name) => vec![name],
        Names::More(names) => names,
    })
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

/// What is known of a vendor by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WellKnown {
    /// Name in the configuration.
    pub name: &'static str,
    /// Its protocol.
    pub kind: ProviderKind,
    /// Its address; empty for what runs inside this process.
    pub base_url: &'static str,
    /// The environment variable that its own tools read the key from.
    pub key_variable: Option<&'static str>,
}

const fn known(
    name: &'static str,
    kind: ProviderKind,
    base_url: &'static str,
    key_variable: Option<&'static str>,
) -> WellKnown {
    WellKnown {
        name,
        kind,
        base_url,
        key_variable,
    }
}

/// Vendors that need no more than a key (addresses: each vendor's API reference, November 2026).
pub const WELL_KNOWN: [WellKnown; 17] = [
    known("local", ProviderKind::Local, "", None),
    known("scripted", ProviderKind::Scripted, "", None),
    known("workers", ProviderKind::Workers, "", None),
    known(
        "openai",
        ProviderKind::Openai,
        "https://api.openai.com/v1",
        Some("OPENAI_API_KEY"),
    ),
    known(
        "groq",
        ProviderKind::Openai,
        "https://api.groq.com/openai/v1",
        Some("GROQ_API_KEY"),
    ),
    known(
        "openrouter",
        ProviderKind::Openai,
        "https://openrouter.ai/api/v1",
        Some("OPENROUTER_API_KEY"),
    ),
    known(
        "vllm",
        ProviderKind::Openai,
        "http://127.0.0.1:8000/v1",
        None,
    ),
    known(
        "ollama",
        ProviderKind::Ollama,
        "http://127.0.0.1:11434",
        None,
    ),
    known(
        "openai-responses",
        ProviderKind::OpenaiResponses,
        "https://api.openai.com/v1",
        Some("OPENAI_API_KEY"),
    ),
    known(
        "anthropic",
        ProviderKind::Anthropic,
        "https://api.anthropic.com/v1",
        Some("ANTHROPIC_API_KEY"),
    ),
    known(
        "gemini",
        ProviderKind::Gemini,
        "https://generativelanguage.googleapis.com/v1beta",
        Some("GEMINI_API_KEY"),
    ),
    known(
        "deepgram",
        ProviderKind::Deepgram,
        "https://api.deepgram.com/v1",
        Some("DEEPGRAM_API_KEY"),
    ),
    known(
        "assemblyai",
        ProviderKind::Assemblyai,
        "https://streaming.assemblyai.com/v3",
        Some("ASSEMBLYAI_API_KEY"),
    ),
    known(
        "elevenlabs",
        ProviderKind::Elevenlabs,
        "https://api.elevenlabs.io/v1",
        Some("ELEVENLABS_API_KEY"),
    ),
    known(
        "cartesia",
        ProviderKind::Cartesia,
        "https://api.cartesia.ai",
        Some("CARTESIA_API_KEY"),
    ),
    known(
        "openai-realtime",
        ProviderKind::OpenaiRealtime,
        "https://api.openai.com/v1",
        Some("OPENAI_API_KEY"),
    ),
    known(
        "gemini-live",
        ProviderKind::GeminiLive,
        "https://generativelanguage.googleapis.com/v1beta",
        Some("GEMINI_API_KEY"),
    ),
];

/// What is known of the vendor with this name.
pub fn well_known(name: &str) -> Option<&'static WellKnown> {
    WELL_KNOWN.iter().find(|vendor| vendor.name == name)
}
