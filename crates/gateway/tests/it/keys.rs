//! Who gets in: every place a key may be in, every way it may be wrong.

use gateway::audit::Actor;
use gateway::auth::{NewKey, Scope, Scopes};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::world::{KEY, World};

async fn refusal(response: reqwest::Response) -> (StatusCode, Value) {
    let status = response.status();
    assert!(response.headers().contains_key("x-request-id"));
    let body: Value = response.json().await.unwrap();
    assert!(
        body["error"]["message"].is_string() && body["error"].get("param").is_some(),
        "{body}"
    );
    (status, body["error"]["code"].clone())
}

#[tokio::test]
async fn a_key_is_accepted_in_every_place() {
    let world = World::start(|_| {}).await;
    let plain = |path: &str| world.anonymous(Method::GET, path);
    for request in [
        plain("/v1/models").bearer_auth(KEY),
        plain("/v1/models").header("api-key", KEY),
        plain("/v1/models").header("X-API-Key", KEY),
        plain(&format!("/v1/models?api_key={KEY}")),
        plain(&format!("/v1/models?key={KEY}")),
    ] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_missing_or_wrong_key_is_told_so() {
    let world = World::start(|_| {}).await;
    let response = world
        .anonymous(Method::GET, "/v1/models")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(
        refusal(response).await,
        (StatusCode::UNAUTHORIZED, "invalid_api_key".into())
    );
    for wrong in [
        "nonsense",
        "ap_nonsense",
        &KEY[1..],
        &format!("{KEY}x"),
        "ek_nobody",
    ] {
        let request = world
            .anonymous(Method::GET, "/v1/models")
            .bearer_auth(wrong);
        let (status, code) = refusal(request.send().await.unwrap()).await;
        assert_eq!(
            (status, code),
            (StatusCode::UNAUTHORIZED, "invalid_api_key".into()),
            "{wrong}"
        );
    }
    let metrics = world
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        metrics.contains("antiphon_keys_refused_total{reason=\"malformed\"} 4"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_made_key_opens_the_door_until_it_is_revoked() {
    let world = World::start(|_| {}).await;
    let app = world.app();
    let new = NewKey {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        name: "story".to_owned(),
        scopes: [Scope::RealtimeConnect].into_iter().collect(),
        expires_at: None,
    };
    let key = app.keys.create(&new, &Actor::command_line()).await.unwrap();
    let ask = || {
        world
            .anonymous(Method::GET, "/v1/models")
            .bearer_auth(key.text.reveal())
            .send()
    };
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
    assert!(
        app.store
            .sql
            .revoke_key(
                "default",
                &key.id,
                &Actor::command_line().act(app.clock.utc(), "key.revoke", "k")
            )
            .await
            .unwrap()
    );
    app.clock.advance(std::time::Duration::from_secs(11));
    assert_eq!(
        refusal(ask().await.unwrap()).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_key_without_the_scope_is_forbidden() {
    let world = World::start(|_| {}).await;
    let scopes: Scopes = [Scope::BillingRead].into_iter().collect();
    let new = NewKey {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        name: "books".to_owned(),
        scopes,
        expires_at: None,
    };
    let key = world
        .app()
        .keys
        .create(&new, &Actor::command_line())
        .await
        .unwrap();
    let request = world
        .anonymous(Method::GET, "/v1/models")
        .bearer_auth(key.text.reveal());
    let refused = refusal(request.send().await.unwrap()).await;
    assert_eq!(
        refused,
        (StatusCode::FORBIDDEN, "insufficient_scope".into())
    );
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_use_a_server_key_unless_it_is_listed() {
    let world = World::start(|config| {
        config.http.allowed_origins = vec!["https://app.example".to_owned()];
    })
    .await;
    let own = world.url("");
    for (origin, status) in [
        ("https://evil.example", StatusCode::FORBIDDEN),
        ("https://app.example", StatusCode::OK),
        (own.as_str(), StatusCode::OK),
    ] {
        let response = world
            .get("/v1/models")
            .header("origin", origin)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{origin}");
        let allowed = response.headers().get("access-control-allow-origin");
        assert_eq!(
            allowed.is_some(),
            origin == "https://app.example",
            "{origin}"
        );
    }
}
