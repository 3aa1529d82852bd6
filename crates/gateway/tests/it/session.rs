//! A conversation without a socket: both ends of its connection are in the story's hands, and so is time.

use std::collections::HashMap;
use std::time::Duration;

use engine::session::settings::{self, Template};
use engine::session::{Policy, Session};
use gateway::auth::{Allowance, Principal, Scopes};
use gateway::edge::{Inbound, Line, Outbound, connection};
use gateway::metering::Opening;
use gateway::observe::Outcome;
use gateway::session::{Call, Entry, Left, Toolbox, run};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use wire::realtime::client::ClientAction;
use wire::realtime::{ClientEvent, ErrorBody, ServerEvent, SessionKind, SessionUpdate, decode};

use crate::world::{PATIENCE, World};

/// Longest that any of these sessions may run, in the time of the story.
const LONG: Duration = Duration::from_mins(1);

fn opening() -> Opening {
    Opening {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        model: "gpt-realtime".to_owned(),
        pipeline: "scripted".to_owned(),
        started_at: 0,
    }
}

/// A server that keeps nothing for good: its disk would be waited for in real time, while the time of a story stands.
async fn world() -> World {
    World::start(|config| config.conversations.keep = false).await
}

/// Starts a conversation under `policy` whose client has room for so many events.
fn start(world: &World, policy: Policy, events: usize) -> (JoinHandle<Left>, Line) {
    let app = world.app();
    let template = Template {
        id: "sess_story".to_owned(),
        kind: SessionKind::Realtime,
        model: "gpt-realtime".to_owned(),
        instructions: String::new(),
        voice: "alloy".to_owned(),
        expires_at: 0,
    };
    let wanted = json!({ "type": "realtime", "audio": { "input": { "turn_detection": null } } });
    let wanted: SessionUpdate = decode::session_update(&wanted, "session").unwrap();
    let settings = settings::effective(template, &wanted).unwrap();
    let session = Box::new(Session::new(settings, policy, 1));
    let active = app.sessions.enter().unwrap().of("default", 0).unwrap();
    let who = Principal {
        tenant: "default".to_owned(),
        project: "default".to_owned(),
        key_id: "bootstrap".to_owned(),
        scopes: Scopes::full(),
        allowance: Allowance {
            plan: "enterprise".to_owned(),
            ..Allowance::default()
        },
        stored_session: None,
    };
    let tab = app.quotas.open(&app.config, &who, &active);
    let call = Call {
        counted: app.meter.attach("sess_story", tab),
        pipeline: app.catalog().unwrap().default_pipeline(),
        tenant: "default".to_owned(),
        account: app.meter.open("sess_story", opening()),
        entry: Entry::new(app, who.place(), &session),
        session,
        meter: app.meter.clone(),
        toolbox: Toolbox::new(app.agents.outbound().clone(), HashMap::new(), Vec::new()),
        active,
        clock: app.clock.clone(),
        metrics: app.metrics.clone(),
        lifecycle: app.lifecycle.clone(),
    };
    let (edge, line) = connection(events);
    (tokio::spawn(run(call, edge)), line)
}

async fn send(line: &Line, event: &Value) {
    let event = decode::client_event(&event.to_string()).unwrap();
    line.inbound
        .send(Inbound::Event(Box::new(event), None))
        .await
        .unwrap();
}

async fn next(line: &mut Line) -> Outbound {
    let next = tokio::time::timeout(PATIENCE, line.outbound.recv()).await;
    next.unwrap().unwrap()
}

async fn event(line: &mut Line) -> ServerEvent {
    match next(line).await {
        Outbound::Event(event, _room) => *event,
        other => panic!("{other:?}"),
    }
}

/// The code of the next event, which is an error.
async fn error_code(line: &mut Line) -> String {
    match event(line).await {
        ServerEvent::Error { error } => error.code.unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn outcome(session: JoinHandle<Left>) -> Outcome {
    let left = tokio::time::timeout(LONG, session).await.unwrap();
    left.unwrap().outcome
}

fn note(text: &str) -> Value {
    let content = json!([{ "type": "input_text", "text": text }]);
    json!({ "type": "conversation.item.create",
            "item": { "type": "message", "role": "system", "content": content } })
}

/// Fills the queue of a client that does not read, until the session waits for it.
async fn keep_waiting(line: &Line) {
    for _ in 0..2 {
        send(line, &json!({ "type": "input_audio_buffer.clear" })).await;
    }
    // `session.created` has filled the queue, the first answer waits, the second event is not looked at
    while line.inbound.waiting() > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_closed_for_bytes_as_well_as_for_events() {
    let world = world().await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let (session, mut line) = start(&world, Policy::default(), 1024);
    // 40 events of 1 MiB and less than a dozen others
    let heavy = "x".repeat(1024 * 1024);
    let update = json!({ "type": "session.update", "session": {
        "type": "realtime", "instructions": heavy } });
    for _ in 0..40 {
        send(&line, &update).await;
    }
    assert_eq!(outcome(session).await, Outcome::Unresponsive);
    assert!(begun.elapsed() >= Duration::from_secs(10));
    let mut bytes = 0;
    loop {
        match next(&mut line).await {
            Outbound::Event(event, _) => bytes += event.weight(),
            Outbound::Close(closing) => break assert_eq!(closing.code, 1008),
            Outbound::FirstAudio(_) => {}
        }
    }
    assert!((14 << 20..20 << 20).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_client_that_reads_late_loses_nothing() {
    let world = world().await;
    let (session, mut line) = start(&world, Policy::default(), 1024);
    let update = json!({ "type": "session.update", "session": {
        "type": "realtime", "instructions": "x".repeat(1024 * 1024) } });
    for _ in 0..40 {
        send(&line, &update).await;
    }
    let mut updates = 0;
    while updates < 40 {
        if let ServerEvent::SessionUpdated { .. } = event(&mut line).await {
            updates += 1;
        }
    }
    drop(line.inbound);
    assert_eq!(outcome(session).await, Outcome::ClientClosed);
}

#[tokio::test]
async fn a_session_that_waits_for_its_client_notices_that_it_has_gone() {
    let world = world().await;
    tokio::time::pause();
    let (session, line) = start(&world, Policy::default(), 1);
    keep_waiting(&line).await;
    let begun = tokio::time::Instant::now();
    line.left.send(Outcome::ConnectionLost).unwrap();
    assert_eq!(outcome(session).await, Outcome::ConnectionLost);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_session_that_waits_for_its_client_can_be_stopped() {
    let world = world().await;
    tokio::time::pause();
    let (session, mut line) = start(&world, Policy::default(), 1);
    keep_waiting(&line).await;
    let begun = tokio::time::Instant::now();
    world.app().lifecycle.hard().cancel();
    assert_eq!(outcome(session).await, Outcome::Shutdown);
    assert!(begun.elapsed() < Duration::from_secs(1));
    let code = loop {
        if let Outbound::Close(closing) = next(&mut line).await {
            break closing.code;
        }
    };
    assert_eq!(code, 1001);
}

#[tokio::test]
async fn frames_that_are_refused_do_not_stop_the_time_of_a_session() {
    let world = world().await;
    let (session, mut line) = start(&world, Policy::default(), 1024);
    assert!(matches!(
        event(&mut line).await,
        ServerEvent::SessionCreated { .. }
    ));
    world.app().clock.advance(Duration::from_hours(1));
    for _ in 0..3 {
        let error = ErrorBody::invalid("invalid_event", "nonsense");
        line.inbound
            .try_send(Inbound::Rejected(Box::new(error)))
            .unwrap();
    }
    assert_eq!(error_code(&mut line).await, "invalid_event");
    assert_eq!(error_code(&mut line).await, "session_expired");
    assert!(matches!(
        next(&mut line).await,
        Outbound::Close(closing) if closing.code == 1001
    ));
    assert_eq!(outcome(session).await, Outcome::Expired);
}

#[tokio::test]
async fn an_append_without_room_is_refused_once() {
    let world = world().await;
    let policy = Policy {
        max_buffer_bytes: 3000,
        ..Policy::default()
    };
    let (session, mut line) = start(&world, policy, 1024);
    let slice = bytes::Bytes::from(vec![0; 2000]);
    let append = ClientEvent {
        event_id: Some("e9".to_owned()),
        action: ClientAction::AudioAppend(slice.clone()),
    };
    let slices = [
        Inbound::Audio(slice.clone()),
        Inbound::MoreAudio(slice.clone()),
        Inbound::MoreAudio(slice.clone()),
        Inbound::MoreAudio(slice.clone()),
        // another append, which has an id and does not fit either
        Inbound::Event(Box::new(append), None),
        Inbound::MoreAudio(slice),
    ];
    for slice in slices {
        line.inbound.send(slice).await.unwrap();
    }
    send(&line, &note("the end")).await;
    let mut refused = Vec::new();
    loop {
        match event(&mut line).await {
            ServerEvent::Error { error } => {
                assert_eq!(error.code.as_deref(), Some("input_audio_buffer_full"));
                refused.push(error.event_id);
            }
            ServerEvent::ItemDone { .. } => break,
            _ => {}
        }
    }
    assert_eq!(refused, [None, Some("e9".to_owned())]);
    drop(line.inbound);
    outcome(session).await;
}
