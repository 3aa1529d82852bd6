//! Chat rooms on one server: the original's clients come in, speak, hear, and are refused as they expect.

use gateway::config::{ChatRefusal, ChatRoles, Listener, Profile};
use jsonwebtoken::Algorithm;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use futures_util::SinkExt as _;

use crate::room_guest::{Guest, customer, helper, signed, token, with_rooms};
use crate::world::World;

async fn world() -> World {
    World::start(with_rooms).await
}

fn address(world: &World, query: &str) -> String {
    world
        .url(&format!("/chat{query}"))
        .replacen("http", "ws", 1)
}

#[tokio::test]
async fn a_bad_token_is_told_by_a_close_frame_after_the_upgrade() {
    let world = world().await;
    let now = world.app().clock.unix_s();
    let with = |more: Value| {
        let mut claims = customer("u", "c");
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        format!("?token={}", token(&claims))
    };
    let incomplete = "Invalid token payload: missing userId or chatId";
    for (query, code, reason) in [
        (String::new(), 4001, "Missing authentication token"),
        ("?token=".to_owned(), 4001, "Missing authentication token"),
        ("?token=no.token.atall".to_owned(), 4002, "Invalid token"),
        (with(json!({ "exp": now - 3600 })), 4002, "Token expired"),
        (with(json!({ "nbf": now + 3600 })), 4002, "Invalid token"),
        (with(json!({ "chatId": "" })), 4002, incomplete),
        (with(json!({ "userId": null })), 4002, incomplete),
    ] {
        let mut guest = Guest::dial(&address(&world, &query)).await;
        assert_eq!(guest.closed().await, (code, reason.to_owned()), "{query}");
    }
    let foreign = signed(Algorithm::HS256, "another-secret", &customer("u", "c"));
    let mut guest = Guest::dial(&address(&world, &format!("?token={foreign}"))).await;
    assert_eq!(guest.closed().await, (4002, "Invalid token".to_owned()));
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_a_failure_of_the_server() {
    let world = World::start(|config| {
        config.chat.jwks_url = Some("http://127.0.0.1:1/keys".to_owned());
    })
    .await;
    // three parts, of which the first names a key that has to be asked for
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.e30.c2lnbmVk";
    let mut guest = Guest::dial(&address(&world, &format!("?token={token}"))).await;
    let closed = guest.closed().await;
    assert_eq!(closed, (4000, "Internal server error".to_owned()));
}

#[tokio::test]
async fn who_closes_is_answered_with_a_close() {
    let world = world().await;
    let mut guest = Guest::enter(&world, &customer("u", "c"), "").await;
    let frame = CloseFrame {
        code: 1000.into(),
        reason: "Component unmounting".into(),
    };
    guest.socket.close(Some(frame)).await.unwrap();
    assert_eq!(guest.closed().await.0, 1000);
}

#[tokio::test]
async fn every_algorithm_of_the_shared_secret_and_either_place_of_the_token_open_a_room() {
    let world = world().await;
    let secret = crate::room_guest::SECRET;
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        // no `exp`: the original takes it
        let token = signed(algorithm, secret, &customer("u", "c"));
        let mut guest = Guest::dial(&address(&world, &format!("?token={token}&x=1"))).await;
        assert_eq!(guest.next().await["type"], "connected");
    }
    // clocks are off by less than a minute
    let claims = json!({ "userId": "u", "chatId": "c", "exp": world.app().clock.unix_s() - 30 });
    let mut request = address(&world, "").into_client_request().unwrap();
    let bearer = format!("Bearer {}", token(&claims)).parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let protocols = "chat, other".parse().unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocols);
    let (socket, response) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    let mut guest = Guest::over(socket);
    assert_eq!(guest.next().await["type"], "connected");
}

#[tokio::test]
async fn everybody_in_the_room_hears_a_message_once_and_in_order() {
    let world = world().await;
    let mut ann = Guest::enter(&world, &customer("ann", "c1"), "").await;
    let mut bob = Guest::enter(&world, &helper("bob", "c1"), "").await;
    let mut eve = Guest::enter(&world, &customer("eve", "c2"), "").await;
    ann.say("  hello  ", "USER").await;
    for guest in [&mut ann, &mut bob] {
        let message = guest.next().await;
        let data = &message["data"];
        assert_eq!(message["type"], "message");
        assert_eq!(
            (&data["content"], &data["role"]),
            (&json!("hello"), &json!("user"))
        );
        assert_eq!(data["sender"]["id"], "ann");
        assert!(data["sender"]["email"].is_null() && data["sender"]["avatar"].is_null());
        assert!(data["id"].is_string() && data["timestamp"].is_string());
        assert!(message["timestamp"].is_string());
    }
    // many at once stay in their order, binary frames too
    for number in 0..20 {
        let message = json!({ "type": "message", "content": format!("{number}"), "role": "USER" });
        let bytes = Message::binary(message.to_string());
        ann.socket.feed(bytes).await.unwrap();
    }
    ann.socket.flush().await.unwrap();
    bob.say("yes?", "ASSISTANT").await;
    ann.say("last", "USER").await;
    let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for guest in [&mut ann, &mut bob] {
        let mut words = guest.words_until("last").await;
        words.retain(|words| words != "yes?" && words != "last");
        assert_eq!(words, expected);
    }
    // the other room has heard nothing
    eve.send(&json!({ "type": "ping" })).await;
    assert_eq!(eve.next().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn what_is_no_message_is_told_and_the_socket_stays() {
    let world = world().await;
    let mut guest = Guest::enter(&world, &customer("u", "c"), "").await;
    for (frame, error) in [
        ("{", "Failed to process message"),
        ("null", "Failed to process message"),
        ("[1]", "Unknown message type"),
        (r#"{"type":"subscribe"}"#, "Unknown message type"),
        (
            r#"{"type":"message","content":"x"}"#,
            "Missing content or role",
        ),
        (
            r#"{"type":"message","role":"USER"}"#,
            "Missing content or role",
        ),
        (
            r#"{"type":"message","content":"x","role":"BOT"}"#,
            "Failed to send message",
        ),
        (
            r#"{"type":"message","content":"   ","role":"USER"}"#,
            "Failed to send message",
        ),
        (
            r#"{"type":"message","content":"x","role":"SYSTEM"}"#,
            "Failed to send message",
        ),
    ] {
        guest.socket.send(Message::text(frame)).await.unwrap();
        let answer = guest.next().await;
        assert_eq!(
            (&answer["type"], &answer["error"]),
            (&json!("error"), &json!(error)),
            "{frame}"
        );
        if error == "Failed to send message" {
            assert!(answer["message"].is_string(), "{answer}");
        }
    }
    let long = json!({ "type": "message", "content": "x".repeat(20_000), "role": "USER" });
    guest.send(&long).await;
    let answer = guest.next().await;
    assert!(
        answer["message"].as_str().unwrap().contains("16000"),
        "{answer}"
    );
    // said of nobody: a typing without a truth value
    guest
        .send(&json!({ "type": "typing", "isTyping": "yes" }))
        .await;
    guest.say("still here", "USER").await;
    assert_eq!(guest.next().await["data"]["content"], "still here");
    let huge = Message::text("x".repeat(2 * 1024 * 1024));
    guest.socket.send(huge).await.unwrap();
    assert_eq!(guest.closed().await.0, 1009);
}

#[tokio::test]
async fn typing_is_told_to_the_others_and_ends_by_itself() {
    let world = world().await;
    let mut ann = Guest::enter(&world, &customer("ann", "c"), "").await;
    let mut bob = Guest::enter(&world, &helper("bob", "c"), "").await;
    ann.send(&json!({ "type": "typing", "isTyping": true }))
        .await;
    let typing = bob.next().await;
    assert_eq!(typing["data"], json!({ "userId": "ann", "isTyping": true }));
    world
        .app()
        .clock
        .advance(std::time::Duration::from_secs(11));
    assert_eq!(
        bob.next().await["data"],
        json!({ "userId": "ann", "isTyping": false })
    );
    // who leaves while typing types no more
    ann.send(&json!({ "type": "typing", "isTyping": true }))
        .await;
    assert_eq!(bob.next().await["data"]["isTyping"], true);
    ann.say("done", "USER").await;
    // the sender has heard nothing of it
    assert_eq!(ann.next().await["data"]["content"], "done");
    assert_eq!(bob.next().await["type"], "message");
    ann.send(&json!({ "type": "typing", "isTyping": true }))
        .await;
    assert_eq!(bob.next().await["data"]["isTyping"], true);
    ann.leave().await;
    assert_eq!(
        bob.next().await["data"],
        json!({ "userId": "ann", "isTyping": false })
    );
}

#[tokio::test]
async fn customers_do_not_speak_for_the_team_unless_everybody_may() {
    let strict = world().await;
    let mut ann = Guest::enter(&strict, &customer("ann", "c"), "").await;
    for role in ["AGENT", "ASSISTANT"] {
        ann.say("I am the team", role).await;
        let answer = ann.next().await;
        assert_eq!(answer["error"], "Failed to send message");
        assert!(
            answer["message"].as_str().unwrap().contains(role),
            "{answer}"
        );
    }
    ann.send(&json!({ "type": "agent_joined" })).await;
    let answer = ann.next().await;
    assert_eq!(answer["error"], "Failed to process agent_joined event");
    let mut bob = Guest::enter(&strict, &helper("bob", "c"), "").await;
    bob.send(&json!({ "type": "agent_joined", "agentId": "forged" }))
        .await;
    for guest in [&mut ann, &mut bob] {
        let joined = guest.next().await;
        assert_eq!(joined["type"], "agent_joined");
        assert_eq!(joined["data"]["agentId"], "bob");
        assert_eq!(joined["data"]["agentName"], "Name of bob");
    }
    let free = World::start(|config| {
        with_rooms(config);
        config.chat.roles = ChatRoles::Free;
    })
    .await;
    let mut ann = Guest::enter(&free, &customer("ann", "c"), "").await;
    ann.say("I am the team", "AGENT").await;
    assert_eq!(ann.next().await["data"]["role"], "agent");
}

#[tokio::test]
async fn a_listener_of_its_own_answers_as_the_original_did() {
    let world = World::start(|config| {
        with_rooms(config);
        config.listeners = vec![Listener {
            profile: Profile::Chat,
            address: "127.0.0.1:0".to_owned(),
        }];
    })
    .await;
    let (_, bound) = world.server().listeners[0];
    let token = token(&customer("u", "a-long-chat-id"));
    for path in ["/", "/any/path"] {
        let mut guest = Guest::dial(&format!("ws://{bound}{path}?token={token}")).await;
        assert_eq!(guest.next().await["type"], "connected", "{path}");
    }
    let _guest = Guest::enter(&world, &customer("u", "a-long-chat-id"), "").await;
    let client = reqwest::Client::builder().build().unwrap();
    for path in ["/", "/health"] {
        let response = client
            .get(format!("http://{bound}{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(
            response.headers()["access-control-allow-methods"],
            "GET, OPTIONS"
        );
        let text = response.text().await.unwrap();
        assert!(text.starts_with("{\n  \""), "{text}");
        let health: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(health["status"], "healthy");
        assert!(health["uptime"].is_f64() && health["connections"]["total"].is_u64());
        assert_eq!(health["connections"]["byChat"][0]["chatId"], "a-long-c...");
        assert!(health["memory"]["percentage"].is_u64() && health["timestamp"].is_string());
    }
    let response = client
        .get(format!("http://{bound}/health?x=1"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.text().await.unwrap(), r#"{"error":"Not found"}"#);
    let options = client.request(reqwest::Method::OPTIONS, format!("http://{bound}/x"));
    let response = options.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.text().await.unwrap(), "");
    // below the main address it is the same
    let health: Value = world
        .get("/chat/health")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(health["status"], "healthy");
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let world = world().await;
    let mut guest = Guest::enter(&world, &customer("u", "c"), "").await;
    let (server, _folder) = world.into_server();
    let stopping = tokio::spawn(server.stop(crate::world::PATIENCE));
    assert_eq!(
        guest.closed().await,
        (1001, "Server shutting down".to_owned())
    );
    drop(guest);
    let drained = stopping.await.unwrap();
    assert_eq!(drained, gateway::lifecycle::Drained::Clean);
}

#[tokio::test]
async fn who_knocks_with_bad_tokens_again_and_again_waits_before_the_upgrade() {
    let world = World::start(|config| {
        with_rooms(config);
        config.chat.refusal = ChatRefusal::Http;
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let knock = async |token: &str| {
        let mut request = address(&world, &format!("?token={token}"))
            .into_client_request()
            .unwrap();
        let from = "192.0.2.7".parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", from);
        match tokio_tungstenite::connect_async(request).await {
            Ok(_) => StatusCode::SWITCHING_PROTOCOLS,
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => response.status(),
            Err(error) => panic!("{error}"),
        }
    };
    for _ in 0..11 {
        assert_eq!(knock("bad").await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(knock("bad").await, StatusCode::TOO_MANY_REQUESTS);
    world
        .app()
        .clock
        .advance(std::time::Duration::from_secs(31));
    let good = token(&customer("u", "c"));
    assert_eq!(knock(&good).await, StatusCode::SWITCHING_PROTOCOLS);
}
