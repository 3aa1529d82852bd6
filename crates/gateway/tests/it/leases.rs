//! Conversations at the same time, counted over all servers.

use gateway::config::Secret;
use reqwest::StatusCode;
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::admission::knock;
use crate::caller::Caller;
use crate::redis_servers::{Servers, ask, until};
use crate::world::{KEY, World};

const CONVERSATION: &str = "/v1/realtime?model=gpt-realtime";

async fn gateway(servers: &Servers, limit: u64) -> World {
    World::start(|config| {
        config.redis.url = Some(Secret::new(servers.url.as_str()));
        config.rate_limits.tenant_concurrent_sessions = limit;
    })
    .await
}

/// Opens a socket; the status it was refused with, if it was.
async fn open(url: String) -> Result<impl Sized, u16> {
    let mut request = url.into_client_request().unwrap();
    let key = format!("Bearer {KEY}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn of_a_hundred_at_two_gateways_exactly_the_limit_comes_in() {
    let servers = Servers::single().await;
    let worlds = [gateway(&servers, 50).await, gateway(&servers, 50).await];
    let calls: Vec<_> = (0..100)
        .map(|call| {
            let url = worlds[call % 2].url(CONVERSATION).replacen("http", "ws", 1);
            tokio::spawn(open(url))
        })
        .collect();
    let mut sockets = Vec::new();
    for call in calls {
        match call.await.unwrap() {
            Ok(socket) => sockets.push(socket),
            Err(status) => assert_eq!(status, 429),
        }
    }
    assert_eq!(sockets.len(), 50);
    let places = ["ZCARD", "{antiphon:limits}:tenant:sessions:default"];
    let taken: Option<u64> = ask(servers.nodes[0].port, &places).await;
    assert_eq!(taken, Some(50));
    // who hangs up makes room, at either of them
    drop(sockets);
    until("all places are free", || async {
        ask::<u64>(servers.nodes[0].port, &places).await == Some(0)
    })
    .await;
    for world in &worlds {
        let text = json!({ "type": "realtime", "output_modalities": ["text"] });
        let mut caller = Caller::call(world, CONVERSATION, &text).await;
        caller.write("hello").await;
        caller.until("response.done").await;
    }
}

#[tokio::test]
async fn each_level_has_a_limit_of_its_own_and_a_refusal_says_whose() {
    let world = World::start(|config| {
        config.rate_limits.concurrent_sessions = 3;
        config.rate_limits.key_concurrent_sessions = 1;
    })
    .await;
    let text = json!({ "type": "realtime", "output_modalities": ["text"] });
    let first = Caller::call(&world, CONVERSATION, &text).await;
    let refused = knock(&world, CONVERSATION, KEY).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["code"], "concurrent_limit_exceeded");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("1 conversations") && message.contains("this API key"));
    let metrics = world.app().metrics.text();
    let counted = "antiphon_limits_reached_total{level=\"key\",measure=\"sessions\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    first.hang_up().await;
    Caller::call(&world, CONVERSATION, &text)
        .await
        .hang_up()
        .await;
}

#[tokio::test]
async fn conversations_come_in_and_go_on_while_redis_is_away() {
    let mut servers = Servers::single().await;
    let world = gateway(&servers, 4).await;
    let text = json!({ "type": "realtime", "output_modalities": ["text"] });
    let mut first = Caller::call(&world, CONVERSATION, &text).await;
    servers.nodes[0].kill();
    // half of four, one of which runs already
    let second = Caller::call(&world, CONVERSATION, &text).await;
    let refused = knock(&world, CONVERSATION, KEY).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    first.write("hello").await;
    first.until("response.done").await;
    second.hang_up().await;
}
