//! Users whom a Supabase project knows, and rows that are written there as well.

use gateway::config::Secret;
use serde_json::{Value, json};

use super::app::{App, start};
use super::fake_supabase::{ANON, Fake, SERVICE};
use crate::redis_servers::until;
use crate::world::World;

const USER: &str = "6f1d5c0e-3a0b-4f6e-9a51-0f9f5a7c1d11";
const CONVERSATION: &str = "0b0c3f6a-9b1e-4d59-8f1c-2f3f9d7c5e22";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSJ9.signed-by-the-project";

async fn world(fake: &Fake, change: impl FnOnce(&mut gateway::Config)) -> World {
    World::start(|config| {
        config.voice.supabase_url = Some(fake.url.clone());
        config.voice.supabase_anon_key = Some(Secret::new(ANON));
        config.voice.supabase_service_role_key = Some(Secret::new(SERVICE));
        config.scripted.transcripts = vec!["say: Good morning to you.".to_owned()];
        change(config);
    })
    .await
}

async fn answered(world: &World, token: &str) -> (Value, u16) {
    let mut app = App::open(world).await;
    app.send(&start(token)).await;
    let error = app.until("error").await;
    let (code, _) = app.until_closed().await;
    (error, code)
}

#[tokio::test]
async fn whom_the_project_knows_comes_in_and_others_are_told_why_not() {
    let fake = Fake::start().await;
    fake.user(TOKEN, USER, "studio");
    let world = world(&fake, |_| {}).await;
    let mut app = App::open(&world).await;
    app.send(&start(TOKEN)).await;
    app.until("session_started").await;
    let (error, code) = answered(&world, "eyJhbGciOiJIUzI1NiJ9.e30.forged").await;
    assert_eq!((&error["code"], code), (&json!("AUTH_INVALID"), 4001));
    fake.fail(1);
    let (error, code) = answered(&world, TOKEN).await;
    assert_eq!((&error["code"], code), (&json!("AUTH_ERROR"), 4001));
    assert!(
        error.get("clearSession").is_none(),
        "an outage signs nobody out"
    );
    fake.delete_user(TOKEN);
    let (error, code) = answered(&world, TOKEN).await;
    assert_eq!((&error["code"], code), (&json!("USER_NOT_FOUND"), 4001));
    assert_eq!(error["message"], "Session invalid - user no longer exists");
    assert_eq!(error["clearSession"], true);
}

#[tokio::test]
async fn the_tier_is_read_with_the_key_that_may_see_it() {
    let fake = Fake::start().await;
    fake.user(TOKEN, USER, "core");
    let world = world(&fake, |config| {
        config.voice.tiers = vec!["studio".to_owned()];
    })
    .await;
    let (error, code) = answered(&world, TOKEN).await;
    assert_eq!((&error["code"], code), (&json!("TIER_REQUIRED"), 4003));
    fake.user(TOKEN, USER, "studio");
    let mut app = App::open(&world).await;
    app.send(&start(TOKEN)).await;
    app.until("session_started").await;
}

#[tokio::test]
async fn rows_are_written_there_once_whatever_happens_to_the_project() {
    let fake = Fake::start().await;
    fake.user(TOKEN, USER, "studio");
    let world = world(&fake, |config| {
        config.voice.supabase_mirror = true;
        config.voice.tiers = vec!["studio".to_owned()];
    })
    .await;
    let mut app = App::open(&world).await;
    let mut wanted = start(TOKEN);
    wanted["conversationId"] = json!(CONVERSATION);
    app.send(&wanted).await;
    app.until("session_started").await;
    fake.fail(3);
    app.turn().await;
    let session = app.session_id();
    app.hang_up().await;
    // what failed is tried again, a while later by the clock of the server
    until("all rows are there", || async {
        world.app().clock.advance(std::time::Duration::from_secs(1));
        fake.rows("messages").len() == 2
            && fake.rows("voice_sessions").len() == 1
            && fake.rows("usage_logs").len() == 1
    })
    .await;
    let messages = fake.rows("messages");
    let of = |role: &str| messages.iter().find(|it| it["role"] == role).unwrap();
    assert_eq!(of("assistant")["content"], "Good morning to you.");
    for message in &messages {
        assert_eq!(
            (&message["user_id"], &message["conversation_id"]),
            (&json!(USER), &json!(CONVERSATION))
        );
        assert_eq!(
            (&message["type"], &message["metadata"]["voice_call"]),
            (&json!("text"), &json!(true))
        );
        assert_eq!(message["metadata"]["session_id"], session);
    }
    assert!(of("user")["metadata"]["confidence"].as_f64().is_some());
    let row = &fake.rows("voice_sessions")[0];
    assert_eq!(
        (&row["session_id"], &row["status"]),
        (&json!(session), &json!("ended"))
    );
    assert!(row["stt_duration_ms"].as_i64().unwrap() > 1000, "{row}");
    assert!(row["total_cost"].as_f64().unwrap() > 0.0, "{row}");
    let usage = &fake.rows("usage_logs")[0];
    assert_eq!(
        (&usage["event"], &usage["tier"]),
        (&json!("voice_call"), &json!("studio"))
    );
    assert!(fake.requests() >= 4 + 3);
}

#[tokio::test]
async fn what_belongs_to_no_conversation_is_not_written_there() {
    let fake = Fake::start().await;
    fake.user(TOKEN, USER, "studio");
    let world = world(&fake, |config| config.voice.supabase_mirror = true).await;
    let mut app = App::open(&world).await;
    app.send(&start(TOKEN)).await;
    app.until("session_started").await;
    app.turn().await;
    app.hang_up().await;
    until("the session is there", || async {
        world.app().clock.advance(std::time::Duration::from_secs(1));
        fake.rows("voice_sessions").len() == 1 && fake.rows("usage_logs").len() == 1
    })
    .await;
    assert!(fake.rows("messages").is_empty());
}

#[tokio::test]
async fn nobody_writes_into_a_conversation_of_another_user_of_the_project() {
    let fake = Fake::start().await;
    fake.user(TOKEN, USER, "studio");
    let other = "1c9f0a52-7d3b-4e0b-8f7e-55a0b1c2d3e4";
    fake.conversation(CONVERSATION, other);
    let world = world(&fake, |config| config.voice.supabase_mirror = true).await;
    let mut first = start(TOKEN);
    first["conversationId"] = json!(CONVERSATION);
    let mut app = App::open(&world).await;
    app.send(&first).await;
    let error = app.until("error").await;
    assert_eq!(error["message"], "Conversation not found");
    assert_eq!(app.until_closed().await.0, 4003);
    assert!(fake.rows("messages").is_empty() && fake.rows("voice_sessions").is_empty());
    // the user's own
    fake.conversation(CONVERSATION, USER);
    let mut app = App::open(&world).await;
    let requests = fake.requests();
    app.send(&first).await;
    app.until("session_started").await;
    assert!(fake.requests() > requests);
    app.hang_up().await;
    // one that the project does not have, and one that it could not have
    for conversation in ["7f6e5d4c-3b2a-4190-8f7e-6d5c4b3a2f1e", "of-our-own"] {
        first["conversationId"] = json!(conversation);
        let mut app = App::open(&world).await;
        app.send(&first).await;
        app.until("session_started").await;
        app.hang_up().await;
    }
}

#[tokio::test]
async fn what_is_ours_is_not_shown_to_the_project() {
    let fake = Fake::start().await;
    let world = world(&fake, |_| {}).await;
    for token in [
        "ek_0123456789abcdefghijklmnopqrstuv",
        "ap_0123456789abcdefghijklmnopqrstuvwxyz",
    ] {
        let (error, code) = answered(&world, token).await;
        assert_eq!((&error["code"], code), (&json!("AUTH_INVALID"), 4001));
    }
    assert_eq!(fake.requests(), 0);
    let (error, _) = answered(&world, "of-another-shape").await;
    assert_eq!(error["code"], "AUTH_INVALID");
    assert_eq!(fake.requests(), 1);
}
