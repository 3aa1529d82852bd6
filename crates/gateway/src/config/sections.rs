//! The sections of the configuration and their defaults.
//! Read by every module of the gateway; documented from these comments.
//! Never checks anything: ranges are in `layers`.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A setting that must not be shown: hidden in `Debug`, in `--print-config` and in error messages.
#[derive(Debug, Clone, ToSchema)]
#[schema(value_type = String, format = "password")]
pub struct Secret(SecretString);

impl Secret {
    /// What is printed instead of a secret.
    pub const HIDDEN: &'static str = "(hidden)";

    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The value itself; never log it.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(
            self.reveal().as_bytes(),
            other.reveal().as_bytes(),
        )
        .is_ok()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::HIDDEN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port; also `ANTIPHON_LISTEN`. `PORT` alone means `0.0.0.0:$PORT`.
    pub listen: String,
    /// Folder for the database and, by default, models; also `ANTIPHON_DATA_DIR`.
    /// Without it `$XDG_DATA_HOME/antiphon` or `~/.local/share/antiphon`.
    pub data_dir: Option<String>,
    /// Open connections; one more is answered with 503 and closed.
    pub max_connections: usize,
    /// Connections that one network address may open within any second, of IPv6 the first 64 bits; 0 is no limit.
    /// `http.trusted_proxies` and this machine's own addresses may open any number.
    pub connections_per_second: u64,
    /// Time a client has to send its request head, in ms.
    pub header_timeout_ms: u64,
    /// Time running conversations have to end after SIGTERM, in s.
    pub drain_s: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            data_dir: None,
            max_connections: 60_000,
            connections_per_second: 100,
            header_timeout_ms: 10_000,
            drain_s: 30,
        }
    }
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Web origins (such as `https://app.example`) whose pages may call the REST interface with a server key.
    /// Pages of other origins need an ephemeral secret (`ek_…`).
    pub allowed_origins: Vec<String>,
    /// Networks of the proxies in front of this server, such as `10.0.0.0/8` or `192.0.2.7/32`: what they write into
    /// `X-Forwarded-For` is believed. Nobody else's is.
    #[schema(value_type = Vec<String>)]
    pub trusted_proxies: Vec<ipnet::IpNet>,
}

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// A key accepted with full scope for tenant `default`, at least 16 characters; also `ANTIPHON_BOOTSTRAP_API_KEY`.
    #[schema(value_type = Option<String>, format = "password")]
    pub bootstrap_api_key: Option<Secret>,
    /// Ephemeral secrets (`ek_…`) kept at the same time; a further one is refused.
    pub max_client_secrets: usize,
    /// Wrong keys from one network address within a minute after which it is locked out; 0 is never. Keys that were
    /// right in the last minutes still open, and this machine's own addresses are never locked out.
    pub lockout_failures: u64,
    /// For how long, in s.
    pub lockout_s: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            bootstrap_api_key: None,
            max_client_secrets: 100_000,
            lockout_failures: 10,
            lockout_s: 900,
        }
    }
}

/// `[pipeline]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pipeline {
    /// Which pipeline answers where a request names none: one of `[pipelines.NAME]`, `local` (models on this machine)
    /// or `scripted` (fixed answers for tests); also `ANTIPHON_PIPELINE`.
    pub name: String,
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            name: "local".to_owned(),
        }
    }
}

/// `[providers.NAME]`: who can be asked. A well-known name (openai, groq, openrouter, vllm,
/// ollama, openai-responses, anthropic, gemini, deepgram, assemblyai, elevenlabs, cartesia,
/// openai-realtime, gemini-live) needs no more than a key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// Its protocol: `openai`, `openai_responses`, `anthropic`, `gemini`, `ollama`, `deepgram`, `assemblyai`,
    /// `elevenlabs`, `cartesia`, `openai_realtime`, `gemini_live`; that of the well-known vendor with this name when unset.
    pub kind: Option<String>,
    /// Its address up to and including the version; the vendor's own when unset.
    pub base_url: Option<String>,
    /// Its key; also the variable that the vendor's own tools read, such as `GROQ_API_KEY`.
    #[schema(value_type = Option<String>, format = "password")]
    pub api_key: Option<Secret>,
    /// Its language model, where a pipeline names none.
    pub model: Option<String>,
    /// Its voice for requests whose voice it does not know.
    pub voice: Option<String>,
}

/// `[pipelines.NAME]`: who does what. Each entry is a provider's name or `NAME/MODEL`; the first that answers, does,
/// and the others stand by. The pipeline's name is a model name for clients.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NamedPipeline {
    /// Speech to text.
    pub stt: Vec<String>,
    /// Language models.
    pub llm: Vec<String>,
    /// Text to speech.
    pub tts: Vec<String>,
    /// Speech to speech, in place of `stt`, `llm` and `tts`: one name, or a list.
    #[serde(deserialize_with = "providers::catalog::one_or_more")]
    pub duplex: Vec<String>,
    /// The second language model is asked as well when the first has not begun to answer after so long, in ms; whoever
    /// begins first is heard, and both are paid.
    pub hedge_ms: Option<u64>,
}

/// `[models]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Models {
    /// Folder of the local models, `models` in the data folder when unset; also `ANTIPHON_MODELS_DIR`.
    pub dir: Option<String>,
}

/// `[llm]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Llm {
    /// An OpenAI-compatible server that answers, for example `http://127.0.0.1:11434/v1` (Ollama).
    /// Unset: the small demo model on this machine.
    pub base_url: Option<String>,
    /// Model name asked of that server.
    pub model: Option<String>,
    /// Key for that server; also `OPENAI_API_KEY`.
    #[schema(value_type = Option<String>, format = "password")]
    pub api_key: Option<Secret>,
}

/// `[scripted]`: delays that make the test pipeline behave like real providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scripted {
    /// From the end of the utterance to its transcript, in ms.
    pub stt_ms: u64,
    /// From the question to the first token, in ms.
    pub first_token_ms: u64,
    /// Between tokens, in ms.
    pub token_ms: u64,
    /// Between tokens of an answer that is asked for slowly, in ms.
    pub slow_token_ms: u64,
    /// From a piece of text to its first audio, in ms.
    pub tts_ms: u64,
    /// Speech per character of text, in ms.
    pub speech_ms_per_char: u64,
    /// Speed at which audio is handed out, in per cent of real time; 0 is as fast as it is taken.
    pub speech_pace_percent: u32,
    /// Transcripts of a session's utterances in turn; none: the transcript tells how long the utterance was.
    pub transcripts: Vec<String>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            stt_ms: 0,
            first_token_ms: 0,
            token_ms: 0,
            slow_token_ms: 100,
            tts_ms: 0,
            speech_ms_per_char: 60,
            speech_pace_percent: 0,
            transcripts: Vec::new(),
        }
    }
}

/// `[sessions]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Longest conversation, in s (the hosted service ends them after 60 minutes).
    pub max_duration_s: u64,
    /// Conversations at the same time; a further one is refused with 503.
    pub max_sessions: usize,
    /// Items in one conversation; the oldest are forgotten beyond that.
    pub max_items: usize,
    /// Audio kept for `conversation.item.retrieve`, in bytes per session, newest first.
    pub retained_audio_bytes: usize,
    /// Events waiting for a slow client; one that leaves the queue full for 10 s is closed (1008).
    pub send_queue_events: usize,
    /// Events kept for a client that comes back with `session_id`, in bytes per session, the newest; what it missed of
    /// these is sent again.
    pub replay_bytes: usize,
    /// System prompt of sessions that set none.
    pub instructions: String,
    /// Voice of sessions that set none.
    pub voice: String,
    /// Context given to the language model, in estimated tokens.
    pub context_tokens: u32,
    /// Prompt and generated tokens per session and minute; a response beyond that fails with `rate_limit_exceeded`.
    pub tokens_per_minute: u64,
    /// Caller's audio per session and minute, in bytes as sent, at most 100,000,000; an append beyond that is refused, and 0
    /// is no limit. The default is ten times real time at 24 kHz.
    pub bytes_per_minute: u64,
    /// Whether replies are prepared while the end of the turn is still being decided.
    pub speculate: bool,
    /// Said when no language model answers, before the caller's own words are repeated; nothing when empty.
    pub apology: String,
    /// Between the apology and the caller's own words.
    pub echo: String,
    /// Said when a caller was not understood because transcription failed; nothing when empty.
    pub unheard: String,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            max_duration_s: 3600,
            max_sessions: 50_000,
            max_items: 2000,
            retained_audio_bytes: 524_288,
            send_queue_events: 1024,
            replay_bytes: 131_072,
            instructions: "You are a helpful assistant in a spoken conversation. Answer in one or two short sentences."
                .to_owned(),
            voice: "alloy".to_owned(),
            context_tokens: 8000,
            tokens_per_minute: 1_000_000,
            bytes_per_minute: 28_800_000,
            speculate: true,
            apology: "I am sorry, I cannot think clearly right now.".to_owned(),
            echo: "You said:".to_owned(),
            unheard: "I am sorry, I could not hear you. Please try again.".to_owned(),
        }
    }
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:PATH`, `sqlite::memory:` or the address of a PostgreSQL database, which begins with `postgres:`; a file in the data
    /// folder when unset. Also `DATABASE_URL`.
    #[schema(value_type = Option<String>, format = "password")]
    pub url: Option<Secret>,
    /// The same with the role that owns the tables: it changes them at start, and `url` may then be a role that cannot.
    /// Also `DATABASE_OWNER_URL`.
    #[schema(value_type = Option<String>, format = "password")]
    pub owner_url: Option<Secret>,
    /// Connections to PostgreSQL at the same time.
    pub max_connections: u32,
    /// How long a request waits for a connection to PostgreSQL, in ms.
    pub acquire_timeout_ms: u64,
    /// How long a statement may run on PostgreSQL, in ms.
    pub statement_timeout_ms: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            owner_url: None,
            max_connections: 16,
            acquire_timeout_ms: 5000,
            statement_timeout_ms: 10_000,
        }
    }
}

/// `[redis]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// Keeps client secrets and rate limits for several servers: `redis://cache.example:6379`, `rediss://` with TLS,
    /// `redis+sentinel://a.example:26379,b.example:26379/mymaster` or
    /// `redis+cluster://a.example:7001,b.example:7001`; this server's memory when unset. Also `REDIS_URL`.
    #[schema(value_type = Option<String>, format = "password")]
    pub url: Option<Secret>,
    /// What keys in Redis begin with; servers that share it share limits and client secrets.
    pub namespace: String,
    /// What this server gives of each rate limit while Redis does not answer, in per cent.
    pub local_share_percent: u64,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: None,
            namespace: "antiphon".to_owned(),
            local_share_percent: 50,
        }
    }
}

/// `[worker]`: how `antiphon worker` does its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// Address and port of a worker's `/health`, `/ready` and `/metrics`.
    pub listen: String,
    /// The pipeline whose providers do the work: that of `pipeline.name` when unset, and the models of this machine
    /// where that has nothing but workers.
    pub pipeline: Option<String>,
    /// Utterances that one worker transcribes at the same time; 8 are a good number with a GPU.
    pub stt_concurrency: usize,
    /// Replies that one worker speaks at the same time.
    pub tts_concurrency: usize,
    /// Questions that one worker answers at the same time.
    pub llm_concurrency: usize,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8090".to_owned(),
            pipeline: None,
            stt_concurrency: 4,
            tts_concurrency: 4,
            llm_concurrency: 8,
        }
    }
}

/// `[agents]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentFiles {
    /// Folder of agents in files: `NAME.toml` answers to `model=agent:NAME`. `agents` in the data folder when unset.
    pub dir: Option<String>,
}

/// `[tools]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tools {
    /// Hosts (names or addresses) that functions of agents may reach although they are not public, such as
    /// `crm.internal` or `127.0.0.1`.
    pub allowed_hosts: Vec<String>,
}

/// `[metering]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metering {
    /// A TOML file with your own prices, which count before the list prices that the server knows; the shape is that of
    /// `crates/gateway/prices.toml`.
    pub prices: Option<String>,
    /// For how many days it is known what sessions used, 1 to 3650.
    pub retention_days: u32,
}

impl Default for Metering {
    fn default() -> Self {
        Self {
            prices: None,
            // a year, and time to argue about its last bill
            retention_days: 400,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `pretty` for people, `json` for machines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,gateway=debug`; also `LOG_LEVEL`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Pretty,
            level: "info".to_owned(),
        }
    }
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// JSON request bodies, in bytes.
    pub json_bytes: usize,
    /// Files sent for transcription, in bytes (the hosted service takes 25 MiB).
    pub upload_bytes: usize,
    /// Characters of one speech request.
    pub speech_characters: usize,
    /// A client that stops sending in the middle of a body is cut off after so long, in s.
    pub body_idle_s: u64,
    /// Transcriptions and syntheses over REST at the same time; a further one is refused with 503.
    pub concurrent_audio_requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json_bytes: 2 * 1024 * 1024,
            upload_bytes: 25 * 1024 * 1024,
            speech_characters: 4096,
            body_idle_s: 30,
            concurrent_audio_requests: 64,
        }
    }
}
