//! Clients that come back: to the same server, to another one, to one that took over from a dead one.

use std::time::Duration;

use gateway::config::Secret;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::caller::Caller;
use crate::redis_servers::{Servers, ask, until};
use crate::world::{KEY, PATIENCE, World};

const PATH: &str = "/v1/realtime?model=gpt-realtime";

fn written() -> Value {
    json!({ "type": "realtime", "output_modalities": ["text"], "instructions": "Be brief." })
}

fn back(session: &str) -> String {
    format!("/v1/realtime?session_id={session}")
}

/// A gateway on `servers`; without any, one that is alone.
async fn gateway(servers: Option<&Servers>, token_ms: u64) -> World {
    World::start(|config| {
        if let Some(servers) = servers {
            config.redis.url = Some(Secret::new(servers.url.as_str()));
        }
        config.scripted.token_ms = token_ms;
    })
    .await
}

/// The texts of what was said, as the conversation has them now.
async fn conversation(caller: &mut Caller, ids: &[String]) -> Vec<String> {
    let mut texts = Vec::new();
    for id in ids {
        let event = json!({ "type": "conversation.item.retrieve", "item_id": id });
        caller.send(&event).await;
        let item = caller.until("conversation.item.retrieved").await["item"].clone();
        let text = item["content"][0]["text"].as_str().unwrap_or_default();
        texts.push(format!("{} {text}", item["status"].as_str().unwrap()));
    }
    texts
}

fn ids(events: &[Value]) -> Vec<String> {
    let added = events
        .iter()
        .filter(|event| event["type"] == "conversation.item.added");
    added
        .map(|event| event["item"]["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until the client of a session counts as gone.
async fn parted(world: &World, session: &str) {
    until("the client has gone", || async {
        let app = world.app();
        let found = app
            .store
            .live
            .sessions
            .find("default", session, app.clock.utc());
        let found = found.await.unwrap();
        found.is_some_and(|it| it.holding == store::live::sessions::Holding::Parted)
    })
    .await;
}

/// A conversation of one question and answer, whose line is then dead.
async fn talked(world: &World) -> (String, Vec<Value>) {
    let mut caller = Caller::call(world, PATH, &written()).await;
    caller.write("hello").await;
    caller.until("response.done").await;
    caller.until("rate_limits.updated").await;
    let session = caller.session_id().to_owned();
    (session, caller.drop_line())
}

#[tokio::test]
async fn a_client_comes_back_to_its_session() {
    for servers in [None, Some(Servers::single().await)] {
        let one = gateway(servers.as_ref(), 1).await;
        let (session, events) = talked(&one).await;
        let other = match &servers {
            Some(servers) => gateway(Some(servers), 1).await,
            None => one,
        };
        parted(&other, &session).await;
        let last = events.last().unwrap()["event_id"].as_str().unwrap();
        let path = format!("{}&last_event_id={last}", back(&session));
        let mut caller = Caller::connect(&other, &path, KEY).await;
        assert_eq!(caller.session_id(), session);
        let settings = &caller.events[0]["session"];
        assert_eq!(settings["instructions"], "Be brief.");
        assert_eq!(
            settings["expires_at"], events[0]["session"]["expires_at"],
            "its time goes on as well"
        );
        let resumed = caller.until("session.resumed").await;
        assert_eq!(
            (
                &resumed["complete"],
                &resumed["replayed"],
                &resumed["items"]
            ),
            (&json!(true), &json!(0), &json!([]))
        );
        caller.write("and again").await;
        let done = caller.until("response.done").await;
        let answer = done["response"]["output"][0]["content"][0]["text"].as_str();
        assert!(answer.is_some_and(|it| !it.is_empty()), "{done}");
        let mut all = ids(&events);
        all.extend(ids(&caller.events));
        let texts = conversation(&mut caller, &all).await;
        assert_eq!(texts.len(), 4);
        assert_eq!(
            (texts[0].as_str(), texts[2].as_str()),
            ("completed hello", "completed and again")
        );
        assert_eq!(
            done["response"]["conversation_id"],
            events
                .iter()
                .find(|it| it["type"] == "response.done")
                .unwrap()["response"]["conversation_id"]
        );
        // what is kept for good is one conversation
        caller.hang_up().await;
        let sql = &other.app().store.sql;
        if servers.is_none() {
            until("all of it is in the database", || async {
                let stored = sql.find_session("default", &session).await.unwrap();
                let Some(stored) = stored else { return false };
                let key = store::SessionKey::new("default", &session, stored.started_at);
                let items = sql.last_items(&key, 100).await.unwrap();
                stored.outcome.as_deref() == Some("client_closed") && items.len() == 4
            })
            .await;
        }
    }
}

#[tokio::test]
async fn what_a_client_missed_is_sent_again_in_order() {
    let servers = Servers::single().await;
    let (one, other) = (
        gateway(Some(&servers), 5).await,
        gateway(Some(&servers), 5).await,
    );
    let mut caller = Caller::call(&one, PATH, &written()).await;
    caller.write("tell me a story about a very long road").await;
    let seen = caller.until("response.created").await;
    let session = caller.session_id().to_owned();
    // it goes on reading nothing until its line is dead
    let first = caller.until("response.output_text.delta").await;
    let last = seen["event_id"].as_str().unwrap();
    drop(caller.drop_line());
    parted(&other, &session).await;
    let path = format!("{}&last_event_id={last}", back(&session));
    let mut caller = Caller::connect(&other, &path, KEY).await;
    let resumed = caller.until("session.resumed").await;
    assert_eq!(
        (&resumed["complete"], &resumed["items"]),
        (&json!(true), &json!([]))
    );
    let done = caller.until("response.done").await;
    assert_eq!(done["response"]["id"], seen["response"]["id"]);
    assert_eq!(done["response"]["status"], "incomplete");
    assert_eq!(
        done["response"]["status_details"]["reason"],
        "connection_lost"
    );
    caller.until("rate_limits.updated").await;
    let replayed = resumed["replayed"].as_u64().unwrap() as usize;
    assert_eq!(caller.events.len(), 2 + replayed, "{:?}", caller.kinds());
    let again: Vec<&Value> = caller.events[2..].iter().collect();
    assert!(
        again.iter().any(|event| **event == first),
        "the very same event"
    );
    let text: String = again
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .map(|event| event["delta"].as_str().unwrap())
        .collect();
    assert_eq!(done["response"]["output"][0]["content"][0]["text"], *text);
    let mut event_ids: Vec<_> = again.iter().map(|it| it["event_id"].to_string()).collect();
    event_ids.sort_unstable();
    event_ids.dedup();
    assert_eq!(event_ids.len(), replayed, "nothing twice");
}

#[tokio::test]
async fn of_a_backlog_that_is_too_small_the_client_is_told() {
    let world = World::start(|config| config.sessions.replay_bytes = 600).await;
    let (session, events) = talked(&world).await;
    parted(&world, &session).await;
    let created = events[0]["event_id"].as_str().unwrap();
    let path = format!("{}&last_event_id={created}", back(&session));
    let mut caller = Caller::connect(&world, &path, KEY).await;
    let resumed = caller.until("session.resumed").await;
    assert_eq!(resumed["complete"], false);
    let items: Vec<_> = resumed["items"].as_array().unwrap().iter().collect();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["content"][0]["text"], "hello");
    assert_eq!(items[1]["role"], "assistant");
}

#[tokio::test]
async fn a_second_connection_takes_the_session_from_the_first() {
    let servers = Servers::single().await;
    let (one, other) = (
        gateway(Some(&servers), 1).await,
        gateway(Some(&servers), 1).await,
    );
    for second in [&one, &other] {
        let mut caller = Caller::call(&one, PATH, &written()).await;
        caller.write("hello").await;
        let done = caller.until("response.done").await;
        let session = caller.session_id().to_owned();
        let mut back = Caller::connect(second, &back(&session), KEY).await;
        let error = caller.until("error").await;
        assert_eq!(error["error"]["code"], "session_moved");
        assert_eq!(caller.until_closed().await, 4005);
        back.until("session.resumed").await;
        back.until("rate_limits.updated").await;
        assert!(back.events.contains(&done), "{:?}", back.kinds());
        back.write("still there?").await;
        back.until("response.done").await;
    }
}

#[tokio::test]
async fn a_plan_of_one_conversation_lets_its_client_come_back() {
    let world = World::start(|_| {}).await;
    let made = world.tenant("small").await;
    let key = made["api_key"]["key"].as_str().unwrap().to_owned();
    let limits = json!({ "limits": { "concurrent_sessions": 1 } });
    let path = "/v1/admin/tenants/small";
    let patched = world.request(reqwest::Method::PATCH, path).json(&limits);
    assert_eq!(patched.send().await.unwrap().status(), 200);
    let first = Caller::connect(&world, PATH, &key).await;
    let session = first.session_id().to_owned();
    let mut second = Caller::connect(&world, &back(&session), &key).await;
    second.until("session.resumed").await;
    drop(first);
}

#[tokio::test]
async fn a_server_that_stops_tells_its_clients_where_to_go_on() {
    let servers = Servers::single().await;
    let (one, other) = (
        gateway(Some(&servers), 1).await,
        gateway(Some(&servers), 1).await,
    );
    let mut caller = Caller::call(&one, PATH, &written()).await;
    caller.write("hello").await;
    caller.until("response.done").await;
    caller.until("rate_limits.updated").await;
    let session = caller.session_id().to_owned();
    let (server, _folder) = one.into_server();
    let stopping = tokio::spawn(server.stop(Duration::from_secs(30)));
    let error = caller.until("error").await;
    assert_eq!(error["error"]["code"], "server_shutting_down");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("session_id={session}")),
        "{message}"
    );
    assert_eq!(caller.until_closed().await, 1001);
    let last = caller.events[caller.events.len() - 2]["event_id"].clone();
    drop(caller);
    stopping.await.unwrap();
    let path = format!(
        "{}&last_event_id={}",
        back(&session),
        last.as_str().unwrap()
    );
    let mut caller = Caller::connect(&other, &path, KEY).await;
    let resumed = caller.until("session.resumed").await;
    assert_eq!(
        (&resumed["complete"], &resumed["replayed"]),
        (&json!(true), &json!(0))
    );
    caller.write("where were we?").await;
    caller.until("response.done").await;
}

/// The code of the error, and of the close, of a connection that is refused.
pub(crate) async fn refused(world: &World, path: &str, key: &str) -> (Value, u16) {
    use futures_util::StreamExt as _;
    let url = world.url(path).replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    let key = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    let (mut socket, _) = connect_async(request).await.unwrap();
    let mut error = Value::Null;
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await;
        match message.unwrap().unwrap().unwrap() {
            tokio_tungstenite::tungstenite::Message::Text(text) => {
                error = serde_json::from_str(&text).unwrap();
            }
            tokio_tungstenite::tungstenite::Message::Close(frame) => {
                return (error, frame.unwrap().code.into());
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn nobody_goes_on_with_the_session_of_another() {
    let world = World::start(|_| {}).await;
    let (session, _) = talked(&world).await;
    parted(&world, &session).await;
    let made = world.tenant("rival").await;
    let rival = made["api_key"]["key"].as_str().unwrap().to_owned();
    let (missing, code) = refused(&world, &back("sess_nobodys"), &rival).await;
    assert_eq!(
        (&missing["error"]["code"], code),
        (&json!("session_not_found"), 4004)
    );
    let (of_another, code) = refused(&world, &back(&session), &rival).await;
    assert_eq!(code, 4004);
    let shape = |error: &Value, id: &str| {
        let mut error = error["error"].clone();
        let message = error["message"].as_str().unwrap().replace(id, "ID");
        error["message"] = json!(message);
        error
    };
    assert_eq!(
        shape(&of_another, &session),
        shape(&missing, "sess_nobodys")
    );
    for id in ["", "sess_%7Bx%7D", &"s".repeat(2000)] {
        let (error, code) = refused(&world, &back(id), KEY).await;
        assert_eq!(
            (&error["error"]["code"], code),
            (&json!("session_not_found"), 4004)
        );
    }
    // its own client still can
    let mut caller = Caller::connect(&world, &back(&session), KEY).await;
    caller.until("session.resumed").await;
}

#[tokio::test]
async fn a_session_that_has_come_to_its_end_is_over() {
    let world = World::start(|_| {}).await;
    let (session, _) = talked(&world).await;
    parted(&world, &session).await;
    world.app().clock.advance(Duration::from_mins(59));
    let mut caller = Caller::connect(&world, &back(&session), KEY).await;
    caller.until("session.resumed").await;
    world.app().clock.advance(Duration::from_mins(2));
    // what it was is not lengthened by coming back
    caller
        .send(&json!({ "type": "input_audio_buffer.clear" }))
        .await;
    assert_eq!(
        caller.until("error").await["error"]["code"],
        "session_expired"
    );
    assert_eq!(caller.until_closed().await, 1001);
    drop(caller);
    let (error, _) = refused(&world, &back(&session), KEY).await;
    assert_eq!(error["error"]["code"], "session_not_found");
}

#[tokio::test]
async fn sessions_are_there_again_after_redis_was_restarted_empty() {
    let mut servers = Servers::single().await;
    let one = gateway(Some(&servers), 1).await;
    let mut caller = Caller::call(&one, PATH, &written()).await;
    caller.write("before").await;
    caller.until("response.done").await;
    let session = caller.session_id().to_owned();
    servers.nodes[0].kill();
    caller.write("meanwhile").await;
    caller.until("response.done").await;
    servers.nodes[0].restart().await;
    until("redis is found again", || async {
        one.app().store.live.link().unwrap().ping().await.is_ok()
    })
    .await;
    let known: Option<u64> = ask(servers.nodes[0].port, &["DBSIZE"]).await;
    assert!(known.is_some());
    caller.write("after").await;
    caller.until("response.done").await;
    caller.until("rate_limits.updated").await;
    let all = ids(&caller.events);
    drop(caller.drop_line());
    let other = gateway(Some(&servers), 1).await;
    parted(&other, &session).await;
    let mut caller = Caller::connect(&other, &back(&session), KEY).await;
    let texts = conversation(&mut caller, &all).await;
    let said: Vec<_> = texts.iter().step_by(2).map(String::as_str).collect();
    assert_eq!(
        said,
        ["completed before", "completed meanwhile", "completed after"]
    );
}
