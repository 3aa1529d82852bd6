//! Clients that send too much, too slowly, or come in too great a number.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::World;

async fn until_closed(mut socket: TcpStream) -> String {
    let mut heard = Vec::new();
    // a reset instead of an orderly end is as good an answer
    let _ = socket.read_to_end(&mut heard).await;
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn a_connection_too_many_is_told_to_come_back() {
    let world = World::start(|config| config.server.max_connections = 1).await;
    let first = TcpStream::connect(world.server().address).await.unwrap();
    let second = TcpStream::connect(world.server().address).await.unwrap();
    let heard = until_closed(second).await;
    assert!(
        heard.starts_with("HTTP/1.1 503") && heard.contains("server_overloaded"),
        "{heard}"
    );
    drop(first);
    // the slot is free once the server has seen the first one go
    while world
        .app()
        .metrics
        .text()
        .contains("antiphon_connections_open 1")
    {
        tokio::task::yield_now().await;
    }
    let response = world.get("/health").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_closed() {
    let world = World::start(|config| config.server.header_timeout_ms = 100).await;
    let mut socket = TcpStream::connect(world.server().address).await.unwrap();
    socket
        .write_all(b"GET /health HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    let heard = until_closed(socket).await;
    assert!(!heard.contains("200 OK"), "{heard}");
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_json_is_refused() {
    let world = World::start(|config| config.limits.json_bytes = 1024).await;
    let path = "/v1/realtime/client_secrets";
    let large = json!({ "session": { "type": "realtime", "instructions": "x".repeat(2000) } });
    let response = world.post(path, &large).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        response.json::<Value>().await.unwrap()["error"]["code"],
        "message_too_large"
    );

    let broken = world
        .request(Method::POST, path)
        .header("content-type", "application/json")
        .body("{");
    let response = broken.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        response.json::<Value>().await.unwrap()["error"]["code"],
        "invalid_json"
    );

    let response = world
        .request(Method::POST, path)
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
