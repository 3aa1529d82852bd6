//! Somebody sets the machine's clock while people talk: an hour forward, and back again.

use chrono::TimeDelta;
use gateway::audit::Actor;
use gateway::auth::{NewKey, Scopes};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::redis_servers::until;
use crate::world::World;

const PATH: &str = "/v1/realtime?model=gpt-realtime";

async fn key(world: &World) -> String {
    let new = NewKey {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        name: "half an hour".to_owned(),
        scopes: Scopes::full(),
        expires_at: Some(world.app().clock.utc() + TimeDelta::minutes(30)),
    };
    let made = world.app().keys.create(&new, &Actor::command_line()).await;
    made.unwrap().text.reveal().to_owned()
}

async fn answer(world: &World, key: &str) -> (StatusCode, Value) {
    let request = world.anonymous(Method::GET, "/v1/models").bearer_auth(key);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap())
}

fn stepped(world: &World) -> f64 {
    let text = world.app().metrics.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("antiphon_clock_stepped_seconds "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_conversation_goes_on_whatever_the_clock_says() {
    let world = World::start(|_| {}).await;
    let clock = &world.app().clock;
    let settings = json!({ "type": "realtime", "output_modalities": ["text"] });
    let mut caller = Caller::call(&world, PATH, &settings).await;
    let key = key(&world).await;
    assert_eq!(answer(&world, &key).await.0, StatusCode::OK);
    // forward, back to where it was, and further back
    for (hours, opens) in [(1, false), (-1, true), (-1, true)] {
        clock.step(TimeDelta::hours(hours));
        caller.write("what time is it").await;
        caller.until("response.done").await;
        // whether a key still works is looked at once a second
        clock.advance(std::time::Duration::from_secs(2));
        let (status, told) = answer(&world, &key).await;
        assert_eq!(status == StatusCode::OK, opens, "{hours}: {told}");
        if !opens {
            assert_eq!(status, StatusCode::UNAUTHORIZED);
            assert!(told["error"]["code"].is_string(), "{told}");
        }
    }
    let metrics = world.get("/metrics").send().await.unwrap();
    assert_eq!(metrics.status(), StatusCode::OK);
    let seen = stepped(&world);
    assert!((-3660.0..=-3540.0).contains(&seen), "{seen}");

    let id = caller.session_id().to_owned();
    caller.hang_up().await;
    let sql = &world.app().store.sql;
    until("the session is stored to its end", || async {
        let found = sql.find_session("default", &id).await.unwrap();
        found.is_some_and(|session| session.ended_at.is_some())
    })
    .await;
    let session = sql.find_session("default", &id).await.unwrap().unwrap();
    assert!(session.ended_at.unwrap() >= session.started_at);
    let key = store::SessionKey::new("default", &id, session.started_at);
    assert_eq!(sql.last_items(&key, 100).await.unwrap().len(), 6);
}

#[tokio::test]
async fn a_limit_neither_locks_out_nor_gives_away_for_a_clock_set_back() {
    let world = World::start(|config| config.rate_limits.key_requests_per_minute = 3).await;
    let ask = async || world.get("/v1/models").send().await.unwrap();
    assert_eq!(ask().await.status(), StatusCode::OK);
    world.app().clock.step(TimeDelta::hours(-1));
    // what was asked before still counts
    assert_eq!(ask().await.status(), StatusCode::OK);
    assert_eq!(ask().await.status(), StatusCode::OK);
    let refused = ask().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = refused.headers()["retry-after"].to_str().unwrap();
    let wait: u64 = wait.parse().unwrap();
    // and is forgotten as soon as ever, not an hour later
    assert!((1..=120).contains(&wait), "{wait}");
    let wait = std::time::Duration::from_secs(wait);
    world.app().clock.advance(wait);
    assert_eq!(ask().await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_secret_opens_once_and_not_after_its_time_whatever_the_clock_says() {
    let world = World::start(|_| {}).await;
    let body = json!({ "session": { "type": "realtime" } });
    let make = async || {
        let made = world.post("/v1/realtime/client_secrets", &body);
        let made: Value = made.send().await.unwrap().json().await.unwrap();
        gateway::auth::Credential::new(made["value"].as_str().unwrap())
    };
    let clock = &world.app().clock;
    let (early, kept) = (make().await, make().await);
    clock.step(TimeDelta::hours(1));
    assert!(world.app().authenticate(&early).await.is_err());
    // made by the new time, it is good by the new time
    let fresh = make().await;
    world.app().authenticate(&fresh).await.unwrap();
    clock.step(TimeDelta::hours(-1));
    world.app().authenticate(&kept).await.unwrap();
    assert!(world.app().authenticate(&kept).await.is_err());
}
