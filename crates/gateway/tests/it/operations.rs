//! What operators ask: `/health`, `/ready`, `/info`, `/metrics`, `/docs`, `/openapi.json`, the page, and the end.

use std::time::Duration;

use gateway::config::{Listener, Profile};
use gateway::lifecycle::Drained;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::caller::Caller;
use crate::world::{KEY, PATIENCE, World};

async fn json(world: &World, path: &str) -> (StatusCode, Value) {
    let response = world.anonymous(Method::GET, path).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_healthy_server_says_so() {
    let world = World::start(|_| {}).await;
    assert_eq!(json(&world, "/health").await.1["status"], "ok");
    let (status, ready) = json(&world, "/ready").await;
    assert_eq!(
        (status, &ready["ready"]),
        (StatusCode::OK, &Value::Bool(true)),
        "{ready}"
    );
    let info = json(&world, "/info").await.1;
    assert_eq!(
        (&info["name"], &info["pipeline"]),
        (&"antiphon".into(), &"scripted".into()),
        "{info}"
    );
}

#[tokio::test]
async fn a_broken_database_or_a_stop_makes_the_server_unready() {
    let world = World::start(|_| {}).await;
    world.app().store.sql.close().await;
    let (status, ready) = json(&world, "/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let checks = ready["checks"].as_array().unwrap();
    let database = checks
        .iter()
        .find(|check| check["name"] == "database")
        .unwrap();
    assert!(
        database["ok"] == false && database["detail"].is_string(),
        "{ready}"
    );
}

#[tokio::test]
async fn a_pipeline_that_cannot_load_leaves_the_port_open_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = crate::world::config(&folder);
    config.pipeline.name = "local".to_owned();
    let server = gateway::Server::start(config).await.unwrap();
    let refused = server.app.catalog.wait(PATIENCE).await.err();
    assert!(
        matches!(refused, Some(gateway::app::CatalogUnavailable::Failed(_))),
        "{refused:?}"
    );
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .unwrap();
    let ready = client
        .get(format!("http://{}/ready", server.address))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let models = client.get(format!("http://{}/v1/models", server.address));
    let response = models.bearer_auth(KEY).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(server.stop(PATIENCE).await, Drained::Clean);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_unknown_paths_by_none() {
    let world = World::start(|_| {}).await;
    for path in ["/v1/models/a", "/v1/models/b", "/secret/path?key=x"] {
        world.get(path).send().await.unwrap();
    }
    let response = world
        .anonymous(Method::GET, "/metrics")
        .send()
        .await
        .unwrap();
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = response.text().await.unwrap();
    for line in [
        "antiphon_http_requests_total{method=\"GET\",route=\"/v1/models/{id}\",status=\"404\"} 2",
        "antiphon_http_requests_total{method=\"GET\",route=\"(none)\",status=\"404\"} 1",
        "antiphon_pipeline_ready 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing in\n{text}"
        );
    }
    assert!(!text.contains("secret") && text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let world = World::start(|_| {}).await;
    let id = |response: reqwest::Response| {
        response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let own = world
        .get("/health")
        .header("x-request-id", "trace-42")
        .send()
        .await
        .unwrap();
    assert_eq!(id(own), "trace-42");
    for unusable in ["a b", &"x".repeat(129)] {
        let response = world
            .get("/health")
            .header("x-request-id", unusable)
            .send()
            .await
            .unwrap();
        assert!(id(response).starts_with("req_"), "{unusable}");
    }
}

#[tokio::test]
async fn the_interface_is_documented_route_by_route() {
    let world = World::start(|_| {}).await;
    let (status, document) = json(&world, "/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/v1/models",
        "/v1/models/{id}",
        "/v1/realtime/client_secrets",
        "/v1/realtime/sessions",
        "/v1/realtime/transcription_sessions",
        "/v1/audio/transcriptions",
        "/v1/audio/speech",
    ] {
        assert!(paths.contains_key(path), "{path} is not documented");
    }
    let events = json(&world, "/asyncapi.json").await.1;
    assert!(events["asyncapi"].is_string(), "{events}");
    for path in ["/docs", "/openapi.json", "/asyncapi.json"] {
        let answer = world.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(
            answer.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
    }
    let page = world.anonymous(Method::GET, "/docs").send().await.unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
    let html = page.text().await.unwrap();
    assert!(paths.keys().all(|path| html.contains(path.as_str())));
    assert!(!html.contains("<script") && !html.contains("https://"));
}

#[tokio::test]
async fn the_page_is_served_with_a_policy_and_checked_by_its_tag() {
    let world = World::start(|_| {}).await;
    let response = world.anonymous(Method::GET, "/").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    assert_eq!(headers["cache-control"], "no-cache");
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("script-src 'self'")
    );
    assert!(response.text().await.unwrap().contains("</html>"));
    let request = world
        .anonymous(Method::GET, "/")
        .header("if-none-match", &headers["etag"]);
    let again = request.send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert!(again.bytes().await.unwrap().is_empty());
    let lost = world
        .anonymous(Method::GET, "/../Cargo.toml")
        .send()
        .await
        .unwrap();
    assert_eq!(lost.status(), StatusCode::NOT_FOUND);
    let wrong = world
        .anonymous(Method::DELETE, "/v1/models")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(wrong.json::<Value>().await.unwrap()["error"]["message"].is_string());
}

#[tokio::test]
async fn while_the_server_drains_it_answers_but_takes_nobody_new() {
    let world = World::start(|_| {}).await;
    let lifecycle = world.app().lifecycle.clone();
    let hard = lifecycle.hard().clone();
    lifecycle.spawn(async move { hard.cancelled().await });
    let (secrets, ready) = (
        world.url("/v1/realtime/client_secrets"),
        world.url("/ready"),
    );
    let (server, _folder) = world.into_server();
    let stopping = tokio::spawn(server.stop(PATIENCE));
    lifecycle.soft().cancelled().await;
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .unwrap();
    let answer = client.get(ready).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = answer.json().await.unwrap();
    assert!(
        body["checks"]
            .to_string()
            .contains("the server is shutting down"),
        "{body}"
    );
    let request = client
        .post(secrets)
        .bearer_auth(KEY)
        .json(&serde_json::json!({}));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.json::<Value>().await.unwrap()["error"]["code"],
        "server_shutting_down"
    );
    lifecycle.hard().cancel();
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_stop_waits_for_a_request_that_is_being_answered() {
    let world = World::start(|_| {}).await;
    let body = r#"{"model":"tts-1","voice":"alloy","input":"good bye","response_format":"pcm"}"#;
    let mut socket = TcpStream::connect(world.server().address).await.unwrap();
    let head = format!(
        "POST /v1/audio/speech HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        KEY,
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // the server has read the head once it shows the connection
    while !world
        .app()
        .metrics
        .text()
        .contains("antiphon_connections_open 1")
    {
        tokio::task::yield_now().await;
    }
    let (server, _folder) = world.into_server();
    let lifecycle = server.app.lifecycle.clone();
    let stopping = tokio::spawn(server.stop(PATIENCE));
    lifecycle.soft().cancelled().await;
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let head = String::from_utf8_lossy(&answer[..64.min(answer.len())]).into_owned();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(stopping.await.unwrap(), Drained::Clean);
}

#[tokio::test]
async fn callers_who_go_on_talking_see_why_a_stopping_server_closes() {
    let world = World::start(|_| {}).await;
    let session =
        serde_json::json!({ "type": "realtime", "audio": { "input": { "turn_detection": null } } });
    let mut callers = Vec::new();
    for _ in 0..8 {
        let caller = Caller::call(&world, "/v1/realtime?model=gpt-realtime", &session).await;
        callers.push(tokio::spawn(caller.talk_until_closed()));
    }
    let (server, _folder) = world.into_server();
    assert_eq!(server.stop(PATIENCE).await, Drained::Clean);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), 1001);
    }
}

#[tokio::test]
async fn a_stop_cuts_off_what_does_not_end() {
    let world = World::start(|_| {}).await;
    let mut socket = TcpStream::connect(world.server().address).await.unwrap();
    let head = "POST /v1/audio/speech HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let (server, _folder) = world.into_server();
    server.app.lifecycle.spawn(std::future::pending::<()>());
    let drained = server.stop(Duration::from_millis(1)).await;
    assert!(matches!(drained, Drained::Forced { .. }), "{drained:?}");
}

#[tokio::test]
async fn a_further_address_answers_too_and_all_addresses_share_the_places() {
    let world = World::start(|config| {
        config.server.max_connections = 1;
        config.listeners = vec![Listener {
            profile: Profile::All,
            address: "127.0.0.1:0".to_owned(),
        }];
    })
    .await;
    let (profile, address) = world.server().listeners[0];
    assert_eq!(profile, Profile::All);
    let health = format!("http://{address}/health");
    let fresh = || {
        reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    };
    let answer = fresh().get(&health).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["status"], "ok");
    // the first connection's place is free a moment after its answer
    let held = loop {
        let mut held = TcpStream::connect(world.server().address).await.unwrap();
        let (asking, mut status) = (b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", [0; 12]);
        // whoever has no place may be cut off before he has asked
        let answered =
            held.write_all(asking).await.is_ok() && held.read_exact(&mut status).await.is_ok();
        if answered && status == *b"HTTP/1.1 200" {
            break held;
        }
    };
    let mut refused = Vec::new();
    let mut further = TcpStream::connect(address).await.unwrap();
    further.read_to_end(&mut refused).await.unwrap();
    assert!(refused.starts_with(b"HTTP/1.1 503"));
    drop(held);
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_before_anything_starts() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut config = crate::world::config(&folder);
    config.listeners = vec![Listener {
        profile: Profile::All,
        address: address.clone(),
    }];
    let error = gateway::Server::start(config).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}
