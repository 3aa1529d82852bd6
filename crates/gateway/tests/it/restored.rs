//! PostgreSQL is saved, lost and restored, as docs/operate.md tells it: the server answers with what it had.

use std::time::Duration;

use gateway::audit::Actor;
use gateway::auth::{NewKey, Scopes};
use gateway::config::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::fifty::Crowd;
use crate::postgres::{APPLICATION, Database, OWNER, SUPERUSER, Server};
use crate::redis_servers::until;
use crate::world::World;

async fn on(database: &Database<'_>) -> World {
    World::start(|config| {
        config.database.url = Some(Secret::new(database.url(APPLICATION)));
        config.database.owner_url = Some(Secret::new(database.url(OWNER)));
        let key = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        config.encryption.keys = Some(Secret::new(key));
    })
    .await
}

async fn get(world: &World, key: &str, path: &str) -> Value {
    let asked = world.anonymous(Method::GET, path).bearer_auth(key);
    asked.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_server_on_a_restored_database_answers_with_what_it_had() {
    let server = Server::own();
    let first = server.database(OWNER);
    let world = on(&first).await;
    let new = NewKey {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        name: "laptop".to_owned(),
        scopes: Scopes::full(),
        expires_at: None,
    };
    let key = world.app().keys.create(&new, &Actor::command_line()).await;
    let key = key.unwrap().text.reveal().to_owned();
    let agent = json!({ "name": "ann", "instructions": "Be brief." });
    world.post("/v1/agents", &agent).send().await.unwrap();
    let mut crowd = Crowd::call(&world, 2).await;
    crowd.talk().await;
    let id = crowd.callers[0].session_id().to_owned();
    crowd.hang_up(&world).await;
    let journal = world.app().journal.clone().unwrap();
    until("the journal is delivered", || async {
        journal.state().waiting == 0
    })
    .await;
    let paths = [
        "/v1/agents/ann".to_owned(),
        format!("/v1/sessions/{id}/usage"),
        "/v1/admin/audit".to_owned(),
    ];
    let mut had = Vec::new();
    for path in &paths {
        had.push(get(&world, &key, path).await);
    }
    let (running, folder) = world.into_server();
    running.stop(Duration::from_secs(10)).await;

    let file = folder.path().join("antiphon.dump");
    first.dump(SUPERUSER, &file).unwrap();
    let gone = format!("DROP DATABASE {}", first.name);
    let second = server.database(OWNER);
    second.psql(SUPERUSER, &gone).unwrap();
    second.restore(SUPERUSER, &file).unwrap();

    let world = on(&second).await;
    for (path, had) in paths.iter().zip(had) {
        assert_eq!(get(&world, &key, path).await, had, "{path}");
    }
    let sql = &world.app().store.sql;
    assert_eq!(sql.verify_audit("default").await.unwrap().fault, None);
    let session = sql.find_session("default", &id).await.unwrap().unwrap();
    let place = store::SessionKey::new("default", &id, session.started_at);
    let said = sql.last_items(&place, 10).await.unwrap();
    // it opens with the keys of before
    let first: Value = serde_json::from_slice(&said[0].content).unwrap();
    assert_eq!((said.len(), &first["role"]), (2, &json!("user")));
    let mut again = Crowd::call(&world, 2).await;
    again.talk().await;
    again.hang_up(&world).await;
}
