//! The doors' live state on Redis Cluster and under Sentinel: rooms, codes, places and budgets of two servers are one there, too.

use gateway::Config;
use gateway::config::Secret;
use serde_json::{Value, json};

use crate::app_voice::app;
use crate::polled::{Agent, ask, mails_to, request_code, three};
use crate::postgres::{APPLICATION, OWNER, Server as Postgres};
use crate::redis_servers::{Servers, until};
use crate::room_guest::{Guest, customer, helper, with_rooms};
use crate::smtp::{Protection, Sink};
use crate::world::World;

async fn node(servers: &Servers, change: impl FnOnce(&mut Config)) -> World {
    World::start(|config| {
        config.redis.url = Some(Secret::new(servers.url.as_str()));
        change(config);
    })
    .await
}

/// Rooms of many names, which a cluster has at many nodes: everybody hears everything once, and what they missed.
async fn rooms(servers: &Servers) {
    let (one, other) = (
        node(servers, with_rooms).await,
        node(servers, with_rooms).await,
    );
    for room in 0..6 {
        let room = format!("room-{room}");
        let mut ann = Guest::enter(&one, &customer("ann", &room), "").await;
        let mut bob = Guest::enter(&other, &helper("bob", &room), "&events=presence").await;
        until("he is told that both are here", || async {
            let mut eve = Guest::enter(&one, &helper("eve", &room), "&events=presence").await;
            let users = eve.hears("presence").await["data"]["users"].clone();
            eve.leave().await;
            users.as_array().is_some_and(|it| it.len() >= 3)
        })
        .await;
        ann.send(&json!({ "type": "typing", "isTyping": true }))
            .await;
        assert_eq!(bob.hears("typing").await["data"]["userId"], "ann");
        for words in ["one", "two", "three"] {
            ann.say(words, "USER").await;
        }
        let seen = bob.hears("message").await["data"]["id"].clone();
        bob.hears("message").await;
        let last = bob.hears("message").await;
        assert_eq!(last["data"]["content"], "three");
        assert_eq!(ann.words_until("three").await, ["one", "two", "three"]);
        let since = format!("&since={}", seen.as_str().unwrap());
        let mut late = Guest::enter(&other, &helper("late", &room), &since).await;
        assert_eq!(late.words_until("three").await, ["two", "three"]);
        let replayed = late.hears("replayed").await;
        assert_eq!(replayed["complete"], true);
    }
}

/// A code that is asked for at one server is counted and burned at the other, and a dialogue goes on there.
async fn codes(servers: &Servers) {
    let sink = Sink::start(Protection::StartTls).await;
    // what is printed of a code is keyed by the installation, which is where its database is
    let database = Postgres::shared().database(OWNER);
    let member = |config: &mut Config| {
        mails_to(&sink)(config);
        config.database.url = Some(Secret::new(database.url(APPLICATION)));
        config.database.owner_url = Some(Secret::new(database.url(OWNER)));
    };
    let (one, other) = (node(servers, member).await, node(servers, member).await);
    ask(&one, "poll", &three()).await;
    assert_eq!(request_code(&other, "ann@example.com").await.0, 200);
    let code = sink.mail(0).await.code();
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let left = ["2 attempt(s)", "1 attempt(s)"];
    for (world, left) in [(&one, left[0]), (&other, left[1])] {
        let (mut agent, _) = Agent::connect(world, "/survey").await;
        agent.say("ann@example.com").await;
        let reply = agent.say(wrong).await;
        assert!(reply.contains(left), "{reply}");
    }
    let (mut agent, session) = Agent::connect(&other, "/survey?resume=new").await;
    agent.frame().await;
    agent.say("ann@example.com").await;
    let back = format!(
        "/survey?resume={}",
        session.strip_prefix("Session: ").unwrap()
    );
    let (mut moved, again) = Agent::connect(&one, &back).await;
    assert_eq!(again, session);
    assert!(moved.frame().await.contains("A verification code was sent"));
    let first = moved.say(&code).await;
    assert!(first.ends_with("Question 1 of 3:\nOne? (y/n)"), "{first}");
}

/// Three sessions of a user are three at both servers together, and a day's money is one.
async fn places(servers: &Servers) {
    let dear = |config: &mut Config| {
        config.voice.token_secret = Some(Secret::new(app::SECRET));
        config.scripted.transcripts = vec!["say: Good morning to you!".to_owned()];
        config.sessions.speculate = false;
        config.voice.price_million_characters = 12_000_000_000;
        config.voice.max_output_tokens = 10;
        config.voice.session_budget_cents = 0;
        config.voice.daily_budget_cents = 60;
    };
    let (one, other) = (node(servers, dear).await, node(servers, dear).await);
    let mut first = app::App::call(&one, "u1").await;
    let mut second = app::App::call(&other, "u1").await;
    let third = app::App::call(&one, "u1").await;
    assert!(!app::App::may_begin(&other, "u1").await);
    third.hang_up().await;
    until("its place is free at the other", || {
        app::App::may_begin(&other, "u1")
    })
    .await;
    first.turn().await;
    second.speak().await;
    let error = second.until("error").await;
    assert_eq!(error["message"], "Daily budget limit exceeded: $0.24");
}

#[tokio::test]
async fn rooms_codes_and_places_are_one_over_a_cluster() {
    let servers = Servers::cluster().await;
    rooms(&servers).await;
    Box::pin(codes(&servers)).await;
    Box::pin(places(&servers)).await;
}

#[tokio::test]
async fn rooms_codes_and_places_are_one_under_sentinel() {
    let servers = Servers::sentinel().await;
    rooms(&servers).await;
    Box::pin(codes(&servers)).await;
    Box::pin(places(&servers)).await;
}

#[tokio::test]
async fn a_room_goes_on_when_another_primary_is_chosen() {
    let mut servers = Servers::sentinel().await;
    let (one, other) = (
        node(&servers, with_rooms).await,
        node(&servers, with_rooms).await,
    );
    let mut ann = Guest::enter(&one, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&other, &helper("bob", "c"), "").await;
    ann.say("before", "USER").await;
    assert_eq!(bob.words_until("before").await, ["before"]);
    servers.replica_has_all().await;
    servers.nodes[0].kill();
    for words in ["one", "two"] {
        ann.say(words, "USER").await;
    }
    // told later, and once, in order; what both say then is told at once again
    assert_eq!(bob.words_until("two").await, ["one", "two"]);
    bob.say("after", "ASSISTANT").await;
    let heard: Vec<String> = ann.words_until("after").await;
    assert_eq!(heard, ["before", "one", "two", "after"]);
    let health = one.get("/chat/health").send().await.unwrap();
    let health: Value = health.json().await.unwrap();
    assert_eq!(health["status"], "healthy");
}
