//! A server that is told to stop in the middle of a conversation: what was used until then is on the bill after the next
//! start.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::Server;
use crate::talking::{Socket, connect, rest, turn};

async fn send(socket: &mut Socket, event: &Value) {
    let message = Message::text(event.to_string());
    socket.send(message).await.unwrap();
}

/// Reads up to the next event of this type.
async fn until(socket: &mut Socket, kind: &str) -> Value {
    loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            let event: Value = serde_json::from_str(&text).unwrap();
            if event["type"] == kind {
                return event;
            }
        }
    }
}

/// What the bill says of language models: units.
async fn read_and_said(address: &str) -> (u64, u64) {
    let (status, list) = rest(address, "/v1/usage", None).await;
    assert_eq!(status, 200, "{list}");
    let mut lines = list["data"].as_array().unwrap().iter();
    let line = lines.rfind(|line| line["stage"] == "llm");
    let units = line.map_or(Value::Null, |line| line["units"].clone());
    let number = |name: &str| units[name].as_u64().unwrap_or_default();
    (number("input_tokens"), number("output_tokens"))
}

/// One conversation in writing: a whole turn, and a question whose answer has begun.
async fn in_the_middle_of_an_answer(address: &str) -> Socket {
    let mut socket = connect(address).await;
    let settings = json!({ "type": "realtime", "output_modalities": ["text"] });
    send(
        &mut socket,
        &json!({ "type": "session.update", "session": settings }),
    )
    .await;
    until(&mut socket, "session.updated").await;
    let content = json!([{ "type": "input_text", "text": "how much is that" }]);
    let item = json!({ "type": "message", "role": "user", "content": content });
    send(
        &mut socket,
        &json!({ "type": "conversation.item.create", "item": item }),
    )
    .await;
    send(&mut socket, &json!({ "type": "response.create" })).await;
    until(&mut socket, "response.output_text.delta").await;
    socket
}

#[tokio::test]
async fn what_was_used_before_a_stop_is_on_the_bill_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let mut socket = connect(&server.address).await;
    turn(&mut socket, "hello").await;
    // told to stop at once, with nothing between the last word and the signal
    let (code, log) = server.stop();
    assert_eq!(code, 0, "{log}");
    let server = Server::start(dir.path());
    let (read, said) = read_and_said(&server.address).await;
    assert!(read > 0 && said > 0, "{read} {said}");
    assert_eq!(server.stop().0, 0);
}

#[tokio::test]
async fn an_answer_that_a_stop_cuts_off_is_on_the_bill() {
    let dir = tempfile::tempdir().unwrap();
    let never = ("ANTIPHON_SCRIPTED__TOKEN_MS", "600000");
    let impatient = ("ANTIPHON_SERVER__DRAIN_S", "1");
    let server = Server::start_with(dir.path(), &[never, impatient]);
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(in_the_middle_of_an_answer(&server.address).await);
    }
    // and one over REST, which has begun as well
    let messages = json!([{ "role": "user", "content": "how much is that" }]);
    let body = json!({ "model": "gpt-4o-mini", "stream": true, "messages": messages });
    let url = format!("http://{}/v1/chat/completions", server.address);
    let client = reqwest::Client::builder().build().unwrap();
    let asked = client.post(url).bearer_auth(crate::KEY).json(&body);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let (code, log) = server.stop();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("cut off"), "{log}");
    drop((sockets, answer));

    let server = Server::start(dir.path());
    let (read, _) = read_and_said(&server.address).await;
    // an estimate of four characters a token, for each of the six
    assert!(read >= 6 * 4, "{read}");
    assert_eq!(server.stop().0, 0);
}
