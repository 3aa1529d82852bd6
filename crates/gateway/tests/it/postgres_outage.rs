//! A server whose rows are in PostgreSQL, which goes away and comes back.

use gateway::audit::Actor;
use gateway::auth::{NewKey, Scopes};
use gateway::config::Secret;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::postgres::{APPLICATION, OWNER, Server};
use crate::world::World;

async fn readiness(world: &World) -> (StatusCode, Value) {
    let answer = world.anonymous(Method::GET, "/ready").send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn status(world: &World, key: &str, path: &str) -> StatusCode {
    let request = world.anonymous(Method::GET, path).bearer_auth(key);
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn the_server_is_unready_while_postgres_is_away_and_ready_again_by_itself() {
    let postgres = Server::own();
    let database = postgres.database(OWNER);
    let world = World::start(|config| {
        config.database.url = Some(Secret::new(database.url(APPLICATION)));
        config.database.owner_url = Some(Secret::new(database.url(OWNER)));
        config.database.acquire_timeout_ms = 1000;
    })
    .await;
    assert!(!world.folder.path().join("antiphon.db").exists());
    let (ready, told) = readiness(&world).await;
    assert_eq!(ready, StatusCode::OK, "{told}");

    let keys = &world.app().keys;
    let new = NewKey {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        name: "laptop".to_owned(),
        scopes: Scopes::full(),
        expires_at: None,
    };
    let (first, second) = (
        keys.create(&new, &Actor::command_line()).await.unwrap(),
        keys.create(&new, &Actor::command_line()).await.unwrap(),
    );
    let agent = json!({ "name": "ann", "instructions": "Be brief." });
    let made = world.post("/v1/agents", &agent).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let nul = json!({ "name": "nul", "instructions": "Be \0 brief." });
    let refused = world.post("/v1/agents", &nul).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        status(&world, first.text.reveal(), "/v1/agents/ann").await,
        StatusCode::OK
    );
    let nobody = status(&world, first.text.reveal(), "/v1/agents/%00").await;
    assert_eq!(nobody, StatusCode::NOT_FOUND);

    postgres.stop();
    let (ready, told) = readiness(&world).await;
    assert_eq!(ready, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    let text = told.to_string();
    assert!(text.contains("cannot reach PostgreSQL"), "{text}");
    // a key that was never seen cannot be checked, which is not the same as a wrong key
    let unchecked = status(&world, second.text.reveal(), "/v1/agents/ann").await;
    assert_eq!(unchecked, StatusCode::SERVICE_UNAVAILABLE);

    postgres.start();
    let (ready, told) = readiness(&world).await;
    assert_eq!(ready, StatusCode::OK, "{told}");
    let known = status(&world, second.text.reveal(), "/v1/agents/ann").await;
    assert_eq!(known, StatusCode::OK);
}
