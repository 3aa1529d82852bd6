//! A server that is killed in the middle of an answer: what its client was told is in the database after the next start,
//! and another server goes on with the conversation.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use store::{SessionKey, Settings, Sql};
use tokio_tungstenite::tungstenite::Message;

use crate::Server;
use crate::redis_servers::Servers;
use crate::talking::{Socket, dial};

async fn send(socket: &mut Socket, event: &Value) {
    let message = Message::text(event.to_string());
    socket.send(message).await.unwrap();
}

/// Reads up to the next event of this type.
async fn until(socket: &mut Socket, kind: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    while events.last().is_none_or(|event| event["type"] != kind) {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            events.push(serde_json::from_str(&text).unwrap());
        }
    }
    events
}

/// Talks in text to the server until an answer to the last question has begun; gives back every event.
async fn talk(address: &str) -> (Socket, Vec<Value>) {
    let mut socket = dial(address, "model=gpt-realtime").await;
    let settings = json!({ "type": "realtime", "output_modalities": ["text"] });
    let mut questions: Vec<Value> = vec![json!({ "type": "session.update", "session": settings })];
    for n in 0..20 {
        let content = json!([{ "type": "input_text", "text": format!("number {n}") }]);
        let item = json!({ "id": format!("said_{n}"), "type": "message", "role": "user", "content": content });
        questions.push(json!({ "type": "conversation.item.create", "item": item }));
    }
    questions.push(json!({ "type": "response.create" }));
    for question in questions {
        send(&mut socket, &question).await;
    }
    let events = until(&mut socket, "response.content_part.added").await;
    (socket, events)
}

/// Ids of the items that the client was told of.
fn told(events: &[Value]) -> Vec<String> {
    let added = events.iter();
    let added = added.filter(|event| event["type"] == "conversation.item.added");
    added
        .map(|event| event["item"]["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn what_a_client_was_told_survives_a_server_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(dir.path(), &[("ANTIPHON_SCRIPTED__TOKEN_MS", "60000")]);
    let (_socket, events) = talk(&server.address).await;
    server.child.kill().unwrap();
    server.child.wait().unwrap();

    let server = Server::start(dir.path());
    assert_eq!(server.stop().0, 0);

    let url = format!("sqlite:{}", dir.path().join("antiphon.db").display());
    let sql = Sql::open(&Settings::at(url)).await.unwrap();
    let id = events[0]["session"]["id"].as_str().unwrap();
    let session = sql.find_session("default", id).await.unwrap().unwrap();
    assert_eq!((session.ended_at, session.outcome), (None, None));
    let key = SessionKey::new("default", id, session.started_at);
    let items = sql.last_items(&key, 100).await.unwrap();
    let kept: Vec<_> = items.into_iter().map(|item| item.id).collect();
    let told = told(&events);
    assert!(told.len() >= 20, "{told:?}");
    // what was written a moment before the end may have been told to nobody
    assert_eq!(kept[..told.len()], told);
    assert!(!dir.path().join("journal/0/rejected.log").exists());
}

#[tokio::test]
async fn another_server_goes_on_with_the_session_of_one_that_was_killed() {
    let servers = Servers::single().await;
    let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let redis = ("REDIS_URL", servers.url.as_str());
    let slow = ("ANTIPHON_SCRIPTED__TOKEN_MS", "60000");
    let mut server = Server::start_with(dir.path(), &[redis, slow]);
    let other = Server::start_with(other_dir.path(), &[redis]);
    let (_socket, events) = talk(&server.address).await;
    server.child.kill().unwrap();
    server.child.wait().unwrap();

    let session = events[0]["session"]["id"].as_str().unwrap();
    let last = events.last().unwrap()["event_id"].as_str().unwrap();
    let query = format!("session_id={session}&last_event_id={last}");
    let mut socket = dial(&other.address, &query).await;
    let back = until(&mut socket, "response.done").await;
    assert_eq!(back[0]["session"]["id"], session);
    assert_eq!(back[0]["session"]["output_modalities"], json!(["text"]));
    // nobody could say what was on its way when the server died; but everything that was said is here
    let resumed = &back[1];
    assert_eq!(
        (&resumed["type"], &resumed["complete"]),
        (&json!("session.resumed"), &json!(false))
    );
    let items = resumed["items"].as_array().unwrap();
    let kept: Vec<_> = items
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    let told = told(&events);
    assert_eq!(kept[..told.len()], told);
    // the answer that was cut off says so
    let created = events
        .iter()
        .find(|event| event["type"] == "response.created");
    let done = &back.last().unwrap()["response"];
    assert_eq!(done["id"], created.unwrap()["response"]["id"]);
    assert_eq!(
        (&done["status"], &done["status_details"]["reason"]),
        (&json!("incomplete"), &json!("connection_lost"))
    );
    let cut_off = &done["output"][0];
    assert_eq!(
        (&cut_off["id"], &cut_off["status"]),
        (&json!(told[20]), &json!("incomplete"))
    );
    // and the conversation goes on
    send(&mut socket, &json!({ "type": "response.create" })).await;
    let answer = until(&mut socket, "response.done").await;
    let answer = &answer.last().unwrap()["response"];
    assert_eq!(answer["status"], "completed");
    assert_eq!(answer["conversation_id"], done["conversation_id"]);
    drop(socket);

    // what the other server has kept for good is one conversation with what was said there
    assert_eq!(other.stop().0, 0);
    let url = format!("sqlite:{}", other_dir.path().join("antiphon.db").display());
    let sql = Sql::open(&Settings::at(url)).await.unwrap();
    let stored = sql.find_session("default", session).await.unwrap().unwrap();
    let key = SessionKey::new("default", session, stored.started_at);
    let items = sql.last_items(&key, 100).await.unwrap();
    let last = items.last().unwrap();
    assert_eq!(answer["output"][0]["id"], *last.id);
}
