//! Two servers, one Redis, one PostgreSQL: places, budgets and rows are those of all of them, also when one goes.

use std::time::Duration;

use gateway::config::Secret;

use super::app::{App, server, start, token};
use crate::postgres::{APPLICATION, OWNER, Server};
use crate::redis_servers::{Servers, until};
use crate::world::World;

const WORDS: &str = "say: Good morning to you!";

async fn node(servers: &Servers, change: impl FnOnce(&mut gateway::Config)) -> World {
    server(|config| {
        config.redis.url = Some(Secret::new(servers.url.as_str()));
        config.scripted.transcripts = vec![WORDS.to_owned()];
        config.sessions.speculate = false;
        change(config);
    })
    .await
}

/// The code of what a `session_start` of `user` is refused with.
async fn refused(world: &World, user: &str) -> u16 {
    let mut app = App::open(world).await;
    app.send(&start(&token(world, user, 60))).await;
    app.until_closed().await.0
}

#[tokio::test]
async fn three_places_of_a_user_are_three_over_all_servers() {
    let servers = Servers::single().await;
    let (one, other) = (node(&servers, |_| {}).await, node(&servers, |_| {}).await);
    let first = App::call(&one, "u1").await;
    let _second = App::call(&other, "u1").await;
    let _third = App::call(&one, "u1").await;
    assert_eq!(refused(&other, "u1").await, 4008);
    assert_eq!(refused(&one, "u1").await, 4008);
    let _stranger = App::call(&other, "u2").await;
    first.hang_up().await;
    until("its place is free at the other", || {
        App::may_begin(&other, "u1")
    })
    .await;
}

#[tokio::test]
async fn a_day_s_budget_is_one_over_all_servers() {
    let servers = Servers::single().await;
    let dear = |config: &mut gateway::Config| {
        config.voice.price_million_characters = 12_000_000_000;
        config.voice.max_output_tokens = 10;
        config.voice.session_budget_cents = 0;
        config.voice.daily_budget_cents = 60;
    };
    let (one, other) = (node(&servers, dear).await, node(&servers, dear).await);
    let mut app = App::call(&one, "u1").await;
    app.turn().await;
    app.hang_up().await;
    // 24 cents are spent, and half a dollar would be held for an answer
    let mut app = App::call(&other, "u1").await;
    app.speak().await;
    let error = app.until("error").await;
    assert_eq!(error["message"], "Daily budget limit exceeded: $0.24");
    assert_eq!(app.until_closed().await.0, 4009);
}

#[tokio::test]
async fn a_conversation_goes_on_at_another_server_when_one_has_gone() {
    let (servers, postgres) = (Servers::single().await, Server::shared());
    let database = postgres.database(OWNER);
    let of = |config: &mut gateway::Config| {
        config.database.url = Some(Secret::new(database.url(APPLICATION)));
        config.database.owner_url = Some(Secret::new(database.url(OWNER)));
    };
    let (one, other) = (node(&servers, of).await, node(&servers, of).await);
    let mut app = App::call_in(&one, "u1", "c1").await;
    app.turn().await;
    let session = app.session_id();
    let (stopped, _folder) = one.into_server();
    let stopping = tokio::spawn(async move { stopped.stop(Duration::from_secs(15)).await });
    // told to come again, as every server says that stops
    assert_eq!(app.until_closed().await.0, 1001);
    stopping.await.unwrap();
    let mut app = App::call_in(&other, "u1", "c1").await;
    let complete = app.turn().await;
    assert_eq!(complete["text"], "Good morning to you!");
    let again = app.session_id();
    app.hang_up().await;
    let sql = &other.app().store.sql;
    until("both sessions are stored to their ends", || async {
        let mut ended = 0;
        for session in [&session, &again] {
            let found = sql.voice_session("default", session).await.unwrap();
            ended += usize::from(found.is_some_and(|(row, _)| row.end_time.is_some()));
        }
        ended == 2
    })
    .await;
    let (first, _) = sql
        .voice_session("default", &session)
        .await
        .unwrap()
        .unwrap();
    let (second, _) = sql.voice_session("default", &again).await.unwrap().unwrap();
    assert!(
        second.llm_tokens_input > first.llm_tokens_input,
        "it has read what was said before"
    );
    assert_eq!(
        sql.voice_messages("default", &session).await.unwrap().len(),
        2
    );
    assert_eq!(
        sql.voice_messages("default", &again).await.unwrap().len(),
        2
    );
    assert!(
        sql.voice_messages("acme", &session)
            .await
            .unwrap()
            .is_empty()
    );
}
