//! Keys: made, found, listed, revoked, touched; on every database.

use chrono::{DateTime, TimeDelta, Utc};
use store::{NewApiKey, Sql, Store, StoreError};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000 + second, 123_456_000).unwrap()
}

async fn create(sql: &Sql, id: &str, tenant: &str, second: i64) {
    let scopes = vec!["realtime:connect".to_owned()];
    sql.create_key(&NewApiKey {
        id,
        tenant,
        name: "laptop",
        scopes: &scopes,
        hash: "$argon2id$…",
        created_at: at(second),
    })
    .await
    .unwrap();
}

/// What every database must do with keys.
async fn conformance(sql: &Sql) {
    assert_eq!(sql.find_key("none").await.unwrap(), None);
    create(sql, "k2", "default", 2).await;
    create(sql, "k1", "default", 1).await;
    create(sql, "k3", "other", 0).await;

    let found = sql.find_key("k1").await.unwrap().unwrap();
    assert_eq!(
        (found.tenant.as_str(), found.name.as_str()),
        ("default", "laptop")
    );
    assert_eq!(found.scopes, ["realtime:connect"]);
    assert_eq!(found.created_at, at(1));
    assert_eq!((found.last_used_at, found.revoked_at), (None, None));

    let ids = |keys: Vec<store::ApiKey>| keys.into_iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(sql.list_keys("default").await.unwrap()), ["k1", "k2"]);
    assert_eq!(ids(sql.list_keys("other").await.unwrap()), ["k3"]);

    sql.touch_key("k1", at(60)).await.unwrap();
    assert_eq!(
        sql.find_key("k1").await.unwrap().unwrap().last_used_at,
        Some(at(60))
    );

    assert!(sql.key_is_active("k1").await.unwrap());
    assert!(
        !sql.revoke_key("other", "k1", at(61)).await.unwrap(),
        "another tenant's key"
    );
    assert!(sql.revoke_key("default", "k1", at(61)).await.unwrap());
    assert!(
        !sql.revoke_key("default", "k1", at(62)).await.unwrap(),
        "revoked already"
    );
    assert!(!sql.key_is_active("k1").await.unwrap());
    assert_eq!(
        sql.find_key("k1").await.unwrap().unwrap().revoked_at,
        Some(at(61))
    );

    let twice = sql
        .create_key(&NewApiKey {
            id: "k1",
            tenant: "default",
            name: "again",
            scopes: &[],
            hash: "",
            created_at: at(0) + TimeDelta::seconds(9),
        })
        .await;
    assert!(matches!(
        twice,
        Err(StoreError::Query {
            action: "create a key",
            ..
        })
    ));

    let first = sql.installation_value("checksum", &[1, 2]).await.unwrap();
    let second = sql.installation_value("checksum", &[3, 4]).await.unwrap();
    assert_eq!(
        (first.as_slice(), second.as_slice()),
        (&[1_u8, 2][..], &[1_u8, 2][..])
    );
    sql.ping().await.unwrap();
}

#[tokio::test]
async fn sqlite_in_memory() {
    conformance(&Store::open("sqlite::memory:", 1).await.unwrap().sql).await;
}

#[tokio::test]
async fn sqlite_in_a_file_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!(
        "sqlite:{}",
        folder.path().join("new/folder/antiphon.db").display()
    );
    let store = Store::open(&url, 1).await.unwrap();
    conformance(&store.sql).await;
    store.sql.close().await;
    assert!(store.sql.ping().await.is_err());
    let again = Store::open(&url, 1).await.unwrap();
    assert_eq!(again.sql.list_keys("default").await.unwrap().len(), 2);
}

#[tokio::test]
async fn two_processes_may_write_to_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("antiphon.db").display());
    let server = Store::open(&url, 1).await.unwrap().sql;
    let command_line = Store::open(&url, 1).await.unwrap().sql;
    create(&command_line, "k1", "default", 1).await;
    assert!(server.key_is_active("k1").await.unwrap());
    assert!(
        command_line
            .revoke_key("default", "k1", at(2))
            .await
            .unwrap()
    );
    assert!(!server.key_is_active("k1").await.unwrap());
}

#[tokio::test]
async fn other_addresses_are_refused() {
    let refused = Store::open("postgres://localhost/x", 1).await;
    assert!(matches!(refused, Err(StoreError::UnsupportedAddress)));
    let unusable = Store::open("sqlite:/dev/null/antiphon.db", 1).await;
    assert!(matches!(unusable, Err(StoreError::Open { .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("antiphon.db").display());
    let assert_private = || {
        let mut names = Vec::new();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
            names.push(file.file_name());
        }
        names.sort();
        names
    };
    let store = Store::open(&url, 1).await.unwrap();
    create(&store.sql, "k1", "default", 1).await;
    let names = assert_private();
    assert_eq!(names, ["antiphon.db", "antiphon.db-shm", "antiphon.db-wal"]);
    store.sql.close().await;

    // a database of an earlier build, which everybody could read
    let file = folder.path().join("antiphon.db");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _again = Store::open(&url, 1).await.unwrap();
    assert_private();
}
