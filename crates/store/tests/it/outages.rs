//! PostgreSQL away, slow, full or not what it seems: typed answers in time, and back by itself.

use std::error::Error;
use std::time::Duration;

use chrono::DateTime;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use store::{Creation, Place, Settings, Sql, StoreError, StoredAgent};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backend::{act, as_application};
use crate::postgres::{APPLICATION, Database, OWNER, PASSWORD, SUPERUSER, Server};

const HERE: Place<'_> = Place {
    tenant: "acme",
    project: "default",
};

fn text(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

async fn create(sql: &Sql) -> Result<Creation, StoreError> {
    let at = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
    let agent = StoredAgent {
        name: "ann".to_owned(),
        spec: json!({}),
        created_at: at,
        updated_at: at,
    };
    sql.create_agent(HERE, &agent, 9, &act(agent.created_at))
        .await
}

/// Somebody who holds what creating an agent waits for.
async fn holder(database: &Database<'_>) -> PgConnection {
    let mut holder = PgConnection::connect(&database.url(APPLICATION))
        .await
        .unwrap();
    sqlx::query("SELECT pg_advisory_lock(hashtextextended('acme default', 0))")
        .execute(&mut holder)
        .await
        .unwrap();
    holder
}

/// Returns when `work` waits for what the holder holds.
async fn until_it_waits<T>(database: &Database<'_>, work: &JoinHandle<T>) {
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'advisory'",
        database.name
    );
    while database.psql(SUPERUSER, &waiting).unwrap() != "1" {
        assert!(!work.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_cannot_connect_is_told_where_and_why_without_the_password() {
    let database = Server::shared().database(OWNER);
    let known = format!("{APPLICATION}:{PASSWORD}");
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let nowhere = format!("postgres://antiphon:hunter2@{closed}/antiphon");
    let nobody = database.url_with("antiphon:hunter2");
    let nothing = database.url_with(&known).replace(&database.name, "no_such");
    for (url, reason) in [
        (nowhere, "refused"),
        (nobody, "password authentication failed"),
        (nothing, "does not exist"),
    ] {
        let refused = Sql::open(&Settings::at(&url)).await.unwrap_err();
        let text = text(&refused);
        assert!(matches!(refused, StoreError::Unreachable { .. }), "{text}");
        assert!(
            text.contains(reason) && text.contains("DATABASE_URL"),
            "{text}"
        );
        assert!(
            !text.contains("hunter2") && !text.contains("word@1"),
            "{text}"
        );
    }
    for url in ["mysql://u:hunter2@db/x", "postgres://u:1/hunter2@db/x"] {
        let refused = Sql::open(&Settings::at(url)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Address(_)), "{refused:?}");
        assert!(!text(&refused).contains("hunter2"), "{refused:?}");
    }
}

#[tokio::test]
async fn the_address_decides_about_encryption() {
    let server = Server::shared();
    let database = server.database(OWNER);
    let certificate = server.certificate();
    let certificate = certificate.to_str().unwrap();
    for (parameters, encrypted) in [
        ("sslmode=disable".to_owned(), "f"),
        ("sslmode=require".to_owned(), "t"),
        (
            format!("sslmode=verify-full&sslrootcert={certificate}"),
            "t",
        ),
    ] {
        let known = database.url_with(&format!("{APPLICATION}:{PASSWORD}"));
        let mut settings = as_application(&database);
        settings.url = format!("{known}?{parameters}");
        let sql = Sql::open(&settings).await.unwrap();
        let described = sql.describe().await.unwrap();
        assert!(described.starts_with("PostgreSQL 1"), "{described}");
        assert!(described.ends_with(" as antiphon"), "{described}");
        let connections = format!(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'antiphon' AND datname = '{}'",
            database.name
        );
        assert_eq!(database.psql(SUPERUSER, &connections).unwrap(), encrypted);
        sql.close().await;
    }
    // nobody vouches for this certificate
    let url = database.url_with(&format!("{APPLICATION}:{PASSWORD}"));
    let refused = Sql::open(&Settings::at(format!("{url}?sslmode=verify-full"))).await;
    let text = text(&refused.unwrap_err());
    assert!(
        text.contains("certificate") && !text.contains("word@1"),
        "{text}"
    );
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let database = Server::shared().database(OWNER);
    let mut settings = as_application(&database);
    settings.statement_within = Duration::from_millis(500);
    let sql = Sql::open(&settings).await.unwrap();
    let holder = holder(&database).await;
    let ended = create(&sql).await.unwrap_err();
    assert!(text(&ended).contains("statement timeout"), "{ended:?}");
    holder.close().await.unwrap();
    assert_eq!(create(&sql).await.unwrap(), Creation::Done);
}

#[tokio::test]
async fn who_finds_every_connection_in_use_is_told_in_time() {
    let database = Server::shared().database(OWNER);
    let mut settings = as_application(&database);
    settings.max_connections = 1;
    settings.acquire_within = Duration::from_secs(1);
    let sql = Sql::open(&settings).await.unwrap();
    sql.ping().await.unwrap();
    let holder = holder(&database).await;
    let busy = tokio::spawn({
        let sql = sql.clone();
        async move { create(&sql).await }
    });
    until_it_waits(&database, &busy).await;
    let refused = sql.list_agents(HERE).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Unreachable { .. }),
        "{refused:?}"
    );
    holder.close().await.unwrap();
    assert_eq!(busy.await.unwrap().unwrap(), Creation::Done);
    assert_eq!(sql.list_agents(HERE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_crashes_and_comes_back_is_found_again() {
    let server = Server::own();
    let database = server.database(OWNER);
    let mut settings = as_application(&database);
    settings.acquire_within = Duration::from_secs(1);
    let sql = Sql::open(&settings).await.unwrap();
    assert_eq!(create(&sql).await.unwrap(), Creation::Done);
    for _ in 0..2 {
        server.stop();
        let unreachable = |error: &StoreError| matches!(error, StoreError::Unreachable { .. });
        let away = sql.ping().await.unwrap_err();
        assert!(unreachable(&away), "{away:?}");
        let away = sql.list_agents(HERE).await.unwrap_err();
        assert!(unreachable(&away), "{away:?}");
        server.start();
        sql.ping().await.unwrap();
        assert_eq!(sql.list_agents(HERE).await.unwrap().len(), 1);
    }
}

/// A network in front of `port` that can swallow everything on the connections there are; it takes new ones.
async fn network(port: u16) -> (u16, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (swallow, swallowed) = watch::channel(());
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let mut swallowed = swallowed.clone();
            swallowed.borrow_and_update();
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = swallowed.changed() => std::future::pending().await,
                }
            });
        }
    });
    (own, swallow)
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_given_up_and_replaced() {
    let server = Server::shared();
    let database = server.database(OWNER);
    let (port, swallow) = network(server.port).await;
    let mut settings = as_application(&database);
    let direct = database.url_with(&format!("{APPLICATION}:{PASSWORD}"));
    let through = direct.replace(&format!(":{}/", server.port), &format!(":{port}/"));
    settings.url = format!("{through}?sslmode=disable");
    settings.max_connections = 1;
    settings.acquire_within = Duration::from_secs(1);
    settings.statement_within = Duration::from_secs(2);
    let sql = Sql::open(&settings).await.unwrap();
    sql.ping().await.unwrap();
    let holder = holder(&database).await;
    let busy = tokio::spawn({
        let sql = sql.clone();
        async move { create(&sql).await }
    });
    until_it_waits(&database, &busy).await;
    swallow.send(()).unwrap();
    holder.close().await.unwrap();
    let silent = busy.await.unwrap().unwrap_err();
    assert!(text(&silent).contains("no answer within"), "{silent:?}");
    // each try waits for a connection; the dead one must be out of the way after a few
    let mut tries = 0;
    while let Err(error) = sql.list_agents(HERE).await {
        tries += 1;
        assert!(tries < 20, "{error:?}");
    }
}
