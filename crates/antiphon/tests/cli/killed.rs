//! A server that is killed in the middle of an answer: what its client was told is in the database after the next start.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use store::{SessionKey, Settings, Sql};
use tokio_tungstenite::tungstenite::Message;

use crate::Server;
use crate::talking::connect;

/// Talks in text to the server until an answer to the last question has begun; gives back every event.
async fn talk(address: &str) -> Vec<Value> {
    let mut socket = connect(address).await;
    let settings = json!({ "type": "realtime", "output_modalities": ["text"] });
    let mut questions: Vec<Value> = vec![json!({ "type": "session.update", "session": settings })];
    for n in 0..20 {
        let content = json!([{ "type": "input_text", "text": format!("number {n}") }]);
        let item = json!({ "id": format!("said_{n}"), "type": "message", "role": "user", "content": content });
        questions.push(json!({ "type": "conversation.item.create", "item": item }));
    }
    questions.push(json!({ "type": "response.create" }));
    for question in questions {
        let message = Message::text(question.to_string());
        socket.send(message).await.unwrap();
    }
    let mut events: Vec<Value> = Vec::new();
    while events
        .last()
        .is_none_or(|event| event["type"] != "response.output_item.added")
    {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            events.push(serde_json::from_str(&text).unwrap());
        }
    }
    events
}

#[tokio::test]
async fn what_a_client_was_told_survives_a_server_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(dir.path(), &[("ANTIPHON_SCRIPTED__TOKEN_MS", "60000")]);
    let events = talk(&server.address).await;
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
    let told: Vec<_> = events
        .iter()
        .filter(|event| event["type"] == "conversation.item.added")
        .map(|event| event["item"]["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(told.len() >= 20, "{told:?}");
    // what was written a moment before the end may have been told to nobody
    assert_eq!(kept[..told.len()], told);
    assert!(!dir.path().join("journal/0/rejected.log").exists());
}
