//! The realtime socket when a client, a provider or an event is out of the ordinary.

use std::io::Write;
use std::sync::{Arc, Mutex};

use gateway::observe::logging;
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::caller::{Caller, REQUEST_ID};
use crate::mind;
use crate::world::{PATIENCE, World};

const CONVERSATION: &str = "/v1/realtime?model=gpt-realtime";
const MIB: usize = 1024 * 1024;

/// By hand, in writing.
fn written() -> Value {
    json!({ "type": "realtime", "output_modalities": ["text"], "audio": { "input": { "turn_detection": null } } })
}

fn said(text: &str) -> Value {
    let content = json!([{ "type": "input_text", "text": text }]);
    json!({ "type": "conversation.item.create", "event_id": "mine",
            "item": { "type": "message", "role": "user", "content": content } })
}

#[tokio::test]
async fn an_event_of_many_megabytes_is_refused_and_the_session_goes_on() {
    let world = World::start(|_| {}).await;
    let mut caller = Caller::call(&world, CONVERSATION, &written()).await;
    caller.send(&said(&"x".repeat(5 * MIB))).await;
    let refused = caller.until("error").await;
    assert_eq!(refused["error"]["code"], "event_too_large", "{refused}");
    assert_eq!(refused["error"]["event_id"], "mine");
    caller
        .send(&json!({ "type": "input_audio_buffer.clear" }))
        .await;
    caller.until("input_audio_buffer.cleared").await;
}

#[tokio::test]
async fn an_append_of_many_megabytes_is_heard_whole() {
    let world = World::start(|_| {}).await;
    let mut caller = Caller::call(&world, CONVERSATION, &written()).await;
    // 65 s: 1.5 times the limit of other events in base64
    let audio = "AAAA".repeat(3 * MIB / 2);
    caller
        .send(&json!({ "type": "input_audio_buffer.append", "audio": audio }))
        .await;
    caller
        .send(&json!({ "type": "input_audio_buffer.commit" }))
        .await;
    let item = caller.until("conversation.item.done").await["item"].clone();
    caller
        .send(&json!({ "type": "conversation.item.delete", "item_id": item["id"] }))
        .await;
    caller.until("conversation.item.deleted").await;
}

#[tokio::test]
async fn an_event_too_large_to_be_sent_ends_the_session_at_once() {
    let world = World::start(|config| config.sessions.retained_audio_bytes = 8 * MIB).await;
    let mut caller = Caller::call(&world, CONVERSATION, &written()).await;
    let audio = "AAAA".repeat(9 * MIB / 4);
    caller
        .send(&json!({ "type": "input_audio_buffer.append", "audio": audio }))
        .await;
    caller
        .send(&json!({ "type": "input_audio_buffer.commit" }))
        .await;
    let item = caller.until("conversation.item.done").await["item"].clone();
    caller
        .send(&json!({ "type": "conversation.item.retrieve", "item_id": item["id"] }))
        .await;
    assert_eq!(caller.until_closed().await, 1011);
    let over = async {
        while world.app().sessions.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, over).await.unwrap();
    let metrics = world.app().metrics.text();
    assert!(
        metrics.contains("antiphon_sessions_total{outcome=\"failed\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_orderly_end() {
    let world = World::start(|_| {}).await;
    let caller = Caller::call(&world, CONVERSATION, &written()).await;
    drop(caller);
    let over = async {
        while world.app().sessions.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, over).await.unwrap();
    let metrics = world.app().metrics.text();
    assert!(
        metrics.contains("antiphon_sessions_total{outcome=\"connection_lost\"} 1"),
        "{metrics}"
    );
}

/// A log that can be read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        let lines = bytes.split(|byte| *byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn the_log_of_a_session_has_its_ids_and_not_what_was_said() {
    const QUESTION: &str = "what is the colour of the secret door";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::registry().with(logging::json(move || writer.clone()));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let llm = mind::start().await;
    let world = World::start(|config| {
        config.llm.base_url = Some(llm);
        config.llm.model = Some(mind::NOBODY.to_owned());
    })
    .await;
    let mut caller = Caller::call(&world, CONVERSATION, &written()).await;
    let session = caller.events[0]["session"]["id"].clone();
    caller.send(&said(QUESTION)).await;
    caller.send(&json!({ "type": "response.create" })).await;
    let done = caller.until("response.done").await;
    // the developer is told in the vendor's words
    let told = done["response"]["status_details"].to_string();
    assert!(told.contains(QUESTION), "{done}");
    drop(caller);
    let over = async {
        while world.app().sessions.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, over).await.unwrap();

    let lines = log.lines();
    for message in ["session started", "provider failed", "session ended"] {
        let line = lines.iter().find(|line| line["message"] == message);
        let line = line.unwrap_or_else(|| panic!("nobody logged {message:?}"));
        assert_eq!(line["session"], session, "{line}");
        let spans = line["spans"].as_array().unwrap();
        let of_session = spans.iter().find(|span| span["session"] == session);
        let span = of_session.unwrap_or_else(|| panic!("{line}"));
        assert_eq!(span["request_id"], REQUEST_ID, "{line}");
    }
    let text = format!("{lines:?}");
    assert!(text.contains("provider_rejected"));
    assert!(!text.contains("secret door"));
}
