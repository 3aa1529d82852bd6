//! What a session, and a user's day, may cost; how long a session may last, and how many there may be.

use std::time::Duration;

use serde_json::json;

use super::app::{App, server, start, token};
use crate::redis_servers::until;
use crate::world::World;

/// Twelve thousand dollars for a million characters: a sentence of twenty is a quarter of a dollar.
const DEAR: u64 = 12_000_000_000;
const WORDS: &str = "say: Good morning to you!";
/// The longest answer, in tokens: half a dollar is held for one.
const LONGEST: u32 = 10;

async fn dear(change: impl FnOnce(&mut gateway::Config)) -> World {
    server(|config| {
        config.scripted.transcripts = vec![WORDS.to_owned()];
        config.voice.price_million_characters = DEAR;
        config.voice.max_output_tokens = LONGEST;
        // what is held for a guess is given back a moment after it was dropped
        config.sessions.speculate = false;
        change(config);
    })
    .await
}

#[tokio::test]
async fn a_session_is_warned_and_then_ended_before_a_turn_it_cannot_pay_for() {
    let world = dear(|config| {
        config.voice.session_budget_cents = 100;
        config.voice.warn_percent = 60;
    })
    .await;
    let mut app = App::call(&world, "u1").await;
    app.turn().await;
    app.turn().await;
    assert!(app.all("warning").is_empty());
    app.speak().await;
    let warning = app.until("warning").await;
    assert_eq!(warning["code"], "BUDGET_WARNING");
    assert_eq!(warning["message"], "Approaching budget limit: $0.72 / $1");
    assert!(
        (warning["cost"].as_f64().unwrap() - 0.72).abs() < 0.01,
        "{warning}"
    );
    app.until_complete(3).await;
    // the next turn is not begun: its answer may cost more than is left
    app.speak().await;
    let error = app.until("error").await;
    assert_eq!(error["code"], "BUDGET_EXCEEDED");
    assert_eq!(error["message"], "Budget limit exceeded: $0.72");
    assert!(error["cost"].as_f64().unwrap() < 1.0, "{error}");
    assert_eq!(
        app.until_closed().await,
        (4009, "Budget exceeded".to_owned())
    );
    assert_eq!(app.all("warning").len(), 1);
    assert_eq!(
        app.all("ai_response_complete").len(),
        3,
        "{:?}",
        app.kinds()
    );
}

#[tokio::test]
async fn a_session_whose_only_turn_used_everything_up_ends_behind_it() {
    let world = dear(|config| config.voice.session_budget_cents = 20).await;
    let mut app = App::call(&world, "u1").await;
    app.speak().await;
    let error = app.until("error").await;
    assert_eq!(error["message"], "Budget limit exceeded: $0.24");
    assert_eq!(
        app.until_closed().await,
        (4009, "Budget exceeded".to_owned())
    );
}

#[tokio::test]
async fn the_day_s_budget_survives_a_reconnect() {
    let world = dear(|config| {
        config.voice.session_budget_cents = 0;
        config.voice.daily_budget_cents = 80;
    })
    .await;
    let mut app = App::call(&world, "u1").await;
    app.turn().await;
    app.turn().await;
    app.hang_up().await;
    // an app comes back after whatever ended its session
    let mut app = App::call(&world, "u1").await;
    app.speak().await;
    let error = app.until("error").await;
    assert_eq!(error["code"], "BUDGET_EXCEEDED");
    let message = error["message"].as_str().unwrap();
    assert_eq!(message, "Daily budget limit exceeded: $0.48");
    assert_eq!(app.until_closed().await.0, 4009);
    // others have a day of their own
    let mut other = App::call(&world, "u2").await;
    other.turn().await;
    // and two days later it is another one
    world.app().clock.advance(Duration::from_hours(49));
    let mut app = App::call(&world, "u1").await;
    app.turn().await;
}

#[tokio::test]
async fn the_day_s_budget_survives_a_restart_of_a_server_without_redis() {
    let world = dear(|config| config.voice.daily_budget_cents = 30).await;
    let mut app = App::call(&world, "u1").await;
    app.turn().await;
    let session = app.session_id();
    app.hang_up().await;
    let sql = world.app().store.sql.clone();
    until("the row is written", || async {
        let found = sql.voice_session("default", &session).await.unwrap();
        found.is_some_and(|(row, _)| row.end_time.is_some() && row.total_micros >= 240_000)
    })
    .await;
    let (server, folder) = world.into_server();
    server.stop(Duration::from_secs(10)).await;
    let again = restarted(folder, 24).await;
    let mut app = App::open(&again).await;
    app.send(&start(&token(&again, "u1", 60))).await;
    let error = app.until("error").await;
    assert_eq!(error["code"], "BUDGET_EXCEEDED");
    assert_eq!(error["message"], "Daily budget limit exceeded: $0.24");
    assert_eq!(
        app.until_closed().await,
        (4009, "Budget exceeded".to_owned())
    );
}

#[tokio::test]
async fn what_was_spent_before_a_restart_counts_for_the_turns_after_it() {
    let world = dear(|config| config.voice.daily_budget_cents = 80).await;
    let mut app = App::call(&world, "u1").await;
    app.turn().await;
    let session = app.session_id();
    app.hang_up().await;
    let sql = world.app().store.sql.clone();
    until("the row is written", || async {
        let found = sql.voice_session("default", &session).await.unwrap();
        found.is_some_and(|(row, _)| row.end_time.is_some() && row.total_micros >= 240_000)
    })
    .await;
    let (server, folder) = world.into_server();
    server.stop(Duration::from_secs(10)).await;
    let again = restarted(folder, 80).await;
    // 24 cents are gone of 80, and half a dollar is held for an answer: there is one more, and not two
    let mut app = App::call(&again, "u1").await;
    app.turn().await;
    app.speak().await;
    let error = app.until("error").await;
    assert_eq!(error["message"], "Daily budget limit exceeded: $0.48");
    assert_eq!(app.until_closed().await.0, 4009);
}

/// The same server again, on the same data.
async fn restarted(folder: tempfile::TempDir, day_cents: u64) -> World {
    let place = folder.path().display().to_string();
    let mut world = dear(|config| {
        config.server.data_dir = Some(place);
        config.voice.daily_budget_cents = day_cents;
    })
    .await;
    // kept for as long as the server runs
    world.folder = folder;
    world
}

#[tokio::test]
async fn a_session_lasts_as_long_as_it_may_and_no_longer() {
    let world = server(|config| config.voice.max_session_s = 120).await;
    let mut app = App::open(&world).await;
    app.send(&start(&token(&world, "u1", 3600))).await;
    app.until("session_started").await;
    world.app().clock.advance(Duration::from_secs(119));
    app.send(&json!({ "type": "ping" })).await;
    app.until("pong").await;
    world.app().clock.advance(Duration::from_secs(2));
    app.send_sound(&[0; 2048]).await;
    let error = app.until("error").await;
    assert_eq!(error["code"], "DURATION_EXCEEDED");
    assert_eq!(
        error["message"],
        "Session duration limit exceeded: 2 minutes"
    );
    assert_eq!(
        app.until_closed().await,
        (4010, "Duration exceeded".to_owned())
    );
}

#[tokio::test]
async fn a_user_has_three_sessions_at_the_same_time() {
    let world = server(|_| {}).await;
    let mut apps = Vec::new();
    for _ in 0..3 {
        apps.push(App::call(&world, "u1").await);
    }
    let mut fourth = App::open(&world).await;
    fourth.send(&start(&token(&world, "u1", 60))).await;
    let error = fourth.until("error").await;
    assert_eq!(error["code"], "RATE_LIMIT_EXCEEDED");
    assert_eq!(
        error["message"],
        "Rate limit exceeded: Maximum 3 concurrent sessions allowed"
    );
    assert_eq!(
        fourth.until_closed().await,
        (4008, "Rate limit exceeded".to_owned())
    );
    App::call(&world, "u2").await;
    // who leaves in the middle of anything makes room
    apps.pop().unwrap().hang_up().await;
    until("there is room again", || App::may_begin(&world, "u1")).await;
}

#[tokio::test]
async fn a_tenant_has_limits_of_its_own() {
    let world = server(|config| config.voice.tenant = "acme".to_owned()).await;
    world.tenant("acme").await;
    let limits = json!({ "limits": { "voice_sessions_per_user": 1, "voice_session_s": 60 } });
    let changed = world
        .request(reqwest::Method::PATCH, "/v1/admin/tenants/acme")
        .json(&limits);
    let changed: serde_json::Value = changed.send().await.unwrap().json().await.unwrap();
    assert_eq!(changed["limits"]["voice_session_s"], 60, "{changed}");
    let mut app = App::call(&world, "u1").await;
    let mut second = App::open(&world).await;
    second.send(&start(&token(&world, "u1", 60))).await;
    assert_eq!(second.until_closed().await.0, 4008);
    world.app().clock.advance(Duration::from_secs(61));
    app.send_sound(&[0; 2048]).await;
    let error = app.until("error").await;
    assert_eq!(
        error["message"],
        "Session duration limit exceeded: 1 minutes"
    );
}
