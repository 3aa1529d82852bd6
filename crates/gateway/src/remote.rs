//! Workers as providers: ears, mind and voice that are other processes, reached over the work queue in Redis.
//! Made by the composition root where there is Redis; asked by pipelines that name `workers`.
//! Never answers anything itself, and never shows a session an answer twice or out of order.
//!
//! It is not part of `session`, because requests over REST ask workers as well, and because the one table of open jobs
//! is behind a lock, which sessions do without.

pub mod codec;
mod ports;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use providers::{Kind, ProviderError, Workers};
use store::live::work::inbox::{Answer, Inbox, News};
use store::live::work::{Headers, Message};
use store::live::{Link, Queue, WorkError, WorkKind, WorkLimits};
use tokio::sync::mpsc;

use crate::lifecycle::Lifecycle;
use crate::metering::Meter;
use crate::observe::Metrics;

/// Name of workers in errors.
const NAME: &str = Workers::NAME;
/// Answers of one job that may wait for its session before the worker has to.
pub(crate) const WINDOW: u64 = 1024;
/// The worker is told that there is room for more whenever so many were taken.
pub const MORE_EVERY: u64 = 256;
/// Redis answers a reader every half second; after so long, sessions are told that it does not.
const SILENT_FOR: Duration = Duration::from_secs(2);
/// Between two attempts to begin to listen.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Between two attempts to ask while nobody listens for answers yet, and how long that may last.
const LISTENS_AFTER: Duration = Duration::from_millis(20);
const LISTENS_WITHIN: Duration = Duration::from_secs(1);

/// What a remote provider needs besides its queue.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Who is told when a worker had to take another provider.
    pub metrics: Metrics,
    /// Knows whose a session is.
    pub meter: Meter,
    /// The reader ends with the server.
    pub lifecycle: Lifecycle,
}

/// Ears, mind and voice of the workers that share the Redis behind `link`.
pub fn workers(link: &Link, limits: WorkLimits, around: &Surroundings) -> Workers {
    let desk = |kind| Desk::open(Queue::new(link.clone(), kind, limits), around);
    Workers {
        stt: Arc::new(ports::RemoteStt(desk(WorkKind::Stt))),
        llm: Arc::new(ports::RemoteLlm(desk(WorkKind::Llm))),
        tts: Arc::new(ports::RemoteTts(desk(WorkKind::Tts))),
    }
}

/// Who waits for which job's answers.
type Waiting = HashMap<String, mpsc::Sender<Answer>>;

/// Where the jobs of one kind are asked for, and their answers handed out; clones share it.
#[derive(Debug, Clone)]
struct Desk {
    queue: Queue,
    /// Name of this process among those that ask; another after each start.
    listener: Arc<str>,
    waiting: Arc<Mutex<Waiting>>,
    next: Arc<AtomicU64>,
    around: Surroundings,
}

impl Desk {
    fn open(queue: Queue, around: &Surroundings) -> Self {
        let desk = Self {
            queue,
            listener: format!("gw-{}", unique()).into(),
            waiting: Arc::default(),
            next: Arc::default(),
            around: around.clone(),
        };
        let reader = desk.clone();
        // sessions that finish what they are saying still need it
        around
            .lifecycle
            .spawn_beside(async move { reader.read().await });
        desk
    }

    fn table(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out answers for as long as the process lives.
    async fn read(&self) {
        let mut inbox = loop {
            match Inbox::open(&self.queue, &self.listener).await {
                Ok(inbox) => break inbox,
                Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
            }
        };
        loop {
            match tokio::time::timeout(SILENT_FOR, inbox.next()).await {
                Ok(News::Answers(answers)) => {
                    let mut waiting = self.table();
                    for answer in answers {
                        hand_out(&mut waiting, answer);
                    }
                }
                // those who wait learn it by the end of their channel
                Ok(News::Forgotten) | Err(_) => self.table().clear(),
            }
        }
    }

    /// Asks for a job.
    async fn ask(&self, session: &str, turn: u32, request: &[u8]) -> Result<Job, ProviderError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.listener);
        let headers = Headers {
            tenant: self.around.meter.tenant_of(session).unwrap_or_default(),
            session: session.to_owned(),
            correlation: format!("turn-{turn}"),
        };
        // one more than the worker may send, so that the last word has room
        let (answers_tx, answers) = mpsc::channel(WINDOW as usize + 1);
        self.table().insert(id.clone(), answers_tx);
        let job = Job {
            desk: self.clone(),
            id,
            session: session.to_owned(),
            answers,
            seen: 0,
            made_room: 0,
            ended: false,
        };
        let opening = async {
            loop {
                let opened = self.queue.open(&self.listener, &job.id, &headers, request);
                match opened.await {
                    // the reader has just begun, or begins anew
                    Err(WorkError::Unheard) => tokio::time::sleep(LISTENS_AFTER).await,
                    opened => return opened,
                }
            }
        };
        let opened = tokio::time::timeout(LISTENS_WITHIN, opening).await;
        // a job that could not be opened is dropped here, and so is what Redis may know of it
        opened.unwrap_or(Err(WorkError::Unheard)).map_err(failure)?;
        Ok(job)
    }
}

fn hand_out(waiting: &mut Waiting, answer: Answer) {
    let Some(asker) = waiting.get(&answer.job) else {
        return;
    };
    if let Err(mpsc::error::TrySendError::Full(answer)) = asker.try_send(answer) {
        // no worker sends so much unasked; whoever did is not followed
        waiting.remove(&answer.job);
    }
}

/// What became of something told.
enum Told {
    /// The worker hears it.
    Heard,
    /// The job has ended: its last answer, which says why, is on its way.
    Over,
}

/// A job of a worker. Dropping it before its end cancels it.
struct Job {
    desk: Desk,
    id: String,
    session: String,
    answers: mpsc::Receiver<Answer>,
    /// Number of the last answer.
    seen: u64,
    /// How many of them the worker knows to be taken.
    made_room: u64,
    ended: bool,
}

impl Job {
    async fn tell(&self, messages: &[Message]) -> Result<Told, ProviderError> {
        match self.desk.queue.tell(&self.id, messages).await {
            Ok(()) => Ok(Told::Heard),
            Err(WorkError::Gone) => Ok(Told::Over),
            Err(error) => Err(failure(error)),
        }
    }

    /// The next answer.
    async fn answer(&mut self) -> Result<Message, ProviderError> {
        let lost = |what: &str| ProviderError::new(NAME, Kind::Unavailable, what);
        loop {
            let Some(answer) = self.answers.recv().await else {
                return Err(lost("redis did not answer, or has lost the job"));
            };
            if answer.number <= self.seen {
                continue;
            }
            if answer.number != self.seen + 1 {
                let message = "an answer of the worker is missing";
                return Err(ProviderError::new(NAME, Kind::Protocol, message));
            }
            self.seen = answer.number;
            if answer.message.kind == Message::DEAD {
                self.ended = true;
                let reason = String::from_utf8_lossy(&answer.message.data);
                let message = format!("no worker could do it: {reason}");
                return Err(lost(&message));
            }
            if answer.message.kind == codec::DEGRADED {
                self.note_degraded(&answer.message);
                continue;
            }
            return Ok(answer.message);
        }
    }

    /// Lets the worker send more, now and then.
    async fn make_room(&mut self) -> Result<(), ProviderError> {
        if self.seen - self.made_room >= MORE_EVERY {
            self.made_room += MORE_EVERY;
            self.tell(&[Message::new(codec::MORE, Vec::new())]).await?;
        }
        Ok(())
    }

    fn note_degraded(&self, message: &Message) {
        if let Some(incident) = codec::degraded(self.desk.queue.kind(), &message.data) {
            self.desk
                .around
                .metrics
                .incident(&incident.of(&self.session));
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.desk.table().remove(&self.id);
        if self.ended {
            return;
        }
        let (queue, id) = (self.desk.queue.clone(), std::mem::take(&mut self.id));
        // outside of a runtime there is nobody left to be told
        if tokio::runtime::Handle::try_current().is_ok() {
            // if Redis is away the job expires by itself
            let cancelling = async move { queue.cancel(&id).await };
            self.desk.around.lifecycle.spawn(cancelling);
        }
    }
}

fn failure(error: WorkError) -> ProviderError {
    let kind = match error {
        WorkError::Full => Kind::Overloaded,
        WorkError::Away(_) | WorkError::Gone | WorkError::Unheard => Kind::Unavailable,
    };
    ProviderError::new(NAME, kind, error.to_string())
}

/// A name that no other process has.
pub(crate) fn unique() -> String {
    let mut bytes = [0; 8];
    // without the system's randomness the process's number keeps those of one machine apart
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        bytes = u64::from(std::process::id()).to_be_bytes();
    }
    format!("{:016x}", u64::from_be_bytes(bytes))
}
