//! Agents: who answers under `model=agent:NAME`, from the database of a project or from a folder of files.
//! Asked by every edge when a session names one, and by `/v1/agents`.
//! Never keeps a copy of its own: a change counts for the next session.

mod build;
mod files;

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use providers::Catalog;
use providers::tools::Outbound;
use store::{Creation, Place, Sql, StoreError, StoredAgent};
use wire::rest::agents::{AgentSource, AgentSpec};

pub use build::{Built, Problem};
pub use files::FileError;

use crate::app::LateCatalog;
use files::Files;

/// What a model name begins with that means an agent.
pub const PREFIX: &str = "agent:";
/// The project of keys that name none.
pub(crate) const PROJECT: &str = "default";
/// Longest name.
const MAX_NAME: usize = 64;
/// Agents of one project.
const MAX_AGENTS: u32 = 1000;
/// Names that a refusal shows.
const MAX_SHOWN: usize = 20;

/// An agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub source: AgentSource,
    /// What it is, secrets included.
    pub spec: AgentSpec,
    /// When it was made and last changed; `None` for a file.
    pub times: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// Why something was not done with an agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No agent has this name.
    #[error("there is no agent '{name}'; there are {}", listed(.known))]
    Unknown {
        /// As asked for.
        name: String,
        /// Names that there are.
        known: Vec<String>,
    },
    /// The name is no name.
    #[error("'{0}' is no agent's name: use 1 to 64 letters, digits, '-' and '_'")]
    Name(String),
    /// The name is taken.
    #[error("there is an agent '{0}' already; POST /v1/agents/{0} changes it")]
    Taken(String),
    /// There are as many as there may be.
    #[error(
        "there are {MAX_AGENTS} agents, and a project may not have more; remove those that nobody asks for with DELETE /v1/agents/NAME"
    )]
    TooMany,
    /// Somebody else has changed it meanwhile.
    #[error(
        "agent '{0}' was changed by somebody else meanwhile; read it again and repeat your change"
    )]
    Changed(String),
    /// It is in a file.
    #[error("agent '{0}' is in a file of this server; change it there")]
    InFile(String),
    /// What is stored of it is no agent; the log says why.
    #[error(
        "agent '{0}' is stored as this version of the server cannot read it; start the version that wrote it, or remove it with DELETE /v1/agents/{0} and make it anew with POST /v1/agents"
    )]
    Unreadable(String),
    /// What it is supposed to be is impossible.
    #[error("{0}")]
    Problem(#[from] Problem),
    /// The database does not answer.
    #[error("cannot read the agents")]
    Store(#[from] StoreError),
}

impl AgentError {
    /// As a sentence for a client.
    pub(crate) fn sentence(&self) -> String {
        let text = self.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string());
        format!("{}{}.", first.unwrap_or_default(), letters.as_str())
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none yet: POST /v1/agents makes one".to_owned();
    }
    let shown = names.iter().take(MAX_SHOWN).map(String::as_str);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more, which GET /v1/models lists"),
    }
}

/// Where agents are found.
#[derive(Debug)]
pub struct Agents {
    sql: Sql,
    files: Arc<Files>,
    outbound: Outbound,
}

impl Agents {
    /// Those of the database and those in the files of `folder`, whose tools reach the world through `outbound` and
    /// whose pipelines are looked up in `catalog` once it is there.
    ///
    /// # Errors
    /// When a file is no agent: an operator wants to know that at once.
    pub async fn open(
        sql: Sql,
        folder: PathBuf,
        outbound: Outbound,
        catalog: LateCatalog,
    ) -> Result<Self, FileError> {
        let files = Arc::new(Files::new(folder, outbound.clone(), catalog));
        let agents = Self {
            sql,
            files,
            outbound,
        };
        agents
            .in_files(Files::read_all)
            .await
            .unwrap_or(Ok(()))
            .map(|()| agents)
    }

    /// Reads files where reading may wait.
    async fn in_files<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Files) -> T + Send + 'static,
    ) -> Option<T> {
        let files = Arc::clone(&self.files);
        let reading = tokio::task::spawn_blocking(move || read(&files));
        reading.await.ok()
    }

    /// The agent with this name: the project's own, or else a file's.
    ///
    /// # Errors
    /// [`AgentError::Unknown`], which lists those there are, [`AgentError::Unreadable`], [`AgentError::Store`].
    pub async fn find(&self, tenant: &str, name: &str) -> Result<Agent, AgentError> {
        if let Some(stored) = self.sql.find_agent(place(tenant), name).await.transpose() {
            return stored_agent(tenant, stored);
        }
        if is_name(name) {
            let name = name.to_owned();
            let found = self.in_files(move |files| files.read(&name)).await;
            if let Some(agent) = found.flatten() {
                return Ok(agent);
            }
        }
        Err(AgentError::Unknown {
            name: name.to_owned(),
            known: self.names(tenant).await?,
        })
    }

    /// The names of all agents that a tenant can ask for, in their order. Nothing else of them is read: one that cannot
    /// be read has a name as well, and whoever asks for it is told what to do.
    ///
    /// # Errors
    /// [`AgentError::Store`].
    pub async fn names(&self, tenant: &str) -> Result<Vec<String>, AgentError> {
        let mut names = self.sql.agent_names(place(tenant), MAX_AGENTS).await?;
        let files = self.in_files(Files::agents).await.unwrap_or_default();
        names.extend(files.into_iter().map(|agent| agent.name));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// All agents that a tenant can ask for, in the order of their names. One that cannot be read is left out: it does
    /// not take the others away.
    ///
    /// # Errors
    /// [`AgentError::Store`].
    pub async fn list(&self, tenant: &str) -> Result<Vec<Agent>, AgentError> {
        let stored = self.sql.list_agents(place(tenant)).await?;
        let mut agents: Vec<Agent> = stored
            .into_iter()
            .filter_map(|row| stored_agent(tenant, row).ok())
            .collect();
        for agent in self.in_files(Files::agents).await.unwrap_or_default() {
            if !agents.iter().any(|own| own.name == agent.name) {
                agents.push(agent);
            }
        }
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(agents)
    }

    /// Makes an agent.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn create(
        &self,
        tenant: &str,
        name: &str,
        spec: &AgentSpec,
        at: DateTime<Utc>,
    ) -> Result<Agent, AgentError> {
        if !is_name(name) {
            return Err(AgentError::Name(name.to_owned()));
        }
        let new = StoredAgent {
            name: name.to_owned(),
            spec: serde_json::to_value(spec).unwrap_or_default(),
            created_at: at,
            updated_at: at,
        };
        let place = place(tenant);
        let created = self.sql.create_agent(place, &new, MAX_AGENTS).await;
        match created.map_err(not_written)? {
            Creation::Done => self.find(tenant, name).await,
            Creation::Taken => Err(AgentError::Taken(new.name)),
            Creation::Full => Err(AgentError::TooMany),
        }
    }

    /// Puts `spec` in the place of what `agent` was.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn update(
        &self,
        tenant: &str,
        agent: &Agent,
        spec: &AgentSpec,
        at: DateTime<Utc>,
    ) -> Result<Agent, AgentError> {
        let Some((created_at, updated_at)) = agent.times else {
            return Err(AgentError::InFile(agent.name.clone()));
        };
        let seen = StoredAgent {
            name: agent.name.clone(),
            spec: serde_json::to_value(&agent.spec).unwrap_or_default(),
            created_at,
            updated_at,
        };
        let json = serde_json::to_value(spec).unwrap_or_default();
        let updated = self.sql.update_agent(place(tenant), &seen, &json, at).await;
        if !updated.map_err(not_written)? {
            return Err(AgentError::Changed(agent.name.clone()));
        }
        self.find(tenant, &agent.name).await
    }

    /// Removes an agent.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn delete(&self, tenant: &str, name: &str) -> Result<(), AgentError> {
        if self.sql.delete_agent(place(tenant), name).await? {
            return Ok(());
        }
        // unknown, or in a file
        let agent = self.find(tenant, name).await?;
        Err(AgentError::InFile(agent.name))
    }

    /// Whether an agent can be what `spec` says; pipelines are looked up where there is a catalog already.
    ///
    /// # Errors
    /// The first [`Problem`].
    pub fn check(&self, spec: &AgentSpec, catalog: Option<&Catalog>) -> Result<(), Problem> {
        build::check(spec, catalog, &self.outbound)
    }

    /// What a session needs to be this agent's.
    ///
    /// # Errors
    /// The first [`Problem`].
    pub fn build(&self, agent: &Agent, catalog: &Catalog) -> Result<Built, Problem> {
        build::build(&agent.spec, catalog, &self.outbound)
    }

    /// The way out for MCP servers that clients name.
    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }
}

/// A text that no database takes is the client's mistake, anything else ours.
fn not_written(error: StoreError) -> AgentError {
    match error {
        StoreError::Nul => {
            let message = "an agent's texts may not contain the character U+0000";
            Problem::new("agent", message).into()
        }
        error => error.into(),
    }
}

fn place(tenant: &str) -> Place<'_> {
    Place {
        tenant,
        project: PROJECT,
    }
}

/// The agent that a row holds. One that holds none is told to the operator whenever somebody comes across it.
fn stored_agent(tenant: &str, row: Result<StoredAgent, StoreError>) -> Result<Agent, AgentError> {
    let unreadable = |name: String, cause: &dyn std::error::Error| {
        let cause = crate::auth::chain(cause);
        tracing::error!(tenant, agent = %name, %cause, "an agent in the database cannot be read");
        AgentError::Unreadable(name)
    };
    let stored = match row {
        Ok(stored) => stored,
        Err(StoreError::Unreadable { name, source }) => return Err(unreadable(name, &source)),
        Err(error) => return Err(error.into()),
    };
    match serde_json::from_value(stored.spec) {
        Ok(spec) => Ok(Agent {
            name: stored.name,
            source: AgentSource::Api,
            spec,
            times: Some((stored.created_at, stored.updated_at)),
        }),
        Err(error) => Err(unreadable(stored.name, &error)),
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain)
}

/// The agent's name in a model name.
pub fn named(model: &str) -> Option<&str> {
    model.strip_prefix(PREFIX)
}
