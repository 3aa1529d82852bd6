//! A backup while people talk, a disaster, and a restore, as docs/operate.md tells it: the server answers with what it had.

use std::process::Command;

use serde_json::json;
use store::{SessionKey, Settings, Sql};

use crate::Server;
use crate::talking::{connect, items, rest, turn};

#[tokio::test]
async fn what_a_backup_has_is_there_after_a_restore() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.db");
    let server = Server::start(dir.path());
    let address = server.address.clone();
    let agent = json!({ "name": "ann", "instructions": "Be brief." });
    assert_eq!(rest(&address, "/v1/agents", Some(&agent)).await.0, 201);
    let mut socket = connect(&address).await;
    let said = turn(&mut socket, "remember this").await;
    let id = said[0]["session"]["id"].as_str().unwrap().to_owned();
    let usage = format!("/v1/sessions/{id}/usage");
    let (_, used) = rest(&address, &usage, None).await;
    socket.close(None).await.unwrap();
    let database = dir.path().join("antiphon.db");
    let url = |path: &std::path::Path| format!("sqlite:{}", path.display());
    // the journal is empty within milliseconds; a backup has what the database has
    let sql = Sql::open(&Settings::at(url(&database))).await.unwrap();
    loop {
        let found = sql.find_session("default", &id).await.unwrap();
        if found.is_some_and(|session| session.ended_at.is_some()) {
            break;
        }
        tokio::task::yield_now().await;
    }
    sql.close().await;

    let backup = format!(".backup '{}'", copy.display());
    let saved = Command::new("sqlite3").arg(&database).arg(backup).output();
    let saved = saved.unwrap_or_else(|error| panic!("sqlite3 makes backups: {error}"));
    assert!(saved.status.success(), "{saved:?}");
    assert_eq!(server.stop().0, 0);

    // the machine is lost, and another one takes its place
    let new = tempfile::tempdir().unwrap();
    std::fs::copy(&copy, new.path().join("antiphon.db")).unwrap();
    let server = Server::start(new.path());
    let (status, found) = rest(&server.address, "/v1/agents/ann", None).await;
    assert_eq!((status, &found["instructions"]), (200, &json!("Be brief.")));
    assert_eq!(rest(&server.address, &usage, None).await, (200, used));
    assert_eq!(server.stop().0, 0);
    let restored = url(&new.path().join("antiphon.db"));
    let sql = Sql::open(&Settings::at(restored)).await.unwrap();
    let session = sql.find_session("default", &id).await.unwrap().unwrap();
    let key = SessionKey::new("default", &id, session.started_at);
    let kept = sql.last_items(&key, 100).await.unwrap();
    let kept: Vec<String> = kept.into_iter().map(|item| item.id).collect();
    assert_eq!(kept, items(&said));
}
