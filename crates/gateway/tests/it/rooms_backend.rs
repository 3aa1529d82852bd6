//! Chat rooms whose messages a web application keeps: it is asked once, its refusals are told, its secrets are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gateway::config::Secret;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::eclipse::{self, Eclipse, Mood};
use crate::room_guest::{Guest, customer, helper, with_rooms};
use crate::world::World;

async fn world(url: &str, secret: &str) -> World {
    World::start(|config| {
        with_rooms(config);
        config.chat.backend_url = Some(url.to_owned());
        config.chat.backend_secret = Some(Secret::new(secret));
        config.chat.backend_timeout_ms = 500;
    })
    .await
}

#[tokio::test]
async fn the_application_keeps_what_is_said_and_tells_who_said_it() {
    let eclipse = Eclipse::start(&["c/1"], None).await;
    let world = world(&eclipse.url, eclipse::SECRET).await;
    let mut ann = Guest::enter(&world, &customer("anon_1_x", "c/1"), "").await;
    let mut bob = Guest::enter(&world, &helper("helper-1", "c/1"), "").await;
    ann.say(" hello ", "USER").await;
    for guest in [&mut ann, &mut bob] {
        let data = guest.next().await["data"].clone();
        assert_eq!(
            (&data["id"], &data["content"]),
            (&json!("cmsg1"), &json!("hello"))
        );
        assert_eq!(data["timestamp"], "2026-01-02T03:04:01.000Z");
        assert_eq!(data["sender"]["id"], "ctemp1");
        assert_eq!(data["sender"]["name"], "Anonymous User");
    }
    bob.send(&json!({ "type": "agent_joined", "agentName": "forged" }))
        .await;
    let joined = ann.next().await;
    // no name, so the address
    assert_eq!(joined["data"]["agentName"], "help@shop.example");
    assert_eq!(joined["data"]["agentId"], "cuser1");
    bob.next().await;
    // somebody whom the application does not know
    let mut eve = Guest::enter(&world, &helper("stranger", "c/1"), "").await;
    eve.send(&json!({ "type": "agent_joined" })).await;
    assert_eq!(eve.next().await["error"], "Failed to fetch agent info");
    // ten at once are asked for one after the other
    for number in 0..10 {
        bob.say(&number.to_string(), "ASSISTANT").await;
    }
    let expected: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(ann.words_until("9").await, expected);
    assert_eq!(eclipse.words("c/1")[1..], expected);
}

/// What a client is told when it says something.
async fn refusal(world: &World, chat: &str) -> String {
    let mut guest = Guest::enter(world, &customer("ann", chat), "").await;
    guest.say("hello", "USER").await;
    let answer: Value = guest.next().await;
    assert_eq!(answer["error"], "Failed to send message", "{answer}");
    answer["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_the_application_refuses_is_told_and_what_it_lets_slip_is_not() {
    let eclipse = Eclipse::start(&["c1"], None).await;
    let world_of = world(&eclipse.url, eclipse::SECRET).await;
    assert_eq!(
        refusal(&world_of, "other").await,
        "API error: 404 - Chat not found"
    );
    eclipse.set_mood(Mood::Broken);
    let told = refusal(&world_of, "c1").await;
    assert!(
        told.starts_with("API error: 500 - ") && !told.contains("hunter2"),
        "{told}"
    );
    eclipse.set_mood(Mood::Silent);
    let told = refusal(&world_of, "c1").await;
    assert!(told.contains("did not answer in time"), "{told}");
    eclipse.set_mood(Mood::Babbling);
    let told = refusal(&world_of, "c1").await;
    assert!(told.contains("cannot be read"), "{told}");
    assert!(eclipse.words("c1").is_empty());
    let stranger = world(&eclipse.url, "another-secret").await;
    eclipse.set_mood(Mood::Well);
    assert_eq!(
        refusal(&stranger, "c1").await,
        "API error: 401 - Unauthorized"
    );
    // nobody is there
    let nobody = world("http://127.0.0.1:1", eclipse::SECRET).await;
    let told = refusal(&nobody, "c1").await;
    assert!(told.contains("cannot be reached"), "{told}");
}

#[tokio::test]
async fn a_client_that_sends_again_has_said_it_once() {
    let eclipse = Eclipse::start(&["c1"], None).await;
    let world = world(&eclipse.url, eclipse::SECRET).await;
    let mut ann = Guest::enter(&world, &customer("ann", "c1"), "").await;
    let message = json!({ "type": "message", "content": "once", "role": "USER", "clientId": "k" });
    ann.send(&message).await;
    ann.hears("ack").await;
    ann.send(&message).await;
    // the second time there is nothing to be told but that
    assert_eq!(ann.next().await["type"], "ack");
    assert_eq!(eclipse.words("c1"), ["once"]);
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            // it reads the request, and goes without an answer
            let mut read = [0; 4096];
            let _ = socket.read(&mut read).await;
        }
    });
    let world = world(&url, eclipse::SECRET).await;
    let told = refusal(&world, "c1").await;
    assert!(told.contains("may have been kept"), "{told}");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
