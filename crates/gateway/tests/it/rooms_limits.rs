//! Chat rooms whose clients ask for too much, stay too long, or do not read.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::room_guest::{Guest, customer, helper, token, with_rooms};
use crate::world::{PATIENCE, World};

#[tokio::test]
async fn a_flood_is_refused_with_the_time_to_wait() {
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.messages_per_minute = 3;
    })
    .await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "").await;
    for number in 0..4 {
        let message = json!({ "type": "message", "content": format!("{number}"), "role": "USER", "clientId": format!("n{number}") });
        ann.send(&message).await;
    }
    let refused = ann.hears("error").await;
    assert_eq!(refused["error"], "Failed to send message");
    assert_eq!(refused["clientId"], "n3");
    let why = refused["message"].as_str().unwrap();
    assert!(
        why.starts_with("too many messages; send it again in "),
        "{why}"
    );
    assert_eq!(bob.words_until("2").await, ["0", "1", "2"]);
    world.app().clock.advance(Duration::from_mins(2));
    ann.say("later", "USER").await;
    assert_eq!(bob.words_until("later").await, ["later"]);
}

#[tokio::test]
async fn questions_for_the_past_are_counted_too() {
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.messages_per_minute = 2;
    })
    .await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    for _ in 0..6 {
        ann.send(&json!({ "type": "history" })).await;
        assert_eq!(ann.next().await["type"], "history");
    }
    ann.send(&json!({ "type": "history" })).await;
    let refused = ann.next().await;
    assert_eq!(refused["error"], "Failed to read the history");
    // what one has to say is counted on its own
    ann.say("hello", "USER").await;
    assert_eq!(ann.next().await["data"]["content"], "hello");
}

#[tokio::test]
async fn a_long_history_comes_in_parts_that_a_client_can_read() {
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.messages_per_minute = 0;
    })
    .await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    let filler = "x".repeat(15_000);
    for number in 0..80 {
        ann.say(&format!("{number} {filler}"), "USER").await;
        ann.next().await;
    }
    ann.send(&json!({ "type": "history", "limit": 1000 })).await;
    let newest = ann.next().await;
    let messages = newest["messages"].as_array().unwrap();
    assert!(messages.len() < 80 && newest["more"] == true);
    let words = messages.last().unwrap()["content"].as_str().unwrap();
    assert!(words.starts_with("79 "));
    let before = messages[0]["id"].clone();
    let rest = 80 - messages.len();
    ann.send(&json!({ "type": "history", "limit": 1000, "before": before }))
        .await;
    let older = ann.next().await;
    assert_eq!(older["messages"].as_array().unwrap().len(), rest);
    assert_eq!(older["more"], false);
}

#[tokio::test]
async fn a_token_that_expires_ends_its_socket() {
    let world = World::start(with_rooms).await;
    // a second is left of the minute that clocks may be off
    let exp = world.app().clock.unix_s() - 59;
    let claims = json!({ "userId": "u", "chatId": "c", "exp": exp });
    let mut guest = Guest::enter(&world, &claims, "").await;
    assert_eq!(guest.closed().await, (4002, "Token expired".to_owned()));
}

#[tokio::test]
async fn the_end_of_a_token_may_be_no_whole_number() {
    let world = World::start(with_rooms).await;
    let exp = world.app().clock.unix_s() as f64 - 56.5;
    let claims = json!({ "userId": "u", "chatId": "c", "exp": exp });
    let mut guest = Guest::enter(&world, &claims, "").await;
    assert_eq!(guest.closed().await, (4002, "Token expired".to_owned()));
}

#[tokio::test]
async fn more_sockets_than_the_server_takes_are_refused_before_the_upgrade() {
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.hard_connections = 1;
        config.chat.soft_connections = 1;
    })
    .await;
    let first = Guest::enter(&world, &customer("u", "c"), "").await;
    let health: serde_json::Value = world
        .get("/chat/health")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(health["connections"]["limit"], "soft");
    let url = world.url(&format!("/chat?token={}", token(&customer("v", "c"))));
    let refused = tokio_tungstenite::connect_async(url.replacen("http", "ws", 1)).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(response)) = refused else {
        panic!("a second socket was let in");
    };
    assert_eq!(response.status(), 503);
    first.leave().await;
    crate::redis_servers::until("there is room again", || async {
        let health = world.get("/chat/health").send().await.unwrap();
        health.json::<serde_json::Value>().await.unwrap()["connections"]["total"] == 0
    })
    .await;
    Guest::enter(&world, &customer("v", "c"), "").await;
}

#[tokio::test]
async fn who_gives_no_sign_of_life_is_dropped() {
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.ping_s = 1;
    })
    .await;
    let url = world.url(&format!("/chat?token={}", token(&customer("u", "c"))));
    let stream = tokio::net::TcpStream::connect(world.server().address)
        .await
        .unwrap();
    let (socket, _) = client_async(url.replacen("http", "ws", 1), stream)
        .await
        .unwrap();
    let mut alive = Guest::enter(&world, &helper("bob", "c"), "").await;
    // it reads, and so answers pings
    let listening = tokio::spawn(async move { alive.words_until("still there?").await });
    // from here on nobody answers pings
    let mut stream = socket.into_inner();
    let mut heard = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard));
    read.await.expect("the server drops the connection").ok();
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    ann.say("still there?", "USER").await;
    assert_eq!(listening.await.unwrap(), ["still there?"]);
}

#[tokio::test]
async fn who_does_not_read_is_let_go_and_the_others_miss_nothing() {
    const MESSAGES: usize = 600;
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.messages_per_minute = 0;
        config.chat.send_queue_messages = 16;
    })
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(world.server().address).await.unwrap();
    let url = world.url(&format!("/chat?token={}", token(&customer("slow", "c"))));
    let request = url.replacen("http", "ws", 1).into_client_request().unwrap();
    let (mut slow, _) = client_async(request, stream).await.unwrap();
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    let filler = "x".repeat(15_000);
    for number in 0..MESSAGES {
        let words = format!("{number} {filler}");
        ann.say(&words, "USER").await;
        let heard = ann.next().await;
        assert_eq!(heard["data"]["content"], words.as_str());
    }
    crate::redis_servers::until("it is let go", || async {
        let metrics = world.get("/metrics").send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        metrics.contains("antiphon_slow_clients_closed_total 1")
    })
    .await;
    // it finds the connection closed, after what the system had kept for it
    let over = async {
        let mut messages = 0;
        loop {
            match slow.next().await {
                Some(Ok(Message::Text(_))) => messages += 1,
                Some(Ok(Message::Close(frame))) => return (messages, Some(frame.unwrap())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return (messages, None),
            }
        }
    };
    let (messages, frame) = tokio::time::timeout(PATIENCE, over).await.unwrap();
    assert!(messages < MESSAGES, "it got everything");
    if let Some(frame) = frame {
        assert_eq!(u16::from(frame.code), 1008);
        assert!(
            frame.reason.as_str().starts_with("slow_consumer"),
            "{}",
            frame.reason
        );
    }
    let _ = slow.close(None).await;
}

#[tokio::test]
async fn the_rooms_of_a_suspended_tenant_are_closed() {
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.tenant = "acme".to_owned();
    })
    .await;
    world.tenant("acme").await;
    Guest::enter(&world, &customer("u", "c"), "").await;
    let why = json!({ "reason": "unpaid" });
    let suspended = world.post("/v1/admin/tenants/acme/suspend", &why).send();
    assert!(suspended.await.unwrap().status().is_success());
    let url = world.url(&format!("/chat?token={}", token(&customer("u", "c"))));
    let refused = tokio_tungstenite::connect_async(url.replacen("http", "ws", 1)).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(response)) = refused else {
        panic!("a guest of a suspended tenant was let in");
    };
    assert_eq!(response.status(), 403);
}
