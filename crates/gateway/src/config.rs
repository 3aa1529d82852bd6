//! Every setting of the server: one section per module, each key with its default and its limits.
//! Loaded once by the binary ([`Config::load`]) and handed to [`crate::run`]; tests build it by hand.
//! Never reads the environment itself and never prints a secret.

mod chat;
mod check;
mod conversations;
mod dialling;
mod document;
mod layers;
mod leadflip;
mod listeners;
mod named;
mod pipeline;
mod plans;
mod rate_limits;
mod recordings;
mod sections;
mod survey;
mod telephony;
#[cfg(test)]
mod tests;
mod voice;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use chat::{Chat, ChatExpiry, ChatPresence, ChatRefusal, ChatRoles};
pub use conversations::{Conversations, Encryption, Remembered};
pub use dialling::Dialling;
pub use layers::ConfigError;
pub use leadflip::Leadflip;
pub use listeners::{Listener, Profile};
pub use pipeline::NoProviders;
pub use plans::Plan;
pub use rate_limits::RateLimits;
pub use recordings::Recordings;
pub use sections::{
    AgentFiles, Auth, Database, Http, Limits, Llm, Log, LogFormat, Metering, Models, NamedPipeline,
    Pipeline, Provider, Redis, Scripted, Secret, Server, Sessions, Tools, Worker,
};
pub use survey::{Mail, Survey};
pub use telephony::{CarrierAccount, OwnNumber, Telephony};
pub use voice::{Voice, VoiceAdmits, VoicePrices};

/// Settings, after all layers: defaults, then the file, then `ANTIPHON_SECTION__KEY`, then the short names
/// (`ANTIPHON_LISTEN`, `PORT`, `DATABASE_URL`, …).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the server listens and keeps its data.
    pub server: Server,
    /// Further addresses, each for one door: a `[[listeners]]` table with `profile` and `address` for every one, or
    /// `ANTIPHON_LISTENERS=PROFILE=ADDRESS,…`. Profiles: all (what the main address answers), chat (chat
    /// rooms at `/`).
    pub listeners: Vec<Listener>,
    /// What the HTTP side allows.
    pub http: Http,
    /// Who may come in.
    pub auth: Auth,
    /// Which providers answer.
    pub pipeline: Pipeline,
    /// Vendors by name.
    pub providers: BTreeMap<String, Provider>,
    /// Pipelines by name.
    pub pipelines: BTreeMap<String, NamedPipeline>,
    /// Where models are kept.
    pub models: Models,
    /// The language model.
    pub llm: Llm,
    /// Delays of the scripted pipeline.
    pub scripted: Scripted,
    /// Limits of one conversation, and of all.
    pub sessions: Sessions,
    /// Durable state.
    pub database: Database,
    /// What is kept of conversations.
    pub conversations: Conversations,
    /// For how long the rest is remembered.
    pub retention: Remembered,
    /// What it is sealed with.
    pub encryption: Encryption,
    /// Shared state.
    pub redis: Redis,
    /// Other processes that do the work.
    pub worker: Worker,
    /// How much anybody may ask.
    pub rate_limits: RateLimits,
    /// How much tenants may have, by the name of their plan.
    pub plans: BTreeMap<String, Plan>,
    /// Agents in files.
    pub agents: AgentFiles,
    /// What functions of agents may reach.
    pub tools: Tools,
    /// Rooms in which people and agents write to each other.
    pub chat: Chat,
    /// Calls over telephone carriers.
    pub telephony: Telephony,
    /// Calls that this server places.
    pub dialling: Dialling,
    /// Recordings of calls.
    pub recordings: Recordings,
    /// Tables of a LeadFlip installation.
    pub leadflip: Leadflip,
    /// What providers cost.
    pub metering: Metering,
    /// The app voice socket.
    pub voice: Voice,
    /// The survey by text.
    pub survey: Survey,
    /// How mails are sent.
    pub mail: Mail,
    /// Logs.
    pub log: Log,
    /// Sizes of requests.
    pub limits: Limits,
}

impl Config {
    /// Builds the configuration from the defaults, an optional TOML file and the environment, and checks it.
    ///
    /// `environment` is every variable of the process; names that are not ours are skipped.
    ///
    /// # Errors
    /// One sentence that names the key, its value and what is expected; the binary exits with 64.
    pub fn load(
        file: Option<&std::path::Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        layers::load(file, environment)
    }

    /// The default file: every key with its meaning, all commented out.
    pub fn default_toml() -> String {
        document::default_toml()
    }

    /// JSON Schema of the file.
    pub fn schema_json() -> serde_json::Value {
        document::schema()
    }

    /// This configuration as TOML with secrets hidden, for `serve --print-config`.
    pub fn printed(&self) -> String {
        document::printed(self)
    }

    /// The data folder. [`Config::load`] always sets one; a configuration built by hand falls back to
    /// `antiphon-data` in the working folder.
    pub fn data_dir(&self) -> PathBuf {
        PathBuf::from(self.server.data_dir.as_deref().unwrap_or("antiphon-data"))
    }

    /// The folder of agents' files: as configured, or `agents` in the data folder.
    pub fn agents_dir(&self) -> PathBuf {
        self.agents
            .dir
            .as_ref()
            .map_or_else(|| self.data_dir().join("agents"), PathBuf::from)
    }

    /// The models folder: as configured, or `models` in the data folder.
    pub fn models_dir(&self) -> PathBuf {
        self.models
            .dir
            .as_ref()
            .map_or_else(|| self.data_dir().join("models"), PathBuf::from)
    }

    /// The plan of this name.
    pub fn plan(&self, name: &str) -> Option<Plan> {
        let built_in = || Plan::built_in().into_iter().find(|(own, _)| *own == name);
        let configured = self.plans.get(name).copied();
        configured.or_else(|| built_in().map(|(_, plan)| plan))
    }

    /// The names of all plans.
    pub fn plan_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.plans.keys().map(String::as_str).collect();
        names.extend(Plan::built_in().map(|(name, _)| name));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Where short-lived state is; without the keys of what is sealed there.
    pub fn live(&self) -> store::LiveOptions {
        store::LiveOptions {
            redis_url: self.redis.url.as_ref().map(|url| url.reveal().to_owned()),
            namespace: self.redis.namespace.clone(),
            max_client_secrets: self.auth.max_client_secrets,
            share_percent: self.redis.local_share_percent,
            keys: None,
            rooms: store::live::RoomLimits {
                entries: self.chat.replay_messages,
                kept_ms: self.chat.replay_s * 1000,
                ..store::live::RoomLimits::default()
            },
        }
    }

    /// The folder of journals: what was said, until the database has it.
    pub fn journals_dir(&self) -> PathBuf {
        self.data_dir().join("journal")
    }

    /// The database: as configured, or `antiphon.db` in the data folder; without the keys of what is sealed in it.
    pub fn database(&self) -> store::Settings {
        let database = &self.database;
        let url = database.url.as_ref().map_or_else(
            || format!("sqlite:{}", self.data_dir().join("antiphon.db").display()),
            |url| url.reveal().to_owned(),
        );
        store::Settings {
            url,
            owner_url: database
                .owner_url
                .as_ref()
                .map(|url| url.reveal().to_owned()),
            max_connections: database.max_connections,
            acquire_within: Duration::from_millis(database.acquire_timeout_ms),
            statement_within: Duration::from_millis(database.statement_timeout_ms),
            keys: None,
        }
    }
}
