//! SQLite: one writer, a few readers, files that belong to their owner alone.
//! Opened by [`super::Sql::open`].
//! Never waits for another process longer than its busy time-out.

#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Sqlite, SqlitePool, Transaction};

use super::Access;
use crate::StoreError;

/// Connections that only read; SQLite in WAL mode lets them run beside the writer.
const READERS: u32 = 4;

/// How long a statement waits for another process's lock (the command line writes to the same file).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Mode of the database's files: they hold key hashes.
#[cfg(unix)]
const PRIVATE: u32 = 0o600;

/// How long a request waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A database file, or one in memory.
#[derive(Debug, Clone)]
pub(super) struct Pools {
    writer: SqlitePool,
    reader: SqlitePool,
}

impl Pools {
    /// Opens and migrates the database at `url`, which names `path`.
    pub(super) async fn open(url: &str, path: &str) -> Result<Self, StoreError> {
        let open_error = |error: sqlx::Error| StoreError::Open {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let in_memory = path.starts_with(":memory:");
        if !in_memory {
            make_folder(path)?;
        }
        let options = SqliteConnectOptions::from_str(url)
            .map_err(open_error)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // with a write-ahead log, NORMAL loses no consistency, only the last commits at a power cut
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        if !in_memory {
            make_private(options.get_filename()).map_err(|error| StoreError::Open {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        }
        let pool = |connections: u32| {
            SqlitePoolOptions::new()
                .after_release(move |connection, _| {
                    Box::pin(async move {
                        // SQLite rolls back by itself when the disk is full, which the driver does not learn: to it the
                        // transaction goes on, and no other would ever begin on this connection
                        connection.ping().await?;
                        Ok(in_memory || !connection.is_in_transaction())
                    })
                })
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                // an in-memory database lives as long as its one connection
                .min_connections(u32::from(in_memory))
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool(1)
            .connect_with(options.clone())
            .await
            .map_err(open_error)?;
        sqlx::migrate!("migrations/sqlite")
            .run(&writer)
            .await
            .map_err(StoreError::Migrate)?;
        let reader = if in_memory {
            writer.clone()
        } else {
            pool(READERS)
                .connect_with(options.read_only(true))
                .await
                .map_err(open_error)?
        };
        Ok(Self { writer, reader })
    }

    /// A transaction for one piece of work.
    pub(super) async fn begin(
        &self,
        access: Access,
    ) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        match access {
            Access::Read => self.reader.begin().await,
            // takes the lock at once: what is read before the first write is still true then
            Access::Write => self.writer.begin_with("BEGIN IMMEDIATE").await,
        }
    }

    pub(super) async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1")
            .execute(&self.reader)
            .await
            .map(drop)
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}
/// Makes the database file readable by its owner only, creating it if need be; SQLite gives its `-wal` and `-shm`
/// files the same mode. Files of an earlier start that were open to others are closed to them.
fn make_private(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, PRIVATE);
    drop(options.open(file)?);
    #[cfg(unix)]
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        let Ok(found) = std::fs::metadata(&name) else {
            continue;
        };
        let mut mode = found.permissions();
        if mode.mode() & 0o077 != 0 {
            mode.set_mode(PRIVATE);
            // some mounted volumes fix the modes of their files: whoever mounted them chose who reads them
            let _ = std::fs::set_permissions(&name, mode);
        }
    }
    Ok(())
}

/// Creates the folder of the database file, readable by its owner only: it holds key hashes.
fn make_folder(path: &str) -> Result<(), StoreError> {
    let file = path.split('?').next().unwrap_or(path);
    let file = file.strip_prefix("//").unwrap_or(file);
    let Some(folder) = Path::new(file)
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| StoreError::Open {
        path: file.to_owned(),
        reason: error.to_string(),
    })
}
