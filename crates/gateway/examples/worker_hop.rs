//! What the hop to a worker costs: from a piece of text to its first audio, here and over Redis, and from a cancel to
//! the worker's free place. Run by hand: `cargo run -p antiphon-gateway --example worker_hop -- REDIS_URL`.
//! Prints numbers for `docs/performance.md`; never a test.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use std::io::Write as _;
use std::time::Duration;

use engine::ask::SpeakOptions;
use gateway::Config;
use gateway::config::Secret;
use gateway::lifecycle::Lifecycle;
use gateway::metering::{self, Meter};
use gateway::observe::Metrics;
use gateway::remote::{Surroundings, workers};
use gateway::worker::{Plan, Worker};
use providers::guarded::Watch;
use providers::ports::{Piece, Tts, TtsStream};
use providers::{Catalog, Workers};
use store::live::{Link, Queue, WorkKind, WorkLimits};
use tokio::time::Instant;

const ROUNDS: usize = 500;

fn voice() -> SpeakOptions {
    SpeakOptions {
        session: "sess_hop".to_owned(),
        turn: 1,
        voice: "alloy".to_owned(),
        speed: 1.0,
        preferred_rate_hz: 24_000,
    }
}

async fn speak(tts: &dyn Tts, text: &str) -> TtsStream {
    let stream = loop {
        // the reader of the answers needs a moment to begin
        match tts.open(voice()).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let text = text.to_owned();
    stream.pieces.send(Piece { index: 0, text }).await.unwrap();
    stream
}

async fn first_audio(tts: &dyn Tts) -> Duration {
    let begun = Instant::now();
    let TtsStream { pieces, mut events } = speak(tts, "Hello there.").await;
    events.recv().await.unwrap();
    let took = begun.elapsed();
    drop(pieces);
    while events.recv().await.is_some() {}
    took
}

fn tell(what: &str, mut all: Vec<Duration>) {
    all.sort();
    let at = |share: usize| all[all.len() * share / 100].as_micros();
    let (p50, p95) = (at(50), at(95));
    let _ = writeln!(
        std::io::stdout(),
        "{what}: p50 {p50} us, p95 {p95} us of {}",
        all.len()
    );
}

#[tokio::main]
async fn main() {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let mut config = Config::default();
    config.redis.url = Some(Secret::new(url.as_str()));
    "scripted".clone_into(&mut config.pipeline.name);
    "127.0.0.1:0".clone_into(&mut config.worker.listen);
    // slow enough that a cancel finds it at work
    config.scripted.speech_pace_percent = 100;
    config.scripted.speech_ms_per_char = 10;
    let here = Catalog::open(config.catalog().unwrap(), Watch::default()).unwrap();
    let here = here.default_pipeline().tts;
    // threads of its own: in earnest it is another process
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let plan = Plan::of(vec![WorkKind::Tts]);
    let worker = runtime
        .spawn(Worker::start(config, plan))
        .await
        .unwrap()
        .unwrap();
    let link = Link::open(&url, "antiphon").await.unwrap();
    let metrics = Metrics::default();
    let around = Surroundings {
        meter: Meter::new(metering::load(None).unwrap(), metrics.clone()),
        metrics,
        lifecycle: Lifecycle::default(),
    };
    let Workers { tts: there, .. } = workers(&link, WorkLimits::default(), &around);
    let (mut near, mut far, mut cancels) = (Vec::new(), Vec::new(), Vec::new());
    for tts in [&here, &there] {
        first_audio(tts.as_ref()).await;
    }
    for _ in 0..ROUNDS {
        near.push(first_audio(here.as_ref()).await);
        far.push(first_audio(there.as_ref()).await);
    }
    let queue = Queue::new(link, WorkKind::Tts, WorkLimits::default());
    for _ in 0..ROUNDS / 5 {
        let mut stream = speak(there.as_ref(), &"a long sentence ".repeat(60)).await;
        stream.events.recv().await.unwrap();
        let begun = Instant::now();
        drop(stream);
        while queue.standing().await.unwrap().running > 0 {}
        cancels.push(begun.elapsed());
    }
    tell("first audio in this process", near);
    tell("first audio from a worker", far);
    tell("cancel to the end of the synthesis", cancels);
    worker.stop(Duration::from_secs(5)).await;
    runtime.shutdown_background();
}
