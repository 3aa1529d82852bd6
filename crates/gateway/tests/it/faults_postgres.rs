//! PostgreSQL is away for longer than anybody waits for it: people go on talking and others come, administrators are told
//! why nothing happens, and afterwards everything that was said is there once. It also is when many talk at once and
//! nobody is away.

use gateway::config::Secret;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fifty::Crowd;
use crate::postgres::{APPLICATION, OWNER, SUPERUSER, Server};
use crate::redis_servers::until;
use crate::world::World;

/// Attempts that delivery has made in vain before the server comes back: after seven it pauses for its longest time, and
/// more than six seconds have gone by, which is far beyond every limit of this world.
const ATTEMPTS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_conversations_outlast_postgres_and_are_kept_once() {
    let postgres = Server::own();
    let database = postgres.database(OWNER);
    let world = World::start(|config| {
        config.database.url = Some(Secret::new(database.url(APPLICATION)));
        config.database.owner_url = Some(Secret::new(database.url(OWNER)));
        config.database.acquire_timeout_ms = 300;
        config.database.statement_timeout_ms = 500;
    })
    .await;
    let journal = world.app().journal.clone().unwrap();
    let mut crowd = Crowd::call(&world, 10).await;
    crowd.talk().await;

    postgres.stop();
    // who knows the door finds it open
    let mut late = Crowd::call(&world, 10).await;
    let agent = json!({ "name": "ann", "instructions": "Be brief." });
    let refused = world.post("/v1/agents", &agent).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let told: Value = refused.json().await.unwrap();
    assert_eq!(told["error"]["code"], "service_unavailable", "{told}");
    let away = until("delivery has been tried again and again", || async {
        journal.state().attempts_failed >= ATTEMPTS
    });
    tokio::join!(crowd.talk_through(away), late.talk());
    let state = journal.state();
    assert!(state.waiting > 0 && state.failing.is_some(), "{state:?}");

    postgres.start();
    until("everything is delivered", || async {
        journal.state().waiting == 0
    })
    .await;
    assert_eq!(journal.state().refused, 0);
    let made = world.post("/v1/agents", &agent).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    crowd.talk().await;
    crowd.hang_up(&world).await;
    late.hang_up(&world).await;
    let sessions = "SELECT count(*), count(ended_at) FROM sessions";
    assert_eq!(database.psql(SUPERUSER, sessions).unwrap(), "20|20");
    assert_eq!(journal.state().rejected, 0);
}

/// Nobody is away, and everybody talks at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fifty_conversations_say_and_use_is_stored_once() {
    let postgres = Server::own();
    let database = postgres.database(OWNER);
    let world = World::start(|config| {
        config.database.url = Some(Secret::new(database.url(APPLICATION)));
        config.database.owner_url = Some(Secret::new(database.url(OWNER)));
        config.sessions.max_sessions = 60;
    })
    .await;
    let journal = world.app().journal.clone().unwrap();
    let mut crowd = Crowd::call(&world, 50).await;
    for _ in 0..8 {
        crowd.talk().await;
    }
    let ids: Vec<String> = crowd
        .callers
        .iter()
        .map(|caller| caller.session_id().to_owned())
        .collect();
    crowd.hang_up(&world).await;
    world.app().meter.settled().await;
    journal.flush().await;
    until("everything is delivered", || async {
        journal.state().waiting == 0
    })
    .await;
    let state = journal.state();
    assert_eq!(state.refused + state.rejected + state.attempts_failed, 0);
    let asked = |sql: &str| database.psql(SUPERUSER, sql).unwrap();
    assert_eq!(
        asked("SELECT count(*), count(ended_at) FROM sessions"),
        "50|50"
    );
    assert_eq!(
        asked("SELECT count(*), count(DISTINCT (session, id)) FROM conversation_items"),
        "800|800"
    );
    // the database has what this process has counted, each piece once
    let (mut characters, mut tokens) = (0, 0);
    for id in &ids {
        let used = world.app().meter.usage("default", id).unwrap();
        assert_eq!(used.turns.len(), 8, "{id}");
        characters += used.units.characters;
        tokens += used.units.input_tokens + used.units.output_tokens;
    }
    assert!(characters > 0 && tokens > 0);
    assert_eq!(
        asked("SELECT sum(characters), sum(input_tokens + output_tokens) FROM usage"),
        format!("{characters}|{tokens}")
    );
    assert_eq!(
        asked(
            "SELECT count(*) = count(DISTINCT (session, run, number)), count(DISTINCT session), \
             count(*) = count(response), count(DISTINCT (session, response)) FROM usage"
        ),
        "t|50|t|400"
    );
}
