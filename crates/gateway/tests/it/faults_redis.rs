//! Fifty people talk while Redis changes hands, or comes back empty: nobody notices, and what is shared works again by
//! itself.

use gateway::auth::{AuthError, Credential};
use gateway::config::Secret;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fifty::Crowd;
use crate::redis_servers::{Servers, ask, until};
use crate::world::World;

const PEOPLE: usize = 50;

async fn gateway(url: &str) -> World {
    World::start(|config| {
        config.redis.url = Some(Secret::new(url));
        // high enough for everybody, and counted all the same
        config.rate_limits.tenant_requests_per_minute = 10_000;
    })
    .await
}

async fn secret(world: &World) -> (StatusCode, Value) {
    let body = json!({ "session": { "type": "realtime" } });
    let request = world.post("/v1/realtime/client_secrets", &body);
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn made(world: &World) -> Credential {
    let (status, answer) = secret(world).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    Credential::new(answer["value"].as_str().unwrap())
}

async fn is_ready(world: &World) -> bool {
    let response = world.get("/ready").send().await.unwrap();
    assert_eq!(
        response.status(),
        StatusCode::OK,
        "calls go on all the time"
    );
    let told: Value = response.json().await.unwrap();
    told["status"] == "ready"
}

/// What Redis decides works: limits are decided there, and a secret opens once.
async fn shared_again(world: &World) {
    until("the gateway finds redis", || is_ready(world)).await;
    let decided = "antiphon_rate_limits_decided_locally_total ";
    let locally = |text: String| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(decided));
        line.unwrap().parse().unwrap()
    };
    let before = locally(world.app().metrics.text());
    let credential = made(world).await;
    assert_eq!(locally(world.app().metrics.text()), before);
    world.app().authenticate(&credential).await.unwrap();
    assert!(world.app().authenticate(&credential).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_conversations_do_not_notice_that_sentinel_promotes() {
    let mut servers = Servers::sentinel().await;
    let world = gateway(&servers.url).await;
    let mut crowd = Crowd::call(&world, PEOPLE).await;
    crowd.talk().await;
    let from_before = made(&world).await;
    servers.replica_has_all().await;

    let replica = servers.nodes[1].port;
    servers.nodes[0].kill();
    let fault = async {
        until("the replica is promoted", || async {
            let text: Option<String> = ask(replica, &["INFO", "replication"]).await;
            text.is_some_and(|text| text.contains("role:master"))
        })
        .await;
        until("the gateway finds the new primary", || is_ready(&world)).await;
    };
    crowd.talk_through(fault).await;

    shared_again(&world).await;
    // what the old primary had given away is not lost, and is given once
    world.app().authenticate(&from_before).await.unwrap();
    assert!(world.app().authenticate(&from_before).await.is_err());
    crowd.talk().await;
    crowd.hang_up(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_conversations_do_not_notice_that_redis_comes_back_empty() {
    let mut servers = Servers::single().await;
    let world = gateway(&servers.url).await;
    let mut crowd = Crowd::call(&world, PEOPLE).await;
    crowd.talk().await;
    let forgotten = made(&world).await;

    servers.nodes[0].kill();
    let (status, told) = secret(&world).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    assert_eq!(told["error"]["code"], "service_unavailable", "{told}");
    crowd.talk().await;
    let fault = async {
        servers.nodes[0].restart().await;
        until("the gateway finds redis", || is_ready(&world)).await;
    };
    crowd.talk_through(fault).await;

    shared_again(&world).await;
    // nobody remembers it: it opens nothing, and says so as a used one does
    let refused = world.app().authenticate(&forgotten).await.unwrap_err();
    assert!(matches!(refused, AuthError::Spent), "{refused}");
    crowd.talk().await;
    crowd.hang_up(&world).await;
}
