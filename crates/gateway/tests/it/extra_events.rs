//! Events of ours that a client gets when it asks for them: another voice speaks.

use futures_util::StreamExt as _;
use gateway::config::{NamedPipeline, Provider};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::caller::Caller;
use crate::world::{KEY, World};

const PATH: &str = "/v1/realtime?model=fallen";

/// A server whose first voice is where nobody listens.
async fn world() -> World {
    World::start(|config| {
        let nowhere = Provider {
            kind: Some("openai".to_owned()),
            base_url: Some("http://127.0.0.1:9/v1".to_owned()),
            ..Provider::default()
        };
        config.providers.insert("nowhere".to_owned(), nowhere);
        let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
        let pipeline = NamedPipeline {
            stt: list(&["scripted"]),
            llm: list(&["scripted"]),
            tts: list(&["nowhere", "scripted"]),
            ..NamedPipeline::default()
        };
        config.pipelines.insert("fallen".to_owned(), pipeline);
    })
    .await
}

fn quiet() -> Value {
    json!({ "type": "realtime", "audio": { "input": { "turn_detection": null } } })
}

/// The events about the voice in an answer, and the answer.
async fn answered(caller: &mut Caller) -> (Vec<Value>, Value) {
    let from = caller.events.len();
    caller.write("hello").await;
    let done = caller.until("response.done").await;
    let ours = caller.events[from..].iter();
    let ours = ours.filter(|event| event["type"] == "tts.degraded");
    (ours.cloned().collect(), done["response"].clone())
}

#[tokio::test]
async fn who_asks_is_told_once_a_reply_and_nobody_else_is() {
    let world = world().await;
    let mut asking = Caller::call(
        &world,
        &format!("{PATH}&extra_events=tts.degraded"),
        &quiet(),
    )
    .await;
    let mut other = Caller::call(&world, PATH, &quiet()).await;
    // often enough for the voice to be left alone: it is another one all the same
    for _ in 0..8 {
        let (told, response) = answered(&mut asking).await;
        assert_eq!(response["status"], "completed");
        let [event] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(event["response_id"], response["id"]);
        assert_eq!(
            (&event["from"], &event["to"]),
            (&json!("nowhere"), &json!("scripted"))
        );
        assert_eq!(event["reason"], "provider_unavailable");
        assert!(event["event_id"].is_string());
    }
    let (told, response) = answered(&mut other).await;
    assert_eq!((told.len(), &response["status"]), (0, &json!("completed")));
}

#[tokio::test]
async fn a_client_that_comes_back_or_has_a_client_secret_asks_in_the_same_way() {
    let world = world().await;
    let made = world.post(
        "/v1/realtime/client_secrets",
        &json!({ "session": quiet() }),
    );
    let made: Value = made.send().await.unwrap().json().await.unwrap();
    let secret = made["value"].as_str().unwrap();
    // a mistake does not use the secret up
    let wrong = format!("{PATH}&extra_events=tts.better");
    assert_eq!(
        refusal(&world, &wrong, secret).await.0,
        StatusCode::BAD_REQUEST
    );
    let path = format!("{PATH}&extra_events=tts.degraded");
    let mut caller = Caller::connect(&world, &path, secret).await;
    assert_eq!(answered(&mut caller).await.0.len(), 1);

    let session = caller.session_id().to_owned();
    let mut last = last_event(caller);
    for (extra, told) in [("&extra_events=tts.degraded", 1), ("", 0)] {
        let extra = format!("&last_event_id={last}{extra}");
        let back = format!("/v1/realtime?session_id={session}{extra}");
        let mut caller = Caller::connect(&world, &back, KEY).await;
        caller.until("session.resumed").await;
        assert_eq!(answered(&mut caller).await.0.len(), told, "{extra}");
        last = last_event(caller);
    }
}

/// Id of the last event of a client whose line is dead from now on.
fn last_event(caller: Caller) -> String {
    let events = caller.drop_line();
    let last = events.last().unwrap()["event_id"].as_str().unwrap();
    last.to_owned()
}

/// What a connection that is refused before the upgrade is answered.
async fn refusal(world: &World, path: &str, key: &str) -> (StatusCode, Value) {
    let mut request = world
        .url(path)
        .replacen("http", "ws", 1)
        .into_client_request()
        .unwrap();
    let key = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    match connect_async(request).await {
        Err(Error::Http(answer)) => {
            let body = answer.body().as_deref().unwrap_or_default();
            let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
            (status, serde_json::from_slice(body).unwrap())
        }
        Err(error) => panic!("{error}"),
        Ok((mut socket, _)) => panic!("{:?}", socket.next().await),
    }
}

#[tokio::test]
async fn an_event_that_there_is_not_is_refused_with_those_that_there_are() {
    let world = world().await;
    for list in [
        "nonsense",
        "tts.degraded,nonsense",
        "session.created,nonsense",
    ] {
        let (status, told) = refusal(&world, &format!("{PATH}&extra_events={list}"), KEY).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let error = &told["error"];
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("invalid_value"), &json!("extra_events"))
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("tts.degraded"), "{message}");
    }
}
