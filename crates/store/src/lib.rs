//! What is remembered: durable rows in SQL, short-lived state in memory.
//! Opened once by the gateway's composition root and by the command line's `keys`.
//! Never sees HTTP, and never reads a clock: time is an argument.

pub mod live;
pub mod sql;

pub use live::Live;
pub use sql::Sql;
pub use sql::agents::{Creation, Place, StoredAgent};
pub use sql::keys::{ApiKey, NewApiKey};

/// What went wrong with stored state.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address names something this build cannot open.
    #[error(
        "database address must start with sqlite:, other databases are not supported by this build yet"
    )]
    UnsupportedAddress,
    /// The database's folder cannot be made or its file cannot be opened.
    #[error("cannot open database {path}: {reason}")]
    Open {
        /// The file.
        path: String,
        /// What the system or SQLite said.
        reason: String,
    },
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A statement failed.
    #[error("cannot {action}")]
    Query {
        /// What was tried, for example `list keys`.
        action: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// What is stored of an agent is no agent; the others can be read.
    #[error("cannot read the row of agent '{name}'")]
    Unreadable {
        /// Its name.
        name: String,
        /// What does not fit.
        #[source]
        source: sqlx::Error,
    },
    /// Short-lived state is full: too many client secrets are waiting to be used.
    #[error("cannot keep another client secret: {limit} are waiting to be used")]
    Full {
        /// The configured limit.
        limit: usize,
    },
    /// Short-lived state is full: the client secrets waiting to be used carry too much.
    #[error("cannot keep another client secret: those waiting to be used hold up to {limit} bytes")]
    FullBytes {
        /// Bytes that may be held.
        limit: usize,
    },
}

/// All state of the server.
#[derive(Debug, Clone)]
pub struct Store {
    /// Durable rows.
    pub sql: Sql,
    /// Short-lived state.
    pub live: Live,
}

impl Store {
    /// Opens the database at `url` (`sqlite:PATH` or `sqlite::memory:`), creating and migrating it as needed.
    ///
    /// `max_client_secrets` bounds the ephemeral secrets kept at the same time.
    ///
    /// # Errors
    /// [`StoreError::UnsupportedAddress`], [`StoreError::Open`] or [`StoreError::Migrate`].
    pub async fn open(url: &str, max_client_secrets: usize) -> Result<Self, StoreError> {
        Ok(Self {
            sql: Sql::open(url).await?,
            live: Live::memory(max_client_secrets),
        })
    }
}
