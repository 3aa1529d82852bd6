//! What is remembered: durable rows in SQL, short-lived state in memory or in Redis.
//! Opened once by the gateway's composition root and by the command line's `keys`.
//! Never sees HTTP, and never reads a clock: time is an argument.

pub mod journal;
pub mod live;
pub mod seal;
pub mod sql;

pub use journal::{Delivery, Journal, JournalError, JournalOptions, JournalState};
pub use live::{Live, LiveOptions};
pub use sql::agents::{Creation, Place, StoredAgent};
pub use sql::audit::{Act, AuditEntry, Chain, Fault};
pub use sql::callees::{Callee, Consent, DoNotCall};
pub use sql::calls::events::{CallEvent, NewCallEvent};
pub use sql::calls::notes::CallNotes;
pub use sql::calls::progress::{CallNews, CallingOff, Told};
pub use sql::calls::queue::{CallAttempt, ClaimedCall, Dial, Enqueued, Pace};
pub use sql::calls::recordings::Recording;
pub use sql::calls::turns::{CallTurn, Speaker, StoredTurn, turns_before};
pub use sql::calls::{CallFilter, StoredCall};
pub use sql::chat::{ChatMessage, ChatPage, ChatRead, ChatRoom, NewChatMessage};
pub use sql::inbox::{Receipt, Request};
pub use sql::items::{Change, Entry, StoredItem};
pub use sql::keys::{ApiKey, NewApiKey, Rotation};
pub use sql::lease::{Lease, Retries};
pub use sql::lines::Line;
pub use sql::outbox::{AfterFailure, Effect, NewEffect};
pub use sql::projects::{Project, Removal};
pub use sql::retention::{Pruned, PrunedUsage, Retention};
pub use sql::sessions::{SessionKey, StoredSession};
pub use sql::surveys::responses::{
    Added, ChoiceCount, Counted, NewResponse, NumberSum, StoredResponse,
};
pub use sql::surveys::{NewSet, QuestionSet};
pub use sql::sweep::{Cuts, Swept};
pub use sql::tenants::{Standing, Tenant, TenantLimits, TenantStatus};
pub use sql::usage::{Piece, StoredPiece, UsageGroup, UsageSum};
pub use sql::voice::{VoiceLine, VoiceMessage, VoiceSession, VoiceUsage};
pub use sql::webhooks::WebhookEndpoint;
pub use sql::{Settings, Sql};

/// What went wrong with stored state.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address cannot be opened. What is expected; nothing of the address, which may hold a password.
    #[error("cannot use the database address, expected {0}")]
    Address(&'static str),
    /// PostgreSQL cannot be reached, or lets nobody in.
    #[error(
        "cannot reach PostgreSQL at {server}: {reason}; see that it runs, and that DATABASE_URL (for the owner of the tables DATABASE_OWNER_URL) has its host, port, database, user and password"
    )]
    Unreachable {
        /// Host, port and database.
        server: String,
        /// What the system or the server said.
        reason: String,
    },
    /// The role would see the rows of every tenant.
    #[error(
        "the database role {role} is a superuser or has BYPASSRLS, so that row-level security does not bind it; make a role of its own for DATABASE_URL as docs/operate.md shows"
    )]
    Role {
        /// Its name.
        role: String,
    },
    /// The tables are not those of this build, and the role may not change them.
    #[error(
        "the tables are not up to date and the database role {role} may not change them; set DATABASE_OWNER_URL to the role that may"
    )]
    Behind {
        /// Its name.
        role: String,
    },
    /// A text with the character U+0000, which PostgreSQL cannot store.
    #[error("text with the character U+0000 cannot be stored")]
    Nul,
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
    /// Something cannot be sealed or opened.
    #[error("cannot use the keys of what was said: {0}")]
    Keys(#[from] seal::KeyError),
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
    /// The address of Redis is none.
    #[error("redis address is unusable, expected {0}")]
    RedisAddress(#[from] live::AddressError),
    /// Redis keeps the short-lived state and does not answer.
    #[error("redis does not answer")]
    RedisAway(#[from] live::link::Away),
}

impl StoreError {
    /// Whether the database is away, or so busy that it takes nothing: the same succeeds another time.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Query { source, .. } => {
                let Some(said) = source.as_database_error() else {
                    return true;
                };
                // of PostgreSQL: it goes down, comes up, or has lost us; of SQLite: somebody else writes
                let away =
                    |code: &str| code.starts_with("57P") || code.starts_with("08") || code == "5";
                said.code().is_some_and(|code| away(&code)) || self.is_storage()
            }
            _ => false,
        }
    }

    /// Whether the disk of the database is full or does not take what is written.
    pub fn is_storage(&self) -> bool {
        let Self::Query { source, .. } = self else {
            return false;
        };
        let code = source
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| match code.parse::<u32>() {
            // of PostgreSQL, where a code has five places: disk full, and a failure of input or output
            Ok(53_100 | 58_030) => true,
            // of SQLite, which adds details in higher bits: 13 is full, 10 a failure of input or output
            Ok(code) => code < 10_000 && matches!(code & 0xff, 10 | 13),
            Err(_) => false,
        })
    }

    /// Names what was tried when a statement fails.
    pub(crate) fn query(action: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Query { action, source }
    }
}

/// `bytes` in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // writing to a string cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The one character that PostgreSQL stores in no text. `SQLite` would, but what is stored must be able to move.
pub(crate) const NUL: char = '\0';

/// All state of the server.
#[derive(Debug, Clone)]
pub struct Store {
    /// Durable rows.
    pub sql: Sql,
    /// Short-lived state.
    pub live: Live,
}

impl Store {
    /// Opens the database of `settings`, creating and migrating it as needed.
    ///
    /// `live` says where short-lived state is.
    ///
    /// # Errors
    /// [`StoreError::Address`], [`StoreError::Open`] or [`StoreError::Unreachable`], [`StoreError::Role`],
    /// [`StoreError::Migrate`] [`StoreError::Behind`] or [`StoreError::RedisAddress`].
    pub async fn open(settings: &Settings, live: &LiveOptions) -> Result<Self, StoreError> {
        Ok(Self {
            sql: Sql::open(settings).await?,
            live: Live::open(live).await?,
        })
    }
}
