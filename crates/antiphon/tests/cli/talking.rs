//! A client that talks to a server in writing; for stories about real processes.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::KEY;

/// How long an answer may take before it counts as none.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a conversation with the server at `address`.
pub(crate) async fn connect(address: &str) -> Socket {
    dial(address, "model=gpt-realtime").await
}

/// The same with a query of one's own.
pub(crate) async fn dial(address: &str, query: &str) -> Socket {
    let url = format!("ws://{address}/v1/realtime?{query}");
    let mut request = url.into_client_request().unwrap();
    let key = format!("Bearer {KEY}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    connect_async(request).await.unwrap().0
}

/// Writes something and hears the whole answer; every event of that.
pub(crate) async fn turn(socket: &mut Socket, words: &str) -> Vec<Value> {
    let content = json!([{ "type": "input_text", "text": words }]);
    let item = json!({ "type": "message", "role": "user", "content": content });
    for event in [
        json!({ "type": "conversation.item.create", "item": item }),
        json!({ "type": "response.create" }),
    ] {
        let message = Message::text(event.to_string());
        socket.send(message).await.unwrap();
    }
    let mut events: Vec<Value> = Vec::new();
    loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            let event: Value = serde_json::from_str(&text).unwrap();
            let is_last = event["type"] == "response.done";
            assert_ne!(event["type"], "error", "{event}");
            events.push(event);
            if is_last {
                return events;
            }
        }
    }
}

/// Ids of the items that are done, in order.
pub(crate) fn items(events: &[Value]) -> Vec<String> {
    let done = events.iter();
    let done = done.filter(|event| event["type"] == "conversation.item.done");
    done.map(|event| event["item"]["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Asks the server over REST with the key; what is no JSON comes back as text.
pub(crate) async fn rest(address: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let client = reqwest::Client::builder().timeout(PATIENCE);
    let client = client.build().unwrap();
    let url = format!("http://{address}{path}");
    let request = body.map_or_else(|| client.get(&url), |body| client.post(&url).json(body));
    let answer = request.bearer_auth(KEY).send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}
