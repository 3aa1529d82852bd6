//! What the system before this one let through (spec/platform §9.3): each hole has a story that shows it closed. Forged
//! and mixed-up keys are in `auth::api_key`, refused ones in `auth::key_text`, secrets that two take at once in the
//! suite of `store`, cards and telephones in `observe::redact`.

use gateway::Config;
use gateway::auth::Credential;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::tenants::{ask, first_key};
use crate::world::World;

const SECRETS: &str = "POST /v1/realtime/client_secrets";

/// A session of one's own choice could be put into a client secret, and was then loaded without asking whose it was.
#[tokio::test]
async fn nobody_takes_over_a_session_by_naming_its_id() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    let rival = first_key(&world, "rival").await;
    let path = "/v1/realtime?model=gpt-realtime";
    let session = json!({ "type": "realtime", "instructions": "The word is swordfish." });
    let victim = Caller::call_with(&world, path, &acme, &session).await;
    let id = victim.session_id();

    let stolen = json!({ "session": { "type": "realtime", "id": id } });
    let (status, answer) = ask(&world, &rival, SECRETS, stolen).await;
    if status == 200 {
        let secret = answer["value"].as_str().unwrap();
        let thief = Caller::call_with(&world, path, secret, &json!({ "type": "realtime" })).await;
        assert_ne!(thief.session_id(), id);
        assert!(!format!("{:?}", thief.events).contains("swordfish"));
    } else {
        assert_eq!(status, 400, "{answer}");
    }
    let usage = format!("GET /v1/sessions/{id}/usage");
    let (status, answer) = ask(&world, &rival, &usage, Value::Null).await;
    let nobody = ask(
        &world,
        &rival,
        "GET /v1/sessions/sess_nobody/usage",
        Value::Null,
    )
    .await;
    let text = answer.to_string().replace(id, "sess_nobody");
    assert_eq!((status, text), (nobody.0, nobody.1.to_string()));
    assert_eq!(ask(&world, &acme, &usage, Value::Null).await.0, 200);
    victim.hang_up().await;
}

/// The life of a client secret had no upper bound.
#[tokio::test]
async fn a_client_secret_ends_within_ten_minutes_whatever_was_asked_for() {
    let world = World::start(|_| {}).await;
    let key = first_key(&world, "acme").await;
    let long = json!({ "expires_after": { "anchor": "created_at", "seconds": 7200 } });
    let (_, answer) = ask(&world, &key, SECRETS, long).await;
    let life = answer["expires_at"].as_i64().unwrap() - world.app().clock.unix_s();
    assert!((1..=600).contains(&life), "{answer}");
    world
        .app()
        .clock
        .advance(std::time::Duration::from_secs(601));
    let credential = Credential::new(answer["value"].as_str().unwrap());
    assert!(world.app().authenticate(&credential).await.is_err());
}

/// Whoever administered a tenant was taken for whoever runs the platform.
#[tokio::test]
async fn a_tenants_administrator_is_no_operator() {
    let world = World::start(|_| {}).await;
    let acme = first_key(&world, "acme").await;
    first_key(&world, "rival").await;
    let (_, seen) = ask(&world, &acme, "GET /v1/admin/tenants", Value::Null).await;
    assert_eq!(seen["data"].as_array().unwrap().len(), 1);
    let suspend = "POST /v1/admin/tenants/rival/suspend";
    assert_eq!(ask(&world, &acme, suspend, Value::Null).await.0, 403);
}

/// Requests were let in when the place that decides could not be asked.
#[tokio::test]
async fn nobody_is_let_in_while_the_database_does_not_answer() {
    let world = World::start(|_| {}).await;
    let key = first_key(&world, "acme").await;
    assert_eq!(
        ask(&world, &key, "GET /v1/models", Value::Null).await.0,
        200
    );
    world.app().store.sql.close().await;
    world.app().clock.advance(std::time::Duration::from_secs(2));
    let (status, answer) = ask(&world, &key, "GET /v1/models", Value::Null).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (503, &json!("service_unavailable"))
    );
}

/// Pages of any origin could call with a key that they were shown.
#[tokio::test]
async fn a_page_of_another_origin_gets_no_permission() {
    let world = World::start(|_| {}).await;
    let asked = world
        .anonymous(Method::OPTIONS, "/v1/admin/keys")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .send()
        .await
        .unwrap();
    assert!(!asked.headers().contains_key("access-control-allow-origin"));
    let request = world
        .get("/v1/models")
        .header("origin", "https://evil.example");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

/// Passwords and secrets were delivered with the program.
#[test]
fn nothing_secret_has_a_default() {
    let config = Config::default();
    assert_eq!(config.auth.bootstrap_api_key, None);
    assert!(config.database.url.is_none() && config.database.owner_url.is_none());
    assert!(config.redis.url.is_none() && config.llm.api_key.is_none());
    assert!(config.http.allowed_origins.is_empty() && config.http.trusted_proxies.is_empty());
    assert!(config.server.listen.starts_with("127.0.0.1:"));
}
