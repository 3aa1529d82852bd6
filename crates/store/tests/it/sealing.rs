//! What is said lies sealed in the database, by tenant, and its keys can be changed; on every database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use store::seal::{Keeper, KeyError, KeySource, Ring};
use store::{Settings, Sql, StoreError};
use tempfile::TempDir;

use crate::backend::as_application;
use crate::conversations::{begun, put, said, session, write};
use crate::postgres::{Database, OWNER, SUPERUSER, Server};

pub(crate) const OLD: &str = "old:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
pub(crate) const NEW: &str = "new:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

pub(crate) fn ring(keys: &[&str]) -> KeySource {
    KeySource::Ring(Arc::new(Ring::parse(&keys.join(",")).unwrap()))
}

/// A database that is opened several times, with other keys each time.
pub(crate) enum Place {
    File(TempDir),
    Postgres(Database<'static>),
}

impl Place {
    pub(crate) fn both() -> [Self; 2] {
        [
            Self::File(tempfile::tempdir().unwrap()),
            Self::Postgres(Server::shared().database(OWNER)),
        ]
    }

    fn settings(&self) -> Settings {
        match self {
            Self::File(folder) => {
                let file = folder.path().join("antiphon.db");
                Settings::at(format!("sqlite:{}", file.display()))
            }
            Self::Postgres(database) => as_application(database),
        }
    }

    pub(crate) async fn open(&self, keys: Option<KeySource>) -> Sql {
        let mut settings = self.settings();
        settings.keys = keys;
        Sql::open(&settings).await.unwrap()
    }

    /// What somebody who sees every byte of the database sees of a column.
    async fn bytes(&self, column: &'static str, table: &'static str) -> Vec<Vec<u8>> {
        match self {
            Self::File(_) => {
                let hand = sqlx::SqlitePool::connect(&self.settings().url)
                    .await
                    .unwrap();
                let query = match (column, table) {
                    ("content", _) => "SELECT content FROM conversation_items ORDER BY tenant, id",
                    _ => "SELECT settings FROM sessions ORDER BY tenant, id",
                };
                let found = sqlx::query_scalar(query).fetch_all(&hand).await.unwrap();
                hand.close().await;
                found
            }
            Self::Postgres(database) => {
                let text = database
                    .psql(
                        SUPERUSER,
                        &format!("SELECT encode({column}, 'hex') FROM {table} ORDER BY tenant, id"),
                    )
                    .unwrap();
                let byte =
                    |hex: &[u8]| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap();
                text.lines()
                    .map(|line| line.as_bytes().chunks(2).map(byte).collect())
                    .collect()
            }
        }
    }

    pub(crate) async fn by_hand(&self, sql: &'static str) {
        match self {
            Self::File(_) => {
                let hand = sqlx::SqlitePool::connect(&self.settings().url)
                    .await
                    .unwrap();
                sqlx::query(sql).execute(&hand).await.unwrap();
                hand.close().await;
            }
            Self::Postgres(database) => {
                database.psql(SUPERUSER, sql).unwrap();
            }
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

async fn two_tenants_talk(sql: &Sql) {
    for tenant in ["acme", "rival"] {
        let here = session(tenant, "sess_1");
        write(
            sql,
            &[
                begun(&here, 1, r#"{"voice":"secret"}"#),
                put(&here, 2, "item_a", 1),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn nobody_who_reads_the_database_reads_what_was_said() {
    for place in Place::both() {
        let sql = place.open(Some(ring(&[OLD]))).await;
        two_tenants_talk(&sql).await;
        assert_eq!(
            said(&sql, &session("acme", "sess_1"), 9).await,
            [r#"{"said":"item_a 2"}"#]
        );
        let contents = place.bytes("content", "conversation_items").await;
        let settings = place.bytes("settings", "sessions").await;
        assert_eq!((contents.len(), settings.len()), (2, 2));
        for stored in contents.iter().chain(&settings) {
            assert_eq!(stored[0], 1);
            assert!(!holds(stored, "item_a") && !holds(stored, "secret"));
        }
        // as another process, with nothing open yet
        let sql = place.open(Some(ring(&[OLD]))).await;
        let stored = sql.find_session("rival", "sess_1").await.unwrap().unwrap();
        assert_eq!(stored.settings, br#"{"voice":"secret"}"#);
    }
}

#[tokio::test]
async fn without_the_key_nothing_opens_and_the_error_says_which_is_missing() {
    for place in Place::both() {
        let sql = place.open(Some(ring(&[OLD]))).await;
        two_tenants_talk(&sql).await;
        let keyless = place
            .open(None)
            .await
            .last_items(&session("acme", "sess_1"), 9)
            .await;
        assert!(
            matches!(keyless, Err(StoreError::Keys(KeyError::NoKeys))),
            "{keyless:?}"
        );
        let other = place.open(Some(ring(&[NEW]))).await;
        let missing = other.last_items(&session("acme", "sess_1"), 9).await;
        assert!(
            matches!(&missing, Err(StoreError::Keys(KeyError::Missing(name))) if name == "old"),
            "{missing:?}"
        );
        // and it writes nothing that the tenant's other rows could not be read with
        let here = session("acme", "sess_1");
        let late = put(&here, 3, "item_b", 2);
        assert!(other.write_changes("acme", &[&late]).await.is_err());
    }
}

#[tokio::test]
async fn a_new_key_takes_over_and_the_old_one_can_go() {
    for place in Place::both() {
        let sql = place.open(Some(ring(&[OLD]))).await;
        two_tenants_talk(&sql).await;
        assert_eq!(sql.renew_data_keys().await.unwrap(), 0);
        let sql = place.open(Some(ring(&[NEW, OLD]))).await;
        assert_eq!(said(&sql, &session("acme", "sess_1"), 9).await.len(), 1);
        assert_eq!(sql.renew_data_keys().await.unwrap(), 2);
        assert_eq!(sql.renew_data_keys().await.unwrap(), 0);
        let sql = place.open(Some(ring(&[NEW]))).await;
        for tenant in ["acme", "rival"] {
            let here = session(tenant, "sess_1");
            assert_eq!(said(&sql, &here, 9).await, [r#"{"said":"item_a 2"}"#]);
        }
    }
}

#[tokio::test]
async fn what_was_stored_before_there_were_keys_is_read_and_sealed_when_it_changes() {
    for place in Place::both() {
        let here = session("acme", "sess_1");
        let sql = place.open(None).await;
        assert!(!sql.seals());
        write(&sql, &[begun(&here, 1, "{}"), put(&here, 2, "item_a", 1)]).await;
        assert!(holds(
            &place.bytes("content", "conversation_items").await[0],
            "item_a"
        ));
        let sql = place.open(Some(ring(&[OLD]))).await;
        assert!(sql.seals());
        assert_eq!(said(&sql, &here, 9).await, [r#"{"said":"item_a 2"}"#]);
        write(&sql, &[put(&here, 3, "item_a", 1)]).await;
        assert!(!holds(
            &place.bytes("content", "conversation_items").await[0],
            "item_a"
        ));
        assert_eq!(said(&sql, &here, 9).await, [r#"{"said":"item_a 3"}"#]);
    }
}

#[tokio::test]
async fn a_row_moved_to_another_tenant_or_item_does_not_open() {
    for place in Place::both() {
        let sql = place.open(Some(ring(&[OLD]))).await;
        two_tenants_talk(&sql).await;
        let here = session("acme", "sess_1");
        write(&sql, &[put(&here, 3, "item_b", 2)]).await;
        place
            .by_hand(
                "UPDATE conversation_items SET content = \
                 (SELECT content FROM conversation_items WHERE tenant = 'acme' AND id = 'item_a') \
                 WHERE id = 'item_b' OR tenant = 'rival'",
            )
            .await;
        for tenant in ["acme", "rival"] {
            let read = sql.last_items(&session(tenant, "sess_1"), 9).await;
            assert!(
                matches!(read, Err(StoreError::Keys(KeyError::Damaged))),
                "{read:?}"
            );
        }
        // nor with the other's key in the place of its own
        place
            .by_hand(
                "UPDATE data_keys SET wrapped = \
                 (SELECT wrapped FROM data_keys WHERE tenant = 'acme') WHERE tenant = 'rival'",
            )
            .await;
        let sql = place.open(Some(ring(&[OLD]))).await;
        let read = sql.last_items(&session("rival", "sess_1"), 9).await;
        assert!(
            matches!(read, Err(StoreError::Keys(KeyError::Damaged))),
            "{read:?}"
        );
    }
}

#[tokio::test]
async fn many_processes_that_begin_at_once_agree_on_a_data_key() {
    for place in Place::both() {
        let mut writing = tokio::task::JoinSet::new();
        for n in 0..6 {
            let sql = place.open(Some(ring(&[OLD]))).await;
            writing.spawn(async move {
                let here = session("acme", &format!("sess_{n}"));
                write(&sql, &[begun(&here, 1, "{}"), put(&here, 2, "item_a", 1)]).await;
            });
        }
        writing.join_all().await;
        let sql = place.open(Some(ring(&[OLD]))).await;
        for n in 0..6 {
            assert_eq!(
                said(&sql, &session("acme", &format!("sess_{n}")), 9)
                    .await
                    .len(),
                1
            );
        }
    }
}

/// Keeps keys elsewhere, and may be away.
#[derive(Debug, Default)]
struct Elsewhere {
    asked: AtomicU32,
    away: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Keeper for Elsewhere {
    async fn wrap(&self, key: &[u8]) -> Result<String, KeyError> {
        let mut wrapped = "else:".to_owned();
        for byte in key {
            wrapped.push_str(&format!("{:02x}", !byte));
        }
        self.opened(&wrapped).map(|_| wrapped)
    }

    async fn unwrap(&self, wrapped: &str) -> Result<Vec<u8>, KeyError> {
        self.opened(wrapped)
    }

    async fn renew(&self, _wrapped: &str) -> Result<Option<String>, KeyError> {
        Ok(None)
    }
}

impl Elsewhere {
    fn opened(&self, wrapped: &str) -> Result<Vec<u8>, KeyError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) {
            return Err(KeyError::Keeper("it does not answer".to_owned()));
        }
        let hex = wrapped.strip_prefix("else:").ok_or(KeyError::Foreign)?;
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).map(|b| !b);
        (0..hex.len())
            .step_by(2)
            .map(|at| byte(at).map_err(|_| KeyError::Damaged))
            .collect()
    }
}

#[tokio::test]
async fn a_keeper_elsewhere_is_asked_once_a_tenant_and_may_then_be_away() {
    for place in Place::both() {
        let keeper = Arc::new(Elsewhere::default());
        let sql = place
            .open(Some(KeySource::Keeper(Arc::clone(&keeper) as _)))
            .await;
        let here = session("acme", "sess_1");
        write(&sql, &[begun(&here, 1, "{}"), put(&here, 2, "item_a", 1)]).await;
        let asked = keeper.asked.load(Ordering::Relaxed);
        keeper.away.store(true, Ordering::Relaxed);
        write(&sql, &[put(&here, 3, "item_b", 2)]).await;
        assert_eq!(said(&sql, &here, 9).await.len(), 2);
        assert_eq!(keeper.asked.load(Ordering::Relaxed), asked);
        let stranger = session("rival", "sess_1");
        let entry = begun(&stranger, 1, "{}");
        let refused = sql.write_changes("rival", &[&entry]).await;
        assert!(
            matches!(refused, Err(StoreError::Keys(KeyError::Keeper(_)))),
            "{refused:?}"
        );
        keeper.away.store(false, Ordering::Relaxed);
        write(&sql, &[entry]).await;
    }
}
