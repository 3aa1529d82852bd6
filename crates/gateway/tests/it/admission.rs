//! Who may open the realtime socket, and what a refusal costs a client secret.

use gateway::audit::Actor;
use gateway::auth::{NewKey, Scope, Scopes};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::world::{KEY, PATIENCE, World};

const PATH: &str = "/v1/realtime?model=gpt-realtime";
const EVIL: &str = "https://evil.example";

/// A request to become a WebSocket; 101 opens the socket, and dropping the answer closes it.
pub(crate) fn knock(world: &World, path: &str, key: &str) -> RequestBuilder {
    upgrade(world.anonymous(Method::GET, path)).bearer_auth(key)
}

fn upgrade(request: RequestBuilder) -> RequestBuilder {
    request
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return (status, Value::Null);
    }
    let body: Value = response.json().await.unwrap();
    (status, body["error"]["code"].clone())
}

async fn secret(world: &World, key: &str) -> String {
    let path = "/v1/realtime/client_secrets";
    let request = world.anonymous(Method::POST, path).bearer_auth(key);
    let response = request.json(&json!({})).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body: Value = response.json().await.unwrap();
    body["value"].as_str().unwrap().to_owned()
}

async fn key(world: &World, scope: Scope) -> gateway::auth::api_key::MintedKey {
    let scopes: Scopes = [scope].into_iter().collect();
    let new = NewKey {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        name: "story".to_owned(),
        scopes,
        expires_at: None,
    };
    world
        .app()
        .keys
        .create(&new, &Actor::command_line())
        .await
        .unwrap()
}

#[tokio::test]
async fn the_socket_asks_for_the_scope() {
    let world = World::start(|_| {}).await;
    let books = key(&world, Scope::BillingRead).await;
    assert_eq!(
        answer(knock(&world, PATH, books.text.reveal())).await,
        (StatusCode::FORBIDDEN, "insufficient_scope".into())
    );
    let voice = key(&world, Scope::RealtimeConnect).await;
    let (status, _) = answer(knock(&world, PATH, voice.text.reveal())).await;
    assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS);
}

#[tokio::test]
async fn a_foreign_page_needs_a_client_secret() {
    let world = World::start(|config| {
        config.http.allowed_origins = vec!["https://app.example".to_owned()];
    })
    .await;
    let refused = knock(&world, PATH, KEY).header("origin", EVIL);
    assert_eq!(
        answer(refused).await,
        (StatusCode::FORBIDDEN, "foreign_origin".into())
    );
    let own = world.url("");
    let secret = secret(&world, KEY).await;
    for (origin, key) in [
        (own.as_str(), KEY),
        ("https://app.example", KEY),
        (EVIL, secret.as_str()),
    ] {
        let (status, code) = answer(knock(&world, PATH, key).header("origin", origin)).await;
        assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS, "{origin} {code}");
    }
    // as our own page does it: browsers set no header but the subprotocols
    let protocols = format!("realtime, openai-insecure-api-key.{KEY}");
    let page = upgrade(world.anonymous(Method::GET, PATH))
        .header("origin", &own)
        .header("sec-websocket-protocol", protocols);
    assert_eq!(answer(page).await.0, StatusCode::SWITCHING_PROTOCOLS);
    let metrics = world.app().metrics.text();
    let counted = "antiphon_keys_refused_total{reason=\"foreign_origin\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_refusal_does_not_use_a_client_secret_up() {
    let world = World::start(|config| config.sessions.max_sessions = 1).await;
    let secret = secret(&world, KEY).await;
    let call = format!("{PATH}&call_id=rtc_1");
    assert_eq!(
        answer(knock(&world, &call, &secret)).await.0,
        StatusCode::NOT_FOUND
    );
    let plain = world.anonymous(Method::GET, PATH).bearer_auth(&secret);
    assert_eq!(
        answer(plain).await,
        (StatusCode::BAD_REQUEST, "websocket_required".into())
    );
    let place = world.app().sessions.enter();
    assert_eq!(
        answer(knock(&world, PATH, &secret)).await,
        (StatusCode::SERVICE_UNAVAILABLE, "server_overloaded".into())
    );
    drop(place);
    let opened = knock(&world, PATH, &secret).send().await.unwrap();
    assert_eq!(opened.status(), StatusCode::SWITCHING_PROTOCOLS);
    drop(opened);
    // the place comes back once the server has seen the client go
    let free = async {
        while world.app().sessions.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.unwrap();
    assert_eq!(
        answer(knock(&world, PATH, &secret)).await,
        (StatusCode::UNAUTHORIZED, "invalid_api_key".into())
    );
}

#[tokio::test]
async fn a_secret_ends_with_the_key_that_made_it() {
    let world = World::start(|_| {}).await;
    let app = world.app();
    let owner = key(&world, Scope::RealtimeConnect).await;
    let (first, second) = (
        secret(&world, owner.text.reveal()).await,
        secret(&world, owner.text.reveal()).await,
    );
    let (status, _) = answer(knock(&world, PATH, &first)).await;
    assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS);
    let now = app.clock.utc();
    let revoked = app
        .store
        .sql
        .revoke_key(
            "default",
            &owner.id,
            &Actor::command_line().act(now, "key.revoke", "k"),
        )
        .await;
    assert!(revoked.unwrap());
    assert_eq!(
        answer(knock(&world, PATH, &second)).await,
        (StatusCode::UNAUTHORIZED, "invalid_api_key".into())
    );
}
