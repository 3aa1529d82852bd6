//! The databases that every story runs on: SQLite in memory, SQLite in a file, PostgreSQL.
//! `stories!` makes one test of a story for each.
//! Never skips one: a machine without PostgreSQL fails.

use chrono::{DateTime, Utc};
use store::{Act, NewApiKey, Settings, Sql, Tenant, TenantLimits, TenantStatus};
use tempfile::TempDir;

use crate::postgres::{APPLICATION, Database, OWNER, Server};

/// A fresh database.
pub(crate) struct Backend {
    pub(crate) sql: Sql,
    settings: Settings,
    pub(crate) kind: Kind,
    /// Removed when the story is over.
    _folder: Option<TempDir>,
}

/// Which one.
pub(crate) enum Kind {
    Memory,
    File,
    Postgres(Database<'static>),
}

impl Backend {
    pub(crate) async fn in_memory() -> Self {
        Self::open(Settings::at("sqlite::memory:"), Kind::Memory, None).await
    }

    pub(crate) async fn in_a_file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/folder/antiphon.db");
        let settings = Settings::at(format!("sqlite:{}", file.display()));
        Self::open(settings, Kind::File, Some(folder)).await
    }

    pub(crate) async fn in_postgres() -> Self {
        let database = Server::shared().database(OWNER);
        let settings = as_application(&database);
        Self::open(settings, Kind::Postgres(database), None).await
    }

    async fn open(settings: Settings, kind: Kind, folder: Option<TempDir>) -> Self {
        Self {
            sql: Sql::open(&settings).await.unwrap(),
            settings,
            kind,
            _folder: folder,
        }
    }

    /// As another process would open it; nothing for a database that no other process sees.
    pub(crate) async fn opened_again(&self) -> Option<Sql> {
        match self.kind {
            Kind::Memory => None,
            Kind::File | Kind::Postgres(_) => Some(Sql::open(&self.settings).await.unwrap()),
        }
    }

    /// Runs SQL by hand, past the store and past every wall.
    pub(crate) async fn by_hand(&self, sql: &'static str) -> Result<(), String> {
        match &self.kind {
            Kind::Postgres(database) => database.psql("postgres", sql).map(drop),
            Kind::Memory | Kind::File => {
                let hand = sqlx::SqlitePool::connect(&self.settings.url).await.unwrap();
                let done = sqlx::query(sql).execute(&hand).await;
                hand.close().await;
                done.map(drop).map_err(|error| error.to_string())
            }
        }
    }
}

/// Somebody did something at this time, for stories that are not about that.
pub(crate) fn act(at: DateTime<Utc>) -> Act {
    Act {
        at,
        actor: "default/k0".to_owned(),
        action: "thing.change",
        resource: "thing".to_owned(),
        before: None,
        after: None,
        ip: None,
        request_id: None,
    }
}

/// Makes a tenant with a first key, `first_of_ID`, that may come in.
pub(crate) async fn make_tenant(sql: &Sql, id: &str, at: DateTime<Utc>) -> Tenant {
    let tenant = Tenant {
        id: id.to_owned(),
        name: id.to_owned(),
        plan: "pro".to_owned(),
        status: TenantStatus::Active,
        reason: None,
        limits: TenantLimits::default(),
        created_at: at,
        updated_at: at,
    };
    let key = NewApiKey {
        id: &format!("first_of_{id}"),
        tenant: id,
        project: "default",
        name: "first",
        scopes: &[],
        hash: "$argon2id$…",
        created_at: at,
        expires_at: None,
    };
    assert!(sql.create_tenant(&tenant, &key, &act(at)).await.unwrap());
    tenant
}

/// The settings of an installation with two roles.
pub(crate) fn as_application(database: &Database<'_>) -> Settings {
    let mut settings = Settings::at(database.url(APPLICATION));
    settings.owner_url = Some(database.url(OWNER));
    settings
}

/// Makes one test of every story on every database.
macro_rules! stories {
    ($($story:ident),+ $(,)?) => {
        stories!(@on in_memory: $($story),+);
        stories!(@on in_a_file: $($story),+);
        stories!(@on in_postgres: $($story),+);
    };
    (@on $backend:ident: $($story:ident),+) => {
        mod $backend {
            $(
                #[tokio::test]
                async fn $story() {
                    super::$story(crate::backend::Backend::$backend().await).await;
                }
            )+
        }
    };
}
