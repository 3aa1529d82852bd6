//! Work for workers: a queue of jobs per kind, what each job is told, and what it answers, in Redis Streams.
//! The gateway opens jobs and listens; workers claim them ([`claim`]); `antiphon dlq` looks after what failed ([`dead`]).
//! Never loses what it took, never has two workers answer the same job, never repeats an answer.
//!
//! A *job* is one utterance to be understood, one reply to be spoken, or one question to be answered. It has a *state*
//! with the number of the try that holds it: an answer of an earlier try is refused, in the same step that would have
//! stored it. What a job is told is kept until it ends, so that another worker can hear it from the beginning. What it
//! answers goes to the inbox of its gateway, numbered, and is read there whenever the gateway gets to it.

pub mod claim;
pub mod dead;
pub mod inbox;
pub(super) mod read;

use std::sync::LazyLock;

use bytes::Bytes;

use super::link::{Away, Link, Script, WORK};

macro_rules! script {
    ($name:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(
                include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/src/live/work/prelude.lua"
                )),
                include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/src/live/work/",
                    $name,
                    ".lua"
                ))
            ))
        })
    };
}
pub(super) use script;

static OPEN: LazyLock<Script> = script!("open");
static TELL: LazyLock<Script> = script!("tell");
static CANCEL: LazyLock<Script> = script!("cancel");
static STANDING: LazyLock<Script> = script!("standing");

/// How long a worker has to notice that its job was cancelled before the job's keys go, in ms.
const NOTICE_MS: u64 = 60_000;

/// What workers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// Speech to text.
    Stt,
    /// Text to speech.
    Tts,
    /// Language.
    Llm,
}

impl WorkKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Stt, Self::Tts, Self::Llm];

    /// Name on the command line, in metrics and in keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stt => "stt",
            Self::Tts => "tts",
            Self::Llm => "llm",
        }
    }

    /// The consumer group of its workers.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Stt => "stt-workers",
            Self::Tts => "tts-workers",
            Self::Llm => "llm-workers",
        }
    }

    const fn tag(self) -> &'static str {
        match self {
            Self::Stt => WORK[0],
            Self::Tts => WORK[1],
            Self::Llm => WORK[2],
        }
    }
}

/// Bounds and times of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkLimits {
    /// Jobs waiting and running; one more is refused.
    pub jobs: u64,
    /// Messages that one job may be told.
    pub messages: u64,
    /// Bytes that one job may be told.
    pub bytes: u64,
    /// Answers that may wait for one gateway; its workers wait for room.
    pub answers: u64,
    /// A job that nobody speaks of is forgotten after so long, in ms.
    pub job_ms: u64,
    /// A gateway that has not been heard of for so long wants nothing any more, in ms.
    pub listener_ms: u64,
    /// A worker that has not been heard of for so long is dead, in ms.
    pub takeover_ms: u64,
    /// Tries before a job becomes a dead letter.
    pub tries: u32,
    /// Before the second try, in ms; twice as long before the third.
    pub backoff_ms: u64,
    /// Dead letters kept.
    pub letters: u64,
    /// How long they are kept, in ms.
    pub letters_ms: u64,
    /// What a dead letter was asked and told is kept when it has no more bytes than this.
    pub kept_bytes: u64,
}

impl Default for WorkLimits {
    fn default() -> Self {
        Self {
            jobs: 10_000,
            messages: 50_000,
            bytes: 16 * 1024 * 1024,
            answers: 16_384,
            job_ms: 900_000,
            listener_ms: 15_000,
            takeover_ms: 4000,
            tries: 3,
            backoff_ms: 500,
            letters: 2000,
            letters_ms: 7 * 24 * 3600 * 1000,
            kept_bytes: 256 * 1024,
        }
    }
}

/// Why work was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// Redis does not answer; what was asked may or may not have been done.
    #[error(transparent)]
    Away(#[from] Away),
    /// Too many jobs wait, or a job was told too much.
    #[error("the workers' queue is full")]
    Full,
    /// There is no such job: it has ended, or Redis has lost it.
    #[error("the job is gone")]
    Gone,
}

/// Whose work it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers {
    /// Whose session.
    pub tenant: String,
    /// The session.
    pub session: String,
    /// What the job belongs to within it.
    pub correlation: String,
}

/// Part of what a job is told or answers. The kind is a word between gateway and worker; those of this module are
/// [`Message::CANCEL`] and [`Message::DEAD`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: String,
    /// Raw bytes.
    pub data: Bytes,
}

impl Message {
    /// Told: nobody wants answers any more.
    pub const CANCEL: &'static str = "cancel";
    /// Answered: the job was given up after its last try; the data says why. It is the last answer.
    pub const DEAD: &'static str = "dead";
    /// Told by Redis itself when a job has ended.
    const OVER: &'static str = "over";

    /// A message.
    pub fn new(kind: &str, data: impl Into<Bytes>) -> Self {
        Self {
            kind: kind.to_owned(),
            data: data.into(),
        }
    }
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Jobs that no worker has taken.
    pub waiting: u64,
    /// Jobs that workers hold.
    pub running: u64,
    /// How long the oldest of those that wait has waited, in ms.
    pub oldest_ms: u64,
    /// Dead letters.
    pub letters: u64,
}

/// The queue of one kind; clones share the connection.
#[derive(Debug, Clone)]
pub struct Queue {
    link: Link,
    kind: WorkKind,
    limits: WorkLimits,
}

impl Queue {
    /// The queue of `kind` in the Redis behind `link`.
    pub fn new(link: Link, kind: WorkKind, limits: WorkLimits) -> Self {
        Self { link, kind, limits }
    }

    /// What its workers do.
    pub fn kind(&self) -> WorkKind {
        self.kind
    }

    /// Its bounds and times.
    pub fn limits(&self) -> &WorkLimits {
        &self.limits
    }

    /// Queues `job`, whose answers go to `listener`.
    ///
    /// # Errors
    /// [`WorkError::Full`], [`WorkError::Away`].
    pub async fn open(
        &self,
        listener: &str,
        job: &str,
        headers: &Headers,
        request: &[u8],
    ) -> Result<(), WorkError> {
        let arguments = [
            text(job),
            text(listener),
            text(&headers.tenant),
            text(&headers.session),
            text(&headers.correlation),
            request.to_vec(),
            number(self.limits.jobs),
            number(self.limits.job_ms),
        ];
        match self.run::<i64>(&OPEN, &arguments).await? {
            0 => Ok(()),
            _ => Err(WorkError::Full),
        }
    }

    /// Tells `job` more, in order.
    ///
    /// # Errors
    /// [`WorkError::Full`] when the job was told too much, [`WorkError::Gone`], [`WorkError::Away`].
    pub async fn tell(&self, job: &str, messages: &[Message]) -> Result<(), WorkError> {
        let mut arguments = vec![
            text(job),
            number(self.limits.messages),
            number(self.limits.bytes),
            number(self.limits.job_ms),
        ];
        push(&mut arguments, messages);
        match self.run::<i64>(&TELL, &arguments).await? {
            0 => Ok(()),
            1 => Err(WorkError::Full),
            _ => Err(WorkError::Gone),
        }
    }

    /// Nobody wants the answers of `job` any more. One that no worker has begun never begins.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn cancel(&self, job: &str) -> Result<(), Away> {
        let arguments = [text(job), number(NOTICE_MS)];
        self.run::<i64>(&CANCEL, &arguments).await.map(drop)
    }

    /// How much there is to do.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn standing(&self) -> Result<Standing, Away> {
        let none: [Vec<u8>; 0] = [];
        let [waiting, running, oldest_ms, letters]: [u64; 4] = self.run(&STANDING, &none).await?;
        Ok(Standing {
            waiting,
            running,
            oldest_ms,
            letters,
        })
    }

    fn key(&self, name: &str) -> String {
        self.link.key(self.kind.tag(), name)
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        script: &Script,
        arguments: &[Vec<u8>],
    ) -> Result<T, Away> {
        self.link.run(script, &[self.key("queue")], arguments).await
    }

    /// What every try is begun with.
    fn try_limits(&self) -> [Vec<u8>; 5] {
        [
            number(self.limits.tries),
            number(self.limits.job_ms),
            number(self.limits.kept_bytes),
            number(self.limits.letters),
            number(self.limits.letters_ms),
        ]
    }
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn number(number: impl Into<u64>) -> Vec<u8> {
    number.into().to_string().into_bytes()
}

fn push(arguments: &mut Vec<Vec<u8>>, messages: &[Message]) {
    for message in messages {
        arguments.push(text(&message.kind));
        arguments.push(message.data.to_vec());
    }
}
