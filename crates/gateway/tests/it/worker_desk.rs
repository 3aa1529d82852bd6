//! Workers that can die, a gateway's end of their queue, and what is heard there.
//! The stories of `workers` use it.

use engine::ask::{AnotherVoice, SpeakOptions};
use gateway::Config;
use gateway::config::Secret;
use gateway::lifecycle::Lifecycle;
use gateway::metering::{self, Meter};
use gateway::observe::Metrics;
use gateway::remote::{Surroundings, workers};
use gateway::worker::{Plan, Worker};
use providers::ports::{Piece, Tts, TtsEvent, TtsStream};
use providers::{Catalog, Workers};
use store::live::{Link, Queue, WorkKind, WorkLimits};
use tokio::runtime::Runtime;

use crate::redis_servers::{Servers, until};
use crate::world::{self, PATIENCE};

/// A dead worker is noticed sooner than in earnest, so that the stories are short.
pub(crate) const LIMITS: WorkLimits = WorkLimits {
    jobs: 100,
    messages: 50_000,
    bytes: 16 * 1024 * 1024,
    answers: 16_384,
    job_ms: 900_000,
    listener_ms: 15_000,
    takeover_ms: 1000,
    tries: 3,
    backoff_ms: 10,
    letters: 100,
    letters_ms: 600_000,
    kept_bytes: 1024,
};

/// A worker on threads of its own, so that it can die: its tasks and its connections end in the middle of what they do.
pub(crate) struct Process {
    runtime: Option<Runtime>,
    pub(crate) worker: Option<Worker>,
    _folder: tempfile::TempDir,
}

impl Process {
    pub(crate) async fn start(
        servers: &Servers,
        kinds: &[WorkKind],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = world::config(&folder);
        config.worker.listen = "127.0.0.1:0".to_owned();
        config.redis.url = Some(Secret::new(servers.url.as_str()));
        change(&mut config);
        let plan = Plan {
            limits: LIMITS,
            ..Plan::of(kinds.to_vec())
        };
        let runtime = Runtime::new().unwrap();
        let started = runtime.spawn(Worker::start(config, plan)).await;
        Self {
            runtime: Some(runtime),
            worker: Some(started.unwrap().unwrap()),
            _folder: folder,
        }
    }

    fn worker(&self) -> &Worker {
        self.worker.as_ref().unwrap()
    }

    /// Ends it at once, without a word to anybody.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.worker().address);
        let client = reqwest::Client::builder().build().unwrap();
        let answer = client.get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn of(url: &str) -> impl FnOnce(&mut Config) {
    let url = url.to_owned();
    move |config| {
        config.redis.url = Some(Secret::new(url));
        config.pipeline.name = Workers::NAME.to_owned();
    }
}

/// A gateway's end of the queue, without a gateway.
pub(crate) struct Desk {
    pub(crate) workers: Workers,
    pub(crate) metrics: Metrics,
    pub(crate) link: Link,
    lifecycle: Lifecycle,
}

impl Desk {
    pub(crate) async fn open(servers: &Servers) -> Self {
        let link = Link::open(&servers.url, "antiphon").await.unwrap();
        let (metrics, lifecycle) = (Metrics::default(), Lifecycle::default());
        let around = Surroundings {
            meter: Meter::new(metering::load(None).unwrap(), metrics.clone()),
            metrics: metrics.clone(),
            lifecycle: lifecycle.clone(),
        };
        Self {
            workers: workers(&link, LIMITS, &around),
            metrics,
            link,
            lifecycle,
        }
    }

    pub(crate) async fn idle(&self, kind: WorkKind) {
        let queue = Queue::new(self.link.clone(), kind, LIMITS);
        until("nothing waits and nothing runs", || async {
            let standing = queue.standing().await.unwrap();
            standing.waiting == 0 && standing.running == 0
        })
        .await;
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.lifecycle.hard().cancel();
    }
}

pub(crate) fn voice() -> SpeakOptions {
    SpeakOptions {
        session: "sess_story".to_owned(),
        turn: 1,
        voice: "alloy".to_owned(),
        speed: 1.0,
        preferred_rate_hz: 24_000,
    }
}

pub(crate) async fn speak(tts: &dyn Tts, texts: &[&str]) -> TtsStream {
    let stream = tts.open(voice()).await.unwrap();
    for (index, text) in (0..).zip(texts) {
        let text = (*text).to_owned();
        stream.pieces.send(Piece { index, text }).await.unwrap();
    }
    stream
}

pub(crate) async fn next(stream: &mut TtsStream) -> Option<TtsEvent> {
    tokio::time::timeout(PATIENCE, stream.events.recv())
        .await
        .unwrap()
}

/// What is heard: the samples of each piece, and the order in which pieces ended.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Heard {
    pub(crate) pieces: Vec<Vec<i16>>,
    pub(crate) ended: Vec<u32>,
    /// Voices that took over.
    pub(crate) others: Vec<AnotherVoice>,
}

impl Heard {
    pub(crate) fn note(&mut self, event: TtsEvent) {
        match event {
            TtsEvent::Audio { index, samples, .. } => {
                self.pieces
                    .resize(self.pieces.len().max(index as usize + 1), Vec::new());
                self.pieces[index as usize].extend_from_slice(&samples);
            }
            TtsEvent::PieceDone { index } => self.ended.push(index),
            TtsEvent::Another(voice) => self.others.push(*voice),
            TtsEvent::Failed(error) => panic!("{error}"),
        }
    }

    /// Everything up to the end.
    pub(crate) async fn all(mut self, stream: TtsStream) -> Self {
        let TtsStream { pieces, events } = stream;
        drop(pieces);
        let (pieces, _) = tokio::sync::mpsc::channel(1);
        let mut stream = TtsStream { pieces, events };
        while let Some(event) = next(&mut stream).await {
            self.note(event);
        }
        self
    }
}

/// What the same voice says in this process.
pub(crate) async fn said_here(texts: &[&str]) -> Heard {
    let folder = tempfile::tempdir().unwrap();
    let catalog = world::config(&folder).catalog().unwrap();
    let pipeline = Catalog::open(catalog, providers::guarded::Watch::default())
        .unwrap()
        .default_pipeline();
    let stream = speak(pipeline.tts.as_ref(), texts).await;
    Heard::default().all(stream).await
}

pub(crate) const REPLY: [&str; 3] = [
    "The first piece is short.",
    "The second one takes a while longer to be said.",
    "And the last ends it.",
];

/// Slow enough to die in the middle of a piece.
pub(crate) fn paced(config: &mut Config) {
    config.scripted.speech_pace_percent = 400;
}
