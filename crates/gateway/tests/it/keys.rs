//! Who gets in: every place a key may be in, every way it may be wrong.

use gateway::audit::Actor;
use gateway::auth::{NewKey, Scope, Scopes};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::admission::knock;
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

#[tokio::test]
async fn an_address_that_shows_wrong_keys_is_not_listened_to_for_a_while() {
    let world = World::start(|config| {
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.auth.lockout_failures = 3;
    })
    .await;
    let app = world.app();
    let ask = async |key: &str, from: &str| {
        let request = world.anonymous(Method::GET, "/v1/models").bearer_auth(key);
        let answer = request.header("x-forwarded-for", from).send().await;
        answer.unwrap().status().as_u16()
    };
    let new = NewKey {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        name: "laptop".to_owned(),
        scopes: Scopes::full(),
        expires_at: None,
    };
    let by = Actor::command_line();
    let known = app.keys.create(&new, &by).await.unwrap().text;
    let unknown = app.keys.create(&new, &by).await.unwrap().text;
    assert_eq!(ask(known.reveal(), "192.0.2.7").await, 200);
    for _ in 0..4 {
        assert_eq!(ask("ap_guess", "192.0.2.7").await, 401);
    }
    // locked: neither a guess nor a right key that nobody has shown yet; what was right a moment ago goes on working
    assert_eq!(ask("ap_guess", "192.0.2.7").await, 429);
    let socket = knock(&world, "/v1/realtime?model=gpt-realtime", "ek_guess");
    let socket = socket.header("x-forwarded-for", "192.0.2.7").send().await;
    assert_eq!(socket.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(unknown.reveal(), "192.0.2.7").await, 429);
    assert_eq!(ask(known.reveal(), "192.0.2.7").await, 200);
    assert_eq!(ask("ap_guess", "192.0.2.8").await, 401);
    app.clock.advance(std::time::Duration::from_secs(901));
    assert_eq!(ask(unknown.reveal(), "192.0.2.7").await, 200);
}

#[tokio::test]
async fn nobody_else_says_where_somebody_comes_from() {
    let world = World::start(|config| config.auth.lockout_failures = 1).await;
    for _ in 0..5 {
        let request = world.anonymous(Method::GET, "/v1/models");
        let request = request.bearer_auth("ap_guess");
        let answer = request.header("x-forwarded-for", "192.0.2.7").send().await;
        // this machine itself is never locked out, whatever the header says
        assert_eq!(answer.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
}
