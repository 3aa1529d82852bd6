//! Durable rows: SQLite or PostgreSQL behind one type, with one SQL text for both.
//! Opened by [`crate::Store::open`]; the tables' functions are in the modules below.
//! Never builds SQL text of anything but constants and the number of rows.

mod postgres;
mod settings;
mod sqlite;
#[macro_use]
mod work;

#[macro_use]
pub mod audit;
#[macro_use]
pub mod keys;
#[macro_use]
pub mod lease;
#[macro_use]
pub mod outbox;
#[macro_use]
pub mod usage;
pub mod agents;
pub mod callees;
pub mod calls;
mod changes;
pub mod chat;
mod data_keys;
pub mod inbox;
mod installation;
pub mod items;
pub mod lines;
pub mod projects;
pub mod retention;
pub mod sessions;
pub mod surveys;
pub mod sweep;
pub mod tenants;
pub mod voice;
pub mod webhooks;

pub use settings::{Settings, check_address};

use crate::StoreError;
use crate::seal::Keys;

/// The database.
#[derive(Debug, Clone)]
pub struct Sql {
    db: Db,
    keys: Keys,
    prints: callees::Prints,
}

/// Which one it is.
#[derive(Debug, Clone)]
enum Db {
    Sqlite(sqlite::Pools),
    Postgres(postgres::Server),
}

/// What a piece of work does with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Which rows a piece of work may see. PostgreSQL holds it to that; SQLite has no such wall.
#[derive(Debug, Clone, Copy)]
enum Scope<'a> {
    /// Only what belongs to the installation.
    Installation,
    /// One tenant's.
    Tenant(&'a str),
    /// Every tenant's record and the head of its audit log; of all other tables only what this tenant has.
    Operator(Option<&'a str>),
    /// The API key with this public id, and its tenant's record.
    Key(&'a str),
    /// The sessions and the data keys of all tenants, to find those whose time has come; reading only.
    Maintenance,
    /// What has to be done outside for all tenants, and nothing else of theirs.
    Outbox,
    /// The telephone calls of all tenants, to claim those that are due; one at a time.
    Dialler,
    /// The telephone number of ours that a call has come in to.
    Line(&'a str),
    /// One tenant's, while nobody else has the tenant's rows of this name: the print of a number that is being dialled, a
    /// table whose rows are counted.
    Alone(&'a str, &'a str),
    /// One tenant's, while nobody else adds to this project.
    Project(agents::Place<'a>),
}

impl Sql {
    /// Opens the database and brings its tables up to date.
    ///
    /// # Errors
    /// See [`crate::Store::open`].
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let db = match settings.url.strip_prefix("sqlite:") {
            Some(path) => Db::Sqlite(sqlite::Pools::open(&settings.url, path).await?),
            None => Db::Postgres(postgres::Server::open(settings).await?),
        };
        Ok(Self {
            db,
            keys: Keys::new(settings.keys.clone()),
            prints: callees::Prints::default(),
        })
    }

    /// Asks the database for an answer, for `/ready`.
    ///
    /// # Errors
    /// [`StoreError::Query`] or [`StoreError::Unreachable`] when it gives none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match &self.db {
            Db::Sqlite(pools) => pools
                .ping()
                .await
                .map_err(StoreError::query("reach the database")),
            Db::Postgres(server) => server.ping().await,
        }
    }

    /// What it is and where, for people.
    ///
    /// # Errors
    /// As [`Sql::ping`].
    pub async fn describe(&self) -> Result<String, StoreError> {
        match &self.db {
            Db::Sqlite(_) => {
                self.ping().await?;
                Ok("SQLite".to_owned())
            }
            Db::Postgres(server) => server.describe().await,
        }
    }

    /// Finishes pending work and closes files and connections.
    pub async fn close(&self) {
        match &self.db {
            Db::Sqlite(pools) => pools.close().await,
            Db::Postgres(server) => server.close().await,
        }
    }
}
