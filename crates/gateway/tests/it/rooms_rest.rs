//! `/v1/rooms`: an application without a server of its own for chats lets people in and reads what they said.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::room_guest::Guest;
use crate::world::World;

async fn answered(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_token_of_the_server_opens_its_room_and_what_is_said_can_be_read() {
    // no secret is configured: the installation has one of its own
    let world = World::start(|_| {}).await;
    let wanted = json!({ "name": "Ann", "email": "ann@shop.example" });
    let (status, token) = answered(world.post("/v1/rooms/c1/tokens", &wanted)).await;
    assert_eq!(status, StatusCode::CREATED, "{token}");
    assert!(token["userId"].as_str().unwrap().starts_with("anon_"));
    assert_eq!(token["chatId"], "c1");
    let address = format!(
        "{}?token={}",
        token["wsUrl"].as_str().unwrap(),
        token["token"].as_str().unwrap()
    );
    let mut ann = Guest::dial(&address).await;
    assert_eq!(ann.next().await["type"], "connected");
    for words in ["one", "two", "three"] {
        ann.say(words, "USER").await;
    }
    let message = ann.next().await;
    assert_eq!(message["data"]["sender"]["name"], "Ann");
    ann.words_until("three").await;
    let (status, page) = answered(world.get("/v1/rooms/c1/messages?limit=2")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(
        (&page["messages"][1]["content"], &page["more"]),
        (&json!("three"), &json!(true))
    );
    let first = page["messages"][0]["id"].as_str().unwrap();
    let (_, page) = answered(world.get(&format!("/v1/rooms/c1/messages?before={first}"))).await;
    assert_eq!(page["messages"][0]["content"], "one");
    let (status, _) =
        answered(world.anonymous(reqwest::Method::GET, "/v1/rooms/c1/messages")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    for (body, param) in [
        (json!({ "expiresInS": 5 }), "expiresInS"),
        (json!({ "userId": "" }), "userId"),
    ] {
        let (status, error) = answered(world.post("/v1/rooms/c1/tokens", &body)).await;
        assert_eq!(
            (status, &error["error"]["param"]),
            (StatusCode::BAD_REQUEST, &json!(param))
        );
    }
}

#[tokio::test]
async fn rooms_of_another_tenant_stay_closed() {
    let world = World::start(|config| config.chat.tenant = "acme".to_owned()).await;
    let (status, _) = answered(world.post("/v1/rooms/c1/tokens", &json!({}))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = answered(world.get("/v1/rooms/c1/messages")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn only_a_proxy_in_front_is_believed_that_tls_was_used() {
    for (trusted, scheme) in [(false, "ws://"), (true, "wss://")] {
        let world = World::start(|config| {
            if trusted {
                config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            }
        })
        .await;
        let request = world.post("/v1/rooms/c1/tokens", &json!({}));
        let (_, token) = answered(request.header("x-forwarded-proto", "https")).await;
        let address = token["wsUrl"].as_str().unwrap();
        assert!(address.starts_with(scheme), "{address}");
    }
}
