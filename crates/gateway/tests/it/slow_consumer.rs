//! One of five hundred does not read what it is sent: it alone is sent away, and told why.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::caller::Caller;
use crate::fifty::Crowd;
use crate::redis_servers::until;
use crate::world::{KEY, PATIENCE, World};

const PATH: &str = "/v1/realtime?model=gpt-realtime";
/// More than the system keeps for a connection and the server in its queue.
const ASKED_FOR: usize = 400;
const ITEM_BYTES: usize = 100_000;

/// A client with little room to read into, which asks for 40 MB and reads nothing.
async fn slow(world: &World) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(world.server().address).await.unwrap();
    let url = world.url(PATH).replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    let key = format!("Bearer {KEY}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    let content = json!([{ "type": "input_text", "text": "x".repeat(ITEM_BYTES) }]);
    let item = json!({ "id": "long", "type": "message", "role": "user", "content": content });
    let create = json!({ "type": "conversation.item.create", "item": item });
    socket
        .send(Message::text(create.to_string()))
        .await
        .unwrap();
    let retrieve = json!({ "type": "conversation.item.retrieve", "item_id": "long" });
    let retrieve = retrieve.to_string();
    for _ in 0..ASKED_FOR {
        let asked = socket.send(Message::text(retrieve.as_str()));
        // once the server reads no more, neither does the system
        if tokio::time::timeout(PATIENCE, asked).await.is_err() {
            break;
        }
    }
    socket
}

/// Reads to the close frame.
async fn close_frame(mut socket: WebSocketStream<TcpStream>) -> (u16, String) {
    let read = async {
        loop {
            if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
                let frame = frame.unwrap();
                return (frame.code.into(), frame.reason.as_str().to_owned());
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap()
}

/// What a client saw, without ids: the ladder of every answer, its pieces joined.
fn ladder(caller: &Caller) -> Vec<String> {
    let mut rungs: Vec<String> = Vec::new();
    let mut said = String::new();
    for event in &caller.events {
        let kind = event["type"].as_str().unwrap();
        if kind == "response.output_audio_transcript.delta" {
            said.push_str(event["delta"].as_str().unwrap());
        } else if kind == "response.output_audio_transcript.done" {
            assert_eq!(event["transcript"], json!(said));
            rungs.push(std::mem::take(&mut said));
        } else if kind != "response.output_audio.delta" {
            rungs.push(kind.to_owned());
        }
    }
    rungs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_five_hundred_that_does_not_read_is_sent_away_alone() {
    let world = World::start(|config| config.sessions.send_queue_events = 8).await;
    let mut crowd = Crowd::call(&world, 499).await;
    let slow = slow(&world).await;
    let sent_away = until("the one is sent away", || async {
        let text = world.app().metrics.text();
        text.contains("antiphon_slow_clients_closed_total 1\n")
    });
    crowd.talk_through(sent_away).await;
    let (code, reason) = close_frame(slow).await;
    assert_eq!(code, 1008);
    assert!(reason.starts_with("slow_consumer"), "{reason}");

    crowd.talk().await;
    let text = world.app().metrics.text();
    assert!(text.contains("antiphon_slow_clients_closed_total 1\n"));
    let expected = ladder(&crowd.callers[0]);
    for caller in &crowd.callers {
        assert_eq!(ladder(caller), expected, "{}", caller.session_id());
        let ids: std::collections::HashSet<&Value> = caller
            .events
            .iter()
            .map(|event| &event["event_id"])
            .collect();
        assert_eq!(ids.len(), caller.events.len());
    }
    crowd.hang_up(&world).await;
}
