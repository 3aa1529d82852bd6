//! MCP servers that are down, that change their token, that never end their list, and whose names no model takes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::caller::Caller;
use crate::tools::{agent, listed, on_this_machine, words};
use crate::world::{KEY, World};

/// A server that can be down, and whose list has one more page every time; every page has a tool `look.up` and the
/// page's number.
#[derive(Default)]
struct Library {
    up: AtomicBool,
    pages: AtomicUsize,
    /// Tools that were called, with the `Authorization` they were called with.
    called: Mutex<Vec<(String, String)>>,
}

impl Library {
    fn answer(&self, headers: &HeaderMap, asked: &Value) -> Response {
        if !self.up.load(Ordering::SeqCst) {
            return (StatusCode::SERVICE_UNAVAILABLE, "s3cret trouble").into_response();
        }
        let Some(id) = asked.get("id") else {
            return StatusCode::ACCEPTED.into_response();
        };
        let result = match asked["method"].as_str().unwrap_or_default() {
            "initialize" => json!({ "protocolVersion": asked["params"]["protocolVersion"],
                "capabilities": { "tools": {} }, "serverInfo": { "name": "library", "version": "1" } }),
            "tools/list" => {
                let page = self.pages.fetch_add(1, Ordering::SeqCst);
                let tool =
                    |name: String| json!({ "name": name, "inputSchema": { "type": "object" } });
                json!({ "tools": [tool("look.up".to_owned()), tool(format!("page{page}"))],
                    "nextCursor": format!("{page}") })
            }
            "tools/call" => {
                let name = asked["params"]["name"].as_str().unwrap().to_owned();
                let token = headers.get("authorization");
                let token = token.map_or("", |token| token.to_str().unwrap());
                let called = (name.clone(), token.to_owned());
                self.called.lock().unwrap().push(called);
                json!({ "content": [{ "type": "text", "text": format!("{name} found a book") }] })
            }
            _ => {
                let error = json!({ "code": -32601, "message": "unknown" });
                let refused = json!({ "jsonrpc": "2.0", "id": id, "error": error });
                return axum::Json(refused).into_response();
            }
        };
        axum::Json(json!({ "jsonrpc": "2.0", "id": id, "result": result })).into_response()
    }
}

/// Starts it; its address.
async fn library() -> (Arc<Library>, String) {
    let library: Arc<Library> = Arc::default();
    let shared = Arc::clone(&library);
    let answer = move |method: Method, headers: HeaderMap, body: String| async move {
        if method != Method::POST {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        }
        shared.answer(&headers, &serde_json::from_str(&body).unwrap())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/mcp?key=s3cret", listener.local_addr().unwrap());
    let router = Router::new().fallback(any(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (library, address)
}

#[tokio::test]
async fn a_server_that_was_down_is_asked_again_and_its_odd_list_is_usable() {
    let (library, address) = library().await;
    let world = World::start(on_this_machine).await;
    let server = json!({ "type": "mcp", "server_label": "library", "server_url": address });
    agent(&world, &json!([server])).await;
    let mut caller = Caller::connect(&world, "/v1/realtime?model=agent:ann", KEY).await;
    // it may come before or after what the client says: here it says nothing until it has come
    let told = caller.until("error").await;
    let text = json!({ "type": "realtime", "output_modalities": ["text"] });
    caller.set_up(&text).await;
    assert_eq!(told["error"]["code"], "mcp_server_unavailable", "{told}");
    assert!(!told.to_string().contains("s3cret"), "{told}");
    assert!(told.to_string().contains("HTTP 503"), "{told}");
    let metrics = world.get("/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        !metrics.contains("tool_seconds_count{kind=\"mcp\""),
        "{metrics}"
    );

    library.up.store(true, Ordering::SeqCst);
    // the next answer makes it be asked again, without another word about it
    caller.write("hello").await;
    caller.until("response.done").await;
    listed(&world, 1).await;
    assert_eq!(library.pages.load(Ordering::SeqCst), 10);
    caller.write("look_up {}").await;
    let done = caller.until("response.done").await;
    assert!(words(&done).contains("look.up found a book"), "{done}");
    let errors = caller.events.iter().filter(|it| it["type"] == "error");
    assert_eq!(errors.count(), 1);
}

#[tokio::test]
async fn a_client_that_refreshes_its_token_is_served_with_the_fresh_one() {
    let (library, address) = library().await;
    library.up.store(true, Ordering::SeqCst);
    let world = World::start(on_this_machine).await;
    let session = |token: &str| {
        let server = json!({ "type": "mcp", "server_label": "library", "server_url": address,
            "authorization": token, "headers": { "x-key": token }, "require_approval": "never" });
        json!({ "type": "realtime", "output_modalities": ["text"], "tools": [server] })
    };
    let mut caller =
        Caller::call(&world, "/v1/realtime?model=antiphon", &session("old-token")).await;
    listed(&world, 1).await;
    let update = json!({ "type": "session.update", "session": session("new-token") });
    caller.send(&update).await;
    let updated = caller.until("session.updated").await;
    assert_eq!(updated["session"]["tools"][0]["server_label"], "library");
    listed(&world, 2).await;
    caller.write("look_up {}").await;
    let done = caller.until("response.done").await;
    assert!(words(&done).contains("found a book"), "{done}");
    let calls = library.called.lock().unwrap().clone();
    assert_eq!(
        calls,
        [("look.up".to_owned(), "Bearer new-token".to_owned())]
    );
    // what opens the server is shown to nobody
    let seen = serde_json::to_string(&caller.events).unwrap();
    assert!(!seen.contains("-token"), "{seen}");
}
