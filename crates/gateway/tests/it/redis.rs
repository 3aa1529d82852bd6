//! Two gateways and one Redis: what one gives the other takes, and what happens while Redis is away.

use gateway::config::Secret;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::redis_servers::{Servers, ask, until};
use crate::world::World;

async fn gateway(servers: &Servers, namespace: &str, tenant_requests_per_minute: u64) -> World {
    World::start(|config| {
        config.redis.url = Some(Secret::new(servers.url.as_str()));
        config.redis.namespace = namespace.to_owned();
        config.rate_limits.tenant_requests_per_minute = tenant_requests_per_minute;
    })
    .await
}

async fn secret(world: &World) -> (StatusCode, Value) {
    let request = world.post(
        "/v1/realtime/client_secrets",
        &json!({ "session": { "type": "realtime" } }),
    );
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn models(world: &World) -> StatusCode {
    world.get("/v1/models").send().await.unwrap().status()
}

async fn ready(world: &World) -> (StatusCode, Value) {
    let response = world.get("/ready").send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// The minute that Redis counts in.
async fn minute(servers: &Servers) -> u64 {
    let time: Option<(u64, u64)> = ask(servers.nodes[0].port, &["TIME"]).await;
    time.unwrap().0 / 60
}

/// How many of 100 calls at once, over two gateways, a limit of 50 lets through.
async fn admitted_of_a_hundred(servers: &Servers, namespace: &str) -> usize {
    let (one, other) = (
        gateway(servers, namespace, 50).await,
        gateway(servers, namespace, 50).await,
    );
    let calls: Vec<_> = (0..100)
        .map(|call| {
            let request = [&one, &other][call % 2].get("/v1/models");
            tokio::spawn(async move { request.send().await.unwrap().status() })
        })
        .collect();
    let mut admitted = 0;
    for call in calls {
        match call.await.unwrap() {
            StatusCode::OK => admitted += 1,
            status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
        }
    }
    admitted
}

#[tokio::test]
async fn two_gateways_admit_exactly_the_limit() {
    let servers = Servers::single().await;
    // what was taken fades from the next minute on, so the calls have to be of one
    for try_number in 0..3 {
        let begun = minute(&servers).await;
        let namespace = format!("try-{try_number}");
        let admitted = Box::pin(admitted_of_a_hundred(&servers, &namespace)).await;
        if minute(&servers).await == begun {
            assert_eq!(admitted, 50);
            return;
        }
    }
    panic!("a hundred calls take a minute");
}

#[tokio::test]
async fn a_secret_of_one_gateway_opens_at_another_once() {
    let servers = Servers::single().await;
    let (one, other) = (
        gateway(&servers, "secrets", 0).await,
        gateway(&servers, "secrets", 0).await,
    );
    let (status, answer) = secret(&one).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let credential = gateway::auth::Credential::new(answer["value"].as_str().unwrap());
    let principal = other.app().authenticate(&credential).await.unwrap();
    assert_eq!(principal.stored_session.unwrap()["type"], "realtime");
    for world in [&one, &other] {
        assert!(world.app().authenticate(&credential).await.is_err());
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let world = World::start(|config| config.rate_limits.key_requests_per_minute = 1).await;
    assert_eq!(models(&world).await, StatusCode::OK);
    for path in ["/v1/models", "/v1/realtime?model=gpt-realtime"] {
        let refused = world.get(path).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        let wait = refused.headers()["retry-after"]
            .to_str()
            .unwrap()
            .to_owned();
        let wait: u64 = wait.parse().unwrap();
        assert!((1..=120).contains(&wait), "{wait}");
        let body: Value = refused.json().await.unwrap();
        assert_eq!(body["error"]["code"], "rate_limit_exceeded");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("this API key") && message.contains(&format!("{wait} s")),
            "{message}"
        );
        // honest: half the time is not enough, all of it is
        let half = std::time::Duration::from_secs(wait / 2);
        world.app().clock.advance(half);
        assert_eq!(models(&world).await, StatusCode::TOO_MANY_REQUESTS);
        world
            .app()
            .clock
            .advance(std::time::Duration::from_secs(wait - wait / 2));
        assert_eq!(models(&world).await, StatusCode::OK);
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
        metrics.contains("antiphon_rate_limited_total{level=\"key\"} 4"),
        "{metrics}"
    );
}

#[tokio::test]
async fn calls_go_on_while_redis_is_away() {
    let mut servers = Servers::single().await;
    let world = gateway(&servers, "away", 20).await;
    let (status, body) = ready(&world).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("ready")));
    servers.nodes[0].kill();
    let (status, body) = ready(&world).await;
    assert_eq!(
        (status, &body["status"]),
        (StatusCode::OK, &json!("degraded"))
    );
    // half of twenty, on this server alone
    let mut admitted = 0;
    for _ in 0..12 {
        admitted += usize::from(models(&world).await == StatusCode::OK);
    }
    assert_eq!(admitted, 10);
    let metrics = world
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("antiphon_redis_away 1"), "{metrics}");
    assert!(
        metrics.contains("antiphon_rate_limits_decided_locally_total 12"),
        "{metrics}"
    );
    servers.nodes[0].restart().await;
    until("the gateway finds redis", || async {
        ready(&world).await.1["status"] == "ready"
    })
    .await;
    assert_eq!(models(&world).await, StatusCode::OK);
    assert_eq!(secret(&world).await.0, StatusCode::OK);
}
