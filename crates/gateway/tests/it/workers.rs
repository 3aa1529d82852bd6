//! Gateways and workers over a real Redis: what comes of a worker's death, of a cancel, and of a failure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::ask::{LlmMessage, LlmRequest, SttOptions};
use gateway::Config;
use gateway::config::{NamedPipeline, Provider};
use gateway::lifecycle::Drained;
use providers::Kind;
use providers::ports::{LlmEvent, Piece, SttCommand, SttEvent, TtsEvent, TtsStream};
use serde_json::{Value, json};
use store::live::{Queue, WorkKind};

use crate::caller::Caller;
use crate::redis_servers::{Servers, until};
use crate::worker_desk::{
    Desk, Heard, LIMITS, Process, REPLY, next, of, paced, said_here, speak, voice,
};
use crate::world::World;

#[tokio::test]
async fn a_conversation_goes_through_workers_as_it_would_here() {
    let servers = Servers::single().await;
    let _worker = Process::start(&servers, &WorkKind::ALL, |_| {}).await;
    let world = World::start(of(&servers.url)).await;
    let mut caller = Caller::call(&world, "/v1/realtime?model=workers", &session()).await;
    caller.write("Hello, who is there?").await;
    let done = caller.until("response.done").await;
    assert_eq!(done["response"]["status"], "completed", "{done}");
    let here = World::start(|_| {}).await;
    let mut same = Caller::call(&here, "/v1/realtime?model=gpt-realtime", &session()).await;
    same.write("Hello, who is there?").await;
    same.until("response.done").await;
    assert!(audio(&caller) == audio(&same), "not the same sound");
    assert_eq!(words(&caller), words(&same));
}

fn session() -> Value {
    json!({ "type": "realtime", "audio": { "input": { "turn_detection": null } } })
}

fn audio(caller: &Caller) -> Vec<u8> {
    let kind = "response.output_audio.delta";
    let deltas = caller.events.iter().filter(|event| event["type"] == kind);
    let mut bytes = Vec::new();
    for delta in deltas {
        let text = delta["delta"].as_str().unwrap();
        bytes.extend(STANDARD.decode(text).unwrap());
    }
    bytes
}

fn words(caller: &Caller) -> String {
    let kind = "response.output_audio_transcript.delta";
    let deltas = caller.events.iter().filter(|event| event["type"] == kind);
    deltas.map(|it| it["delta"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_reply_survives_the_death_of_the_worker_that_speaks_it() {
    let servers = Servers::single().await;
    let mut first = Process::start(&servers, &WorkKind::ALL, paced).await;
    let world = World::start(of(&servers.url)).await;
    let mut caller = Caller::call(&world, "/v1/realtime?model=workers", &session()).await;
    caller
        .write("say: One two three four five. Six seven eight nine ten.")
        .await;
    for _ in 0..2 {
        caller.until("response.output_audio.delta").await;
    }
    let second = Process::start(&servers, &WorkKind::ALL, paced).await;
    first.kill();
    let done = caller.until("response.done").await;
    assert_eq!(done["response"]["status"], "completed", "{done}");
    let here = World::start(|_| {}).await;
    let mut same = Caller::call(&here, "/v1/realtime?model=gpt-realtime", &session()).await;
    same.write("say: One two three four five. Six seven eight nine ten.")
        .await;
    same.until("response.done").await;
    assert!(audio(&caller) == audio(&same), "not the same sound");
    assert_eq!(words(&caller), words(&same));
    // and the worker that took over says so
    let metrics = second.metrics().await;
    assert!(
        metrics.contains("antiphon_worker_takeovers_total{kind=\"tts\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn speech_goes_on_at_the_sample_where_a_worker_died() {
    let servers = Servers::single().await;
    let desk = Desk::open(&servers).await;
    let mut first = Process::start(&servers, &[WorkKind::Tts], paced).await;
    let mut stream = speak(desk.workers.tts.as_ref(), &REPLY).await;
    let mut heard = Heard::default();
    // into the second piece
    while heard.pieces.len() < 2 {
        heard.note(next(&mut stream).await.unwrap());
    }
    let _second = Process::start(&servers, &[WorkKind::Tts], paced).await;
    first.kill();
    assert_eq!(heard.all(stream).await, said_here(&REPLY).await);
    desk.idle(WorkKind::Tts).await;
}

#[tokio::test]
async fn an_utterance_is_understood_once_whoever_dies() {
    let servers = Servers::single().await;
    let desk = Desk::open(&servers).await;
    let mut first = Process::start(&servers, &[WorkKind::Stt], |_| {}).await;
    let mut stream = desk.workers.stt.open(SttOptions::default()).await.unwrap();
    let frame = || SttCommand::Audio([0; 320].into());
    for _ in 0..50 {
        stream.commands.send(frame()).await.unwrap();
    }
    stream.commands.send(SttCommand::Pause).await.unwrap();
    let guess = stream.events.recv().await.unwrap();
    assert!(matches!(guess, SttEvent::Partial { .. }), "{guess:?}");
    first.kill();
    let _second = Process::start(&servers, &[WorkKind::Stt], |_| {}).await;
    stream.commands.send(SttCommand::Resume).await.unwrap();
    for _ in 0..50 {
        stream.commands.send(frame()).await.unwrap();
    }
    stream.commands.send(SttCommand::End).await.unwrap();
    let mut finals = Vec::new();
    while let Some(event) = stream.events.recv().await {
        match event {
            SttEvent::Final { audio_ms, .. } => finals.push(audio_ms),
            SttEvent::Failed(error) => panic!("{error}"),
            _ => {}
        }
    }
    assert_eq!(finals, [2000], "all of it, once");
}

fn question(text: &str) -> LlmRequest {
    LlmRequest {
        session: "sess_story".to_owned(),
        messages: vec![LlmMessage::User {
            text: text.to_owned(),
            images: Vec::new(),
        }],
        ..LlmRequest::default()
    }
}

#[tokio::test]
async fn an_answer_that_had_begun_is_not_begun_again() {
    let servers = Servers::single().await;
    let desk = Desk::open(&servers).await;
    let slow = |config: &mut Config| config.scripted.token_ms = 50;
    let mut first = Process::start(&servers, &[WorkKind::Llm], slow).await;
    let asked = desk
        .workers
        .llm
        .ask(question("say: a b c d e f g h i j k l m n o p q r s t"));
    let mut stream = asked.await.unwrap();
    let begun = stream.events.recv().await.unwrap();
    assert!(matches!(begun, LlmEvent::Text(_)), "{begun:?}");
    first.kill();
    let _second = Process::start(&servers, &[WorkKind::Llm], slow).await;
    let mut texts = 1;
    let error = loop {
        match stream.events.recv().await.unwrap() {
            LlmEvent::Text(_) => texts += 1,
            LlmEvent::Failed(error) => break error,
            other => panic!("{other:?}"),
        }
    };
    // retriable, so that a row of models goes on where this one stopped
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("has gone"), "{error}");
    assert!(texts < 20);
    assert!(stream.events.recv().await.is_none());
}

#[tokio::test]
async fn a_cancel_ends_a_running_synthesis() {
    let servers = Servers::single().await;
    let desk = Desk::open(&servers).await;
    let worker = Process::start(&servers, &[WorkKind::Tts], |config| {
        // as slow as speech is
        config.scripted.speech_pace_percent = 100;
    })
    .await;
    let long = "one sentence that takes a minute ".repeat(30);
    let mut stream = speak(desk.workers.tts.as_ref(), &[&long]).await;
    next(&mut stream).await.unwrap();
    drop(stream);
    until("the worker has stopped", || async {
        let metrics = worker.metrics().await;
        metrics.contains("antiphon_worker_jobs_total{kind=\"tts\",outcome=\"dropped\"} 1")
    })
    .await;
    desk.idle(WorkKind::Tts).await;
}

#[tokio::test]
async fn a_cancel_that_comes_before_the_work_wins() {
    let servers = Servers::single().await;
    let desk = Desk::open(&servers).await;
    let cancelled = speak(desk.workers.tts.as_ref(), &REPLY).await;
    drop(cancelled);
    desk.idle(WorkKind::Tts).await;
    let worker = Process::start(&servers, &[WorkKind::Tts], |_| {}).await;
    let stream = speak(desk.workers.tts.as_ref(), &REPLY).await;
    assert_eq!(Heard::default().all(stream).await, said_here(&REPLY).await);
    let metrics = worker.metrics().await;
    let jobs: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("antiphon_worker_jobs_total"))
        .collect();
    assert_eq!(
        jobs,
        ["antiphon_worker_jobs_total{kind=\"tts\",outcome=\"done\"} 1"]
    );
}

#[tokio::test]
async fn what_no_worker_can_do_fails_with_a_reason_and_is_kept() {
    let servers = Servers::single().await;
    let desk = Desk::open(&servers).await;
    let _worker = Process::start(&servers, &[WorkKind::Tts], |_| {}).await;
    let mut stream = speak(desk.workers.tts.as_ref(), &["please fail tts now"]).await;
    let Some(TtsEvent::Failed(error)) = next(&mut stream).await else {
        panic!("it should have failed");
    };
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(
        error.message.contains("the script lets synthesis fail"),
        "{error}"
    );
    let queue = Queue::new(desk.link.clone(), WorkKind::Tts, LIMITS);
    let letters = queue.letters(10).await.unwrap();
    assert_eq!((letters.len(), letters[0].tries.as_str()), (1, "3"));
    assert_eq!(letters[0].session, "sess_story");
    // the worker goes on
    let stream = speak(desk.workers.tts.as_ref(), &REPLY).await;
    assert_eq!(Heard::default().all(stream).await.ended, [0, 1, 2]);
}

#[tokio::test]
async fn a_gateway_is_told_when_a_worker_had_to_take_its_second_voice() {
    let servers = Servers::single().await;
    let desk = Desk::open(&servers).await;
    let _worker = Process::start(&servers, &[WorkKind::Tts], |config| {
        let broken = Provider {
            kind: Some("openai".to_owned()),
            // nobody listens there
            base_url: Some("http://127.0.0.1:9/v1".to_owned()),
            ..Provider::default()
        };
        config.providers.insert("kokoro".to_owned(), broken);
        let voices = NamedPipeline {
            tts: vec!["kokoro".to_owned(), "scripted".to_owned()],
            ..NamedPipeline::default()
        };
        config.pipelines.insert("voices".to_owned(), voices);
        config.pipeline.name = "voices".to_owned();
    })
    .await;
    let stream = speak(desk.workers.tts.as_ref(), &REPLY).await;
    let mut heard = Heard::default().all(stream).await;
    let [other] = &*std::mem::take(&mut heard.others) else {
        panic!("another voice is told once");
    };
    assert_eq!((&*other.from, &*other.to), ("kokoro", "scripted"));
    assert_eq!(heard, said_here(&REPLY).await);
    let metrics = desk.metrics.text();
    assert!(
        metrics.contains(
            "antiphon_provider_failovers_total{stage=\"tts\",from=\"kokoro\",to=\"scripted\"} 1"
        ),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_finishes_what_it_does() {
    let servers = Servers::single().await;
    let desk = Desk::open(&servers).await;
    let mut first = Process::start(&servers, &[WorkKind::Tts], paced).await;
    let mut stream = speak(desk.workers.tts.as_ref(), &REPLY).await;
    let mut heard = Heard::default();
    heard.note(next(&mut stream).await.unwrap());
    let worker = first.worker.take().unwrap();
    let stopping = tokio::spawn(worker.stop(Duration::from_secs(30)));
    // the text that is still to come is heard as well
    let text = "One more.".to_owned();
    stream.pieces.send(Piece { index: 3, text }).await.unwrap();
    let all = [&REPLY[..], &["One more."]].concat();
    assert_eq!(heard.all(stream).await, said_here(&all).await);
    assert_eq!(stopping.await.unwrap(), Drained::Clean);
    // and takes nothing new
    let stream = speak(desk.workers.tts.as_ref(), &REPLY).await;
    let _second = Process::start(&servers, &[WorkKind::Tts], |_| {}).await;
    assert_eq!(Heard::default().all(stream).await.ended, [0, 1, 2]);
}

#[tokio::test]
async fn more_than_a_session_takes_waits_at_the_worker() {
    let servers = Servers::single().await;
    let desk = Desk::open(&servers).await;
    let _worker = Process::start(&servers, &[WorkKind::Tts], |_| {}).await;
    // 3,600 slices of 50 ms: several times what may be on its way
    let long = "a".repeat(1000);
    let texts = [long.as_str(), &long, &long];
    let stream = speak(desk.workers.tts.as_ref(), &texts).await;
    let heard = Heard::default().all(stream).await;
    assert_eq!(heard, said_here(&texts).await);
}

#[tokio::test]
async fn a_redis_that_is_gone_is_told_at_once() {
    let mut servers = Servers::single().await;
    let desk = Desk::open(&servers).await;
    let _worker = Process::start(&servers, &[WorkKind::Tts], paced).await;
    let mut stream = speak(desk.workers.tts.as_ref(), &REPLY).await;
    next(&mut stream).await.unwrap();
    servers.nodes[0].kill();
    let error = loop {
        match next(&mut stream).await {
            Some(TtsEvent::Failed(error)) => break error,
            Some(_) => {}
            None => panic!("the reply ended"),
        }
    };
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(desk.workers.tts.open(voice()).await.is_err());
    servers.nodes[0].restart().await;
    until("workers and gateway find each other again", || async {
        let Ok(stream) = desk.workers.tts.open(voice()).await else {
            return false;
        };
        let text = REPLY[0].to_owned();
        let _ = stream.pieces.send(Piece { index: 0, text }).await;
        let TtsStream { pieces, mut events } = stream;
        drop(pieces);
        let mut ended = false;
        while let Some(event) = events.recv().await {
            ended |= event == TtsEvent::PieceDone { index: 0 };
        }
        ended
    })
    .await;
}
