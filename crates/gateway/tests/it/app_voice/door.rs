//! Who comes in and who does not: the checks in their order, each with its words and its close code.

use std::time::Duration;

use gateway::config::VoiceAdmits;
use serde_json::{Value, json};

use super::app::{App, server, signed, start, token};
use crate::world::{KEY, World};

/// What a `session_start` is answered, and how the connection is closed.
async fn refused(world: &World, first: &Value) -> (Value, (u16, String)) {
    let mut app = App::open(world).await;
    app.send(first).await;
    let error = app.until("error").await;
    let closed = app.until_closed().await;
    assert!(app.all("session_started").is_empty());
    (error, closed)
}

#[tokio::test]
async fn the_checks_have_the_original_s_words_and_close_codes() {
    let world = server(|config| config.voice.tiers = vec!["studio".to_owned()]).await;
    let now = world.app().clock.unix_s();
    let studio =
        |exp: i64| signed(&json!({ "sub": "u1", "exp": exp, "subscription_tier": "studio" }));
    for (first, code, message, closing, reason) in [
        (
            json!({ "type": "session_start" }),
            "AUTH_REQUIRED",
            "Authentication required",
            4001,
            "Authentication required",
        ),
        (
            start(""),
            "AUTH_REQUIRED",
            "Authentication required",
            4001,
            "Authentication required",
        ),
        (
            start("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSJ9.forged"),
            "AUTH_INVALID",
            "Invalid or expired authentication token",
            4001,
            "Authentication failed",
        ),
        (
            start("no-key-of-ours-at-all"),
            "AUTH_INVALID",
            "Invalid or expired authentication token",
            4001,
            "Authentication failed",
        ),
        // the clocks of an issuer may be a minute apart, and no more
        (
            start(&studio(now - 65)),
            "AUTH_INVALID",
            "Invalid or expired authentication token",
            4001,
            "Authentication failed",
        ),
        (
            start(&signed(&json!({ "exp": now + 60 }))),
            "AUTH_INVALID",
            "Invalid or expired authentication token",
            4001,
            "Authentication failed",
        ),
        (
            start(&token(&world, "u1", 60)),
            "TIER_REQUIRED",
            "Voice calls are only available for Studio tier. Upgrade to continue.",
            4003,
            "Tier required",
        ),
    ] {
        let (error, closed) = refused(&world, &first).await;
        assert_eq!(
            (error["code"].as_str(), error["message"].as_str()),
            (Some(code), Some(message)),
            "{first}"
        );
        assert_eq!(closed, (closing, reason.to_owned()), "{first}");
    }
    for token in [studio(now + 3600), studio(now - 50)] {
        let mut app = App::open(&world).await;
        app.send(&start(&token)).await;
        let started = app.until("session_started").await;
        assert_eq!(started["status"], "ready");
        assert_eq!(started["sessionId"], app.messages[0]["sessionId"]);
    }
}

#[tokio::test]
async fn a_feature_that_is_not_open_yet_says_so_before_anything_else() {
    let world = server(|config| config.voice.admits = VoiceAdmits::Soon).await;
    let mut app = App::open(&world).await;
    let error = app.until("error").await;
    assert_eq!(error["error"], "Voice calls are coming soon!");
    assert_eq!(error["message"], error["error"]);
    assert_eq!(
        (&error["comingSoon"], &error["feature"]),
        (&json!(true), &json!("voice_calls"))
    );
    assert_eq!(
        app.until_closed().await,
        (4003, "Feature coming soon".to_owned())
    );
}

#[tokio::test]
async fn nothing_here_says_how_tokens_are_checked() {
    let world = World::start(|_| {}).await;
    let claims = json!({ "sub": "u1" });
    let (error, closed) = refused(&world, &start(&signed(&claims))).await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("AUTH_ERROR"), &json!("Authentication failed"))
    );
    assert_eq!(closed, (4001, "Authentication error".to_owned()));
}

#[tokio::test]
async fn keys_of_ours_and_client_secrets_open_the_door() {
    let world = World::start(|config| config.voice.tiers = vec!["studio".to_owned()]).await;
    let mut app = App::open(&world).await;
    app.send(&start(KEY)).await;
    app.until("session_started").await;
    let body = json!({ "session": { "type": "realtime" } });
    let made = world
        .post("/v1/realtime/client_secrets", &body)
        .send()
        .await;
    let made: Value = made.unwrap().json().await.unwrap();
    let secret = made["value"].as_str().unwrap();
    let mut app = App::open(&world).await;
    app.send(&start(secret)).await;
    app.until("session_started").await;
    // it opens once
    let (error, closed) = refused(&world, &start(secret)).await;
    assert_eq!(
        (error["code"].as_str(), closed.0),
        (Some("AUTH_INVALID"), 4001)
    );
    // proxies that take no message of the app's put it into the address
    let mut app = App::open_at(&world.url(&format!("/api/voice-v2?token={KEY}"))).await;
    app.send(&json!({ "type": "session_start" })).await;
    app.until("session_started").await;
}

#[tokio::test]
async fn before_a_session_text_and_sound_are_told_apart_by_opcode() {
    let world = server(|_| {}).await;
    let mut app = App::open(&world).await;
    app.send(&json!({ "type": "ping" })).await;
    app.until("pong").await;
    // sound that reads as a message is sound
    app.send_sound(start(&token(&world, "u1", 60)).to_string().as_bytes())
        .await;
    let error = app.until("error").await;
    assert_eq!(error["code"], "AUTH_REQUIRED");
    assert_eq!(
        error["message"],
        "Session not authenticated. Send session_start first."
    );
    for (text, message) in [
        (
            "hello",
            "Invalid message: expected a JSON object with a type",
        ),
        (r#"{"type":"dance"}"#, "Unknown message type: dance"),
    ] {
        app.send_text(text).await;
        let error = app.until("error").await;
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!("INVALID_MESSAGE"), &json!(message))
        );
    }
    app.send(&json!({ "type": "mute" })).await;
    assert_eq!(app.until("error").await["code"], "AUTH_REQUIRED");
    // and all of that ended nothing
    app.send(&start(&token(&world, "u1", 60))).await;
    app.until("session_started").await;
    app.send_text("{").await;
    assert_eq!(app.until("error").await["code"], "INVALID_MESSAGE");
    app.turn().await;
}

#[tokio::test]
async fn a_second_start_begins_nothing_and_costs_no_place() {
    let world = server(|config| config.voice.sessions_per_user = 1).await;
    let mut app = App::call(&world, "u1").await;
    // the same user again: a fresh token is taken
    app.send(&start(&token(&world, "u1", 7200))).await;
    let again = app.until("session_started").await;
    assert_eq!(again["sessionId"], app.session_id());
    for (wrong, part) in [
        (token(&world, "u2", 60), "another user"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.x".to_owned(), "not valid"),
    ] {
        app.send(&start(&wrong)).await;
        let error = app.until("error").await;
        assert_eq!(error["code"], "ALREADY_STARTED");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
    app.turn().await;
    app.hang_up().await;
    crate::redis_servers::until("the place is free", || async {
        world.app().voice.connections() == 0
    })
    .await;
    App::call(&world, "u1").await;
}

#[tokio::test]
async fn a_call_that_outlives_its_token_ends_unless_it_shows_another() {
    let world = server(|_| {}).await;
    let mut app = App::open(&world).await;
    app.send(&start(&token(&world, "u1", 100))).await;
    app.until("session_started").await;
    // over, and within the minute of grace
    world.app().clock.advance(Duration::from_secs(150));
    app.send(&json!({ "type": "ping" })).await;
    app.until("pong").await;
    app.send(&start(&token(&world, "u1", 100))).await;
    app.until("session_started").await;
    world.app().clock.advance(Duration::from_mins(2));
    app.send(&json!({ "type": "ping" })).await;
    app.until("pong").await;
    world.app().clock.advance(Duration::from_mins(1));
    app.send(&json!({ "type": "ping" })).await;
    let error = app.until("error").await;
    assert_eq!(error["code"], "AUTH_INVALID");
    assert_eq!(
        app.until_closed().await,
        (4001, "Authentication failed".to_owned())
    );
}

#[tokio::test]
async fn the_routes_of_a_listener_are_the_original_s() {
    let world = server(|config| {
        config.listeners = vec![gateway::config::Listener {
            profile: gateway::config::Profile::Voice,
            address: "127.0.0.1:0".to_owned(),
        }];
    })
    .await;
    let own = format!("http://{}", world.server().listeners[0].1);
    let mut app = App::open_at(&format!("{own}/any/path")).await;
    let client = reqwest::Client::builder().build().unwrap();
    let text = |path: &str| {
        let request = client.get(format!("{own}{path}"));
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    let health: Value = serde_json::from_str(&text("/health").await).unwrap();
    assert_eq!(
        (&health["status"], &health["activeSessions"]),
        (&json!("healthy"), &json!(1))
    );
    assert!(
        health["uptime"].is_f64() && health["timestamp"].as_str().unwrap().ends_with('Z'),
        "{health}"
    );
    for path in ["/", "/somewhere"] {
        let banner = "Voice V2 WebSocket Server with Deepgram STT + Claude AI + OpenAI TTS\n";
        assert_eq!(text(path).await, banner);
    }
    app.send(&start(&token(&world, "u1", 60))).await;
    app.until("session_started").await;
    let main = world
        .anonymous(reqwest::Method::GET, "/voice/health")
        .send()
        .await;
    assert_eq!(main.unwrap().status(), 200);
}

#[tokio::test]
async fn without_tokens_a_session_begins_with_the_first_sound() {
    let world = World::start(|config| {
        config.voice.admits = VoiceAdmits::Anybody;
        config.scripted.transcripts = vec!["say: Yes.".to_owned()];
    })
    .await;
    // as the test page of the original does: it never sends text
    let mut app = App::open(&world).await;
    app.turn().await;
    assert_eq!(app.all("session_started").len(), 1);
}

#[tokio::test]
async fn the_first_frame_of_who_does_not_say_who_they_are_is_heard() {
    let world = World::start(|config| {
        config.voice.admits = VoiceAdmits::Anybody;
        config.scripted.transcripts = vec!["say: Yes.".to_owned()];
    })
    .await;
    let mut app = App::open(&world).await;
    // all that is said is in the frame that begins the session
    app.speak_in(102_400).await;
    let complete = app.until("ai_response_complete").await;
    assert_eq!(complete["text"], "Yes.");
    let mut other = App::open(&world).await;
    for _ in 0..10 {
        other.send_sound(&[0; 2048]).await;
    }
    assert_eq!(other.until("audio_received").await["totalChunks"], 10);
}

#[tokio::test]
async fn who_closes_is_answered_with_a_close_before_a_session_and_in_one() {
    let world = server(|_| {}).await;
    assert_eq!(App::open(&world).await.goodbye().await, 1000);
    assert_eq!(App::call(&world, "u1").await.goodbye().await, 1000);
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_nobody_hangs() {
    let world = server(|_| {}).await;
    let mut app = App::call(&world, "u1").await;
    let mut waiting = App::open(&world).await;
    world.app().lifecycle.soft().cancel();
    assert_eq!(app.until_closed().await.0, 1001);
    assert_eq!(waiting.until_closed().await.0, 1013);
}
