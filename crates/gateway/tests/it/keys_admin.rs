//! Keys over REST: made with no more than one has, replaced without a gap, revoked within a second.

use std::time::Duration;

use gateway::audit::Actor;
use gateway::auth::{NewKey, Scope};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn make(world: &World, body: Value) -> Value {
    let (status, made) = answer(world.post("/v1/admin/keys", &body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made
}

/// What asking for the models with this key is answered.
async fn asks(world: &World, key: &Value) -> StatusCode {
    let request = world
        .anonymous(Method::GET, "/v1/models")
        .bearer_auth(key.as_str().unwrap());
    request.send().await.unwrap().status()
}

/// The text of a key with these scopes, of this tenant.
async fn key_of(world: &World, tenant: &str, scopes: &[Scope]) -> String {
    world.tenant(tenant).await;
    let new = NewKey {
        tenant: tenant.to_owned(),
        project: "default".to_owned(),
        name: "story".to_owned(),
        scopes: scopes.iter().copied().collect(),
        expires_at: None,
    };
    let minted = world
        .app()
        .keys
        .create(&new, &Actor::command_line())
        .await
        .unwrap();
    minted.text.reveal().to_owned()
}

#[tokio::test]
async fn a_key_is_made_listed_replaced_and_revoked() {
    let world = World::start(|_| {}).await;
    let made = make(&world, json!({ "name": " laptop " })).await;
    assert_eq!(
        (&made["name"], &made["scopes"]),
        (&json!("laptop"), &json!(["realtime:connect"]))
    );
    assert_eq!(made["expires_at"], Value::Null);
    assert_eq!(asks(&world, &made["key"]).await, StatusCode::OK);

    let path = format!("/v1/admin/keys/{}", made["id"].as_str().unwrap());
    let rotate = format!("{path}/rotate");
    let (status, new) = answer(world.request(Method::POST, &rotate)).await;
    assert_eq!(status, StatusCode::CREATED, "{new}");
    assert_eq!(
        (&new["name"], &new["scopes"]),
        (&made["name"], &made["scopes"])
    );
    // both work for a day, and then the new one alone
    assert_eq!(asks(&world, &made["key"]).await, StatusCode::OK);
    assert_eq!(asks(&world, &new["key"]).await, StatusCode::OK);
    world
        .app()
        .clock
        .advance(Duration::from_secs(24 * 3600 + 2));
    assert_eq!(asks(&world, &made["key"]).await, StatusCode::UNAUTHORIZED);
    assert_eq!(asks(&world, &new["key"]).await, StatusCode::OK);
    assert_eq!(
        answer(world.post(&rotate, &json!({}))).await.1["error"]["code"],
        "key_not_found"
    );

    let (_, list) = answer(world.get("/v1/admin/keys")).await;
    let listed: Vec<&Value> = list["data"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&listed[0]["id"], &listed[1]["id"]),
        (&new["id"], &made["id"])
    );
    assert!(listed[1]["expires_at"].is_number());
    assert!(!list.to_string().contains("argon2") && !list.to_string().contains("ap_"));

    let path = format!("/v1/admin/keys/{}", new["id"].as_str().unwrap());
    let (status, gone) = answer(world.request(Method::DELETE, &path)).await;
    assert_eq!((status, &gone["revoked"]), (StatusCode::OK, &json!(true)));
    // here at once, on other nodes within a second
    assert_eq!(asks(&world, &new["key"]).await, StatusCode::UNAUTHORIZED);
    let (status, error) = answer(world.request(Method::DELETE, &path)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(error["error"]["code"], "key_not_found");
}

#[tokio::test]
async fn another_node_refuses_a_revoked_key_within_a_second() {
    let world = World::start(|_| {}).await;
    let made = make(&world, json!({ "name": "laptop" })).await;
    assert_eq!(asks(&world, &made["key"]).await, StatusCode::OK);
    // what another node does: the row changes and nobody tells this one
    let app = world.app();
    let id = made["id"].as_str().unwrap();
    let now = app.clock.utc();
    assert!(
        app.store
            .sql
            .revoke_key(
                "default",
                id,
                &Actor::command_line().act(now, "key.revoke", "k")
            )
            .await
            .unwrap()
    );
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(asks(&world, &made["key"]).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_that_was_given_a_life_ends_with_it() {
    let world = World::start(|_| {}).await;
    let made = make(&world, json!({ "name": "guest", "expires_in": 60 })).await;
    assert!(made["expires_at"].as_i64() > made["created_at"].as_i64());
    assert_eq!(asks(&world, &made["key"]).await, StatusCode::OK);
    world.app().clock.advance(Duration::from_secs(61));
    assert_eq!(asks(&world, &made["key"]).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nobody_gives_what_he_does_not_have_or_touches_what_belongs_to_another() {
    let world = World::start(|_| {}).await;
    let admin = key_of(
        &world,
        "acme",
        &[Scope::TenantAdmin, Scope::RealtimeConnect],
    )
    .await;
    let clerk = key_of(
        &world,
        "acme",
        &[Scope::RealtimeConnect, Scope::BillingRead],
    )
    .await;
    let ask =
        |method: Method, path: &str, key: &str| world.anonymous(method, path).bearer_auth(key);
    let (status, error) = answer(ask(Method::GET, "/v1/admin/keys", &clerk)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{error}");
    let more = json!({ "name": "more", "scopes": ["billing:read"] });
    let (status, error) = answer(ask(Method::POST, "/v1/admin/keys", &admin).json(&more)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("billing:read")
    );
    let (_, list) = answer(ask(Method::GET, "/v1/admin/keys", &admin)).await;
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["id"].as_str().unwrap())
        .collect();
    // and the first one, which was made with the tenant
    assert_eq!(ids.len(), 3);
    // nor by replacing a key that may do more
    let clerks = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["scopes"].to_string().contains("billing"));
    let rotate = format!(
        "/v1/admin/keys/{}/rotate",
        clerks.unwrap()["id"].as_str().unwrap()
    );
    assert_eq!(
        answer(ask(Method::POST, &rotate, &admin)).await.0,
        StatusCode::FORBIDDEN
    );
    // another tenant's key is as one that does not exist
    let others = make(&world, json!({ "name": "others" })).await;
    let path = format!("/v1/admin/keys/{}", others["id"].as_str().unwrap());
    for (method, path) in [
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/rotate")),
    ] {
        let (status, error) = answer(ask(method, &path, &admin)).await;
        assert_eq!(
            (status, &error["error"]["code"]),
            (StatusCode::NOT_FOUND, &json!("key_not_found"))
        );
    }
    assert_eq!(asks(&world, &others["key"]).await, StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_key_is_told_by_its_field() {
    let world = World::start(|_| {}).await;
    for (body, param) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": "x".repeat(101) }), "name"),
        (json!({ "name": "a\nb" }), "name"),
        (json!({ "name": "a", "scopes": ["fly:moon"] }), "scopes"),
        (json!({ "name": "a", "scopes": [] }), "scopes"),
        (json!({ "name": "a", "expires_in": 0 }), "expires_in"),
        (json!({ "name": "a", "expires_in": u64::MAX }), "expires_in"),
    ] {
        let (status, error) = answer(world.post("/v1/admin/keys", &body)).await;
        assert_eq!(
            (status, &error["error"]["param"]),
            (StatusCode::BAD_REQUEST, &json!(param)),
            "{body}"
        );
    }
    let made = make(&world, json!({ "name": "a" })).await;
    let rotate = format!("/v1/admin/keys/{}/rotate", made["id"].as_str().unwrap());
    let (status, error) = answer(world.post(&rotate, &json!({ "grace": u64::MAX }))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error["error"]["param"], "grace");
}
