//! What is kept of conversations: in order, once, sealed, and however the call or the database ends.

use std::time::Duration;

use gateway::config::Secret;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use store::{SessionKey, Sql, StoredSession};

use crate::caller::Caller;
use crate::postgres::{APPLICATION, OWNER, SUPERUSER, Server};
use crate::redis_servers::until;
use crate::world::World;

const PATH: &str = "/v1/realtime?model=gpt-realtime";

fn written() -> Value {
    json!({ "type": "realtime", "output_modalities": ["text"], "instructions": "Be brief." })
}

/// The items of a session as they are stored, and the session.
async fn kept(sql: &Sql, id: &str) -> Option<(StoredSession, Vec<Value>)> {
    let session = sql.find_session("default", id).await.unwrap()?;
    let key = SessionKey::new("default", id, session.started_at);
    let items = sql.last_items(&key, 100).await.unwrap();
    let json = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap();
    let items = items.iter().map(|item| json(&item.content)).collect();
    Some((session, items))
}

async fn ended(sql: &Sql, id: &str) -> (StoredSession, Vec<Value>) {
    until("the session is stored to its end", || async {
        let found = kept(sql, id).await;
        found.is_some_and(|(session, _)| session.ended_at.is_some())
    })
    .await;
    kept(sql, id).await.unwrap()
}

/// The items that the client was told of at last, in the order of the conversation.
fn told(caller: &Caller) -> Vec<Value> {
    let done = caller.events.iter();
    let done = done.filter(|event| event["type"] == "conversation.item.done");
    done.map(|event| event["item"].clone()).collect()
}

#[tokio::test]
async fn what_the_client_was_told_is_what_is_kept() {
    let world = World::start(|_| {}).await;
    let mut caller = Caller::call(&world, PATH, &written()).await;
    for words in ["hello", "and again"] {
        caller.write(words).await;
        caller.until("response.done").await;
    }
    let (id, told) = (caller.session_id().to_owned(), told(&caller));
    caller.hang_up().await;
    let (session, items) = ended(&world.app().store.sql, &id).await;
    assert_eq!(items.len(), 4);
    for (kept, told) in items.iter().zip(&told) {
        // the protocol's `object` is no part of an item
        for field in ["id", "type", "role", "content", "status"] {
            assert_eq!(kept[field], told[field], "{field} of {kept}");
        }
    }
    assert_eq!(session.outcome.as_deref(), Some("client_closed"));
    assert_eq!(session.model, "gpt-realtime");
    let settings: Value = serde_json::from_slice(&session.settings).unwrap();
    assert_eq!(settings["instructions"], "Be brief.");
}

#[tokio::test]
async fn items_are_kept_in_the_order_of_the_conversation_and_removed_with_it() {
    let world = World::start(|_| {}).await;
    let mut caller = Caller::call(&world, PATH, &written()).await;
    let create = |id: &str, after: Option<&str>| {
        let content = json!([{ "type": "input_text", "text": id }]);
        let item = json!({ "id": id, "type": "message", "role": "user", "content": content });
        let mut event = json!({ "type": "conversation.item.create", "item": item });
        if let Some(after) = after {
            event["previous_item_id"] = json!(after);
        }
        event
    };
    for (id, after) in [
        ("b", None),
        ("e", None),
        ("a", Some("root")),
        ("c", Some("b")),
        ("d", Some("c")),
        ("gone", Some("d")),
    ] {
        caller.send(&create(id, after)).await;
        caller.until("conversation.item.done").await;
    }
    caller
        .send(&json!({ "type": "conversation.item.delete", "item_id": "gone" }))
        .await;
    caller.until("conversation.item.deleted").await;
    let id = caller.session_id().to_owned();
    caller.hang_up().await;
    let (_, items) = ended(&world.app().store.sql, &id).await;
    let ids: Vec<_> = items
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn an_answer_that_nobody_waited_for_is_kept_as_incomplete() {
    let world = World::start(|config| config.scripted.token_ms = 60_000).await;
    let mut caller = Caller::call(&world, PATH, &written()).await;
    caller.write("tell me everything").await;
    caller.until("response.output_item.added").await;
    let id = caller.session_id().to_owned();
    caller.hang_up().await;
    let (_, items) = ended(&world.app().store.sql, &id).await;
    let states: Vec<_> = items
        .iter()
        .map(|item| {
            (
                item["role"].as_str().unwrap(),
                item["status"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(states, [("user", "completed"), ("assistant", "incomplete")]);
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_is_to_be_kept() {
    let world = World::start(|config| config.conversations.keep = false).await;
    let mut caller = Caller::call(&world, PATH, &written()).await;
    caller.write("hello").await;
    caller.until("response.done").await;
    let id = caller.session_id().to_owned();
    caller.hang_up().await;
    assert!(!world.folder.path().join("journal").exists());
    let (server, _folder) = world.into_server();
    let app = std::sync::Arc::clone(&server.app);
    assert_eq!(
        app.store.sql.find_session("default", &id).await.unwrap(),
        None
    );
    server.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_server_that_stops_leaves_nothing_in_its_journal() {
    let world = World::start(|_| {}).await;
    let mut caller = Caller::call(&world, PATH, &written()).await;
    caller.write("hello").await;
    caller.until("response.done").await;
    let id = caller.session_id().to_owned();
    let (server, folder) = world.into_server();
    let sql = format!("sqlite:{}", folder.path().join("antiphon.db").display());
    let journal = server.app.journal.clone().unwrap();
    server.stop(Duration::from_secs(10)).await;
    assert_eq!(journal.state().waiting, 0);
    let sql = Sql::open(&store::Settings::at(sql)).await.unwrap();
    let (session, items) = kept(&sql, &id).await.unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(session.outcome.as_deref(), Some("shutdown"));
}

#[tokio::test]
async fn a_conversation_goes_on_while_postgres_is_away_and_is_there_afterwards() {
    let postgres = Server::own();
    let database = postgres.database(OWNER);
    let world = World::start(|config| {
        config.database.url = Some(Secret::new(database.url(APPLICATION)));
        config.database.owner_url = Some(Secret::new(database.url(OWNER)));
        config.database.acquire_timeout_ms = 500;
        let key = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        config.encryption.keys = Some(Secret::new(key));
    })
    .await;
    let mut caller = Caller::call(&world, PATH, &written()).await;
    caller.write("before").await;
    caller.until("response.done").await;

    postgres.stop();
    for n in 0..5 {
        caller.write(&format!("meanwhile {n}")).await;
        caller.until("response.done").await;
    }
    let ready = async || {
        let answer = world.anonymous(Method::GET, "/ready").send().await.unwrap();
        let status = answer.status();
        let told: Value = answer.json().await.unwrap();
        let checks = told["checks"].as_array().unwrap().clone();
        let ours = checks.iter().find(|check| check["name"] == "conversations");
        (status, ours.unwrap().clone())
    };
    until("the server says that they wait", || async {
        ready().await.1["ok"] == false
    })
    .await;
    let (_, check) = ready().await;
    let detail = check["detail"].as_str().unwrap();
    assert!(detail.contains("wait in the journal"), "{detail}");
    let id = caller.session_id().to_owned();
    let told: Vec<_> = told(&caller)
        .iter()
        .map(|item| item["id"].clone())
        .collect();
    caller.hang_up().await;

    postgres.start();
    let sql = &world.app().store.sql;
    let journal = world.app().journal.clone().unwrap();
    until("everything is delivered", || async {
        journal.state().waiting == 0
    })
    .await;
    let (_, items) = ended(sql, &id).await;
    let ids: Vec<_> = items.iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids.len(), 12);
    assert_eq!(ids, told);
    assert_eq!(
        ready().await,
        (
            StatusCode::OK,
            json!({ "name": "conversations", "ok": true })
        )
    );
    let plain = "SELECT count(*) FROM conversation_items WHERE get_byte(content, 0) <> 1";
    assert_eq!(database.psql(SUPERUSER, plain).unwrap(), "0");
    let metrics = world
        .anonymous(Method::GET, "/metrics")
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains("antiphon_journal_refused_total 0"),
        "{metrics}"
    );
    assert!(metrics.contains("antiphon_journal_waiting 0"), "{metrics}");
}
