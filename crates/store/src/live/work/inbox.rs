//! What jobs answer, as one gateway reads it.
//! Read by one task of the gateway per kind.
//! Never skips an answer and never shows one twice.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;

use super::{Message, Queue, number, read, script, text};
use crate::live::link::{Away, Script, Waiting};

static LISTEN: LazyLock<Script> = script!("listen");
static LEAVE: LazyLock<Script> = script!("leave");

/// Before the first entry of any stream.
const BEGINNING: &str = "0-0";
/// Answers read at once.
const AT_ONCE: usize = 256;
/// Answers read before the workers are told that there is room again.
const ROOM_EVERY: usize = 512;
/// Reads before that, at the latest: each waits half a second at most.
const SIGN_EVERY: usize = 8;
/// Between two attempts to connect again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Part of a job's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which job.
    pub job: String,
    /// 1, 2, 3 … within the job, whoever answers.
    pub number: u64,
    /// What it says.
    pub message: Message,
}

/// What a reader has found.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Answers in order; perhaps none.
    Answers(Vec<Answer>),
    /// Redis was away and does not know this listener any more: jobs asked for before will not be answered.
    Forgotten,
}

/// The inbox of one listener.
#[derive(Debug)]
pub struct Inbox {
    queue: Queue,
    listener: String,
    connection: Option<Waiting>,
    /// The last entry that was read.
    after: String,
    /// Reads and answers since the workers were told.
    since: (usize, usize),
    /// Redis did not know of this listener when it gave its last sign: jobs may have been forgotten meanwhile.
    forgotten: bool,
}

impl Inbox {
    /// Begins to listen. Jobs may be opened for `listener` once this has returned.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn open(queue: &Queue, listener: &str) -> Result<Self, Away> {
        let mut inbox = Self {
            queue: queue.clone(),
            listener: listener.to_owned(),
            connection: None,
            after: BEGINNING.to_owned(),
            since: (0, 0),
            forgotten: false,
        };
        inbox.sign().await?;
        Ok(inbox)
    }

    /// Says that the listener is there and how far it has read; whether it was known.
    async fn sign(&mut self) -> Result<bool, Away> {
        self.since = (0, 0);
        let arguments = [
            text(&self.listener),
            number(self.queue.limits.listener_ms),
            text(&self.after),
        ];
        let known: i64 = self.queue.run(&LISTEN, &arguments).await?;
        Ok(known != 0)
    }

    /// What has come, waiting a little for it. Tells Redis that somebody listens, so it has to be called all the time.
    pub async fn next(&mut self) -> News {
        if std::mem::take(&mut self.forgotten) {
            return News::Forgotten;
        }
        if let Ok(answers) = self.read().await {
            return News::Answers(answers);
        }
        self.connection = None;
        while !self.reconnected().await {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        if self.sign().await == Ok(true) {
            return News::Answers(Vec::new());
        }
        // what is left of it is of jobs that count as lost
        let _ = self.leave().await;
        BEGINNING.clone_into(&mut self.after);
        let _ = self.sign().await;
        News::Forgotten
    }

    async fn reconnected(&mut self) -> bool {
        if self.queue.link.ping().await.is_err() {
            return false;
        }
        self.connection = self.queue.link.waiting().await.ok();
        self.connection.is_some()
    }

    async fn read(&mut self) -> Result<Vec<Answer>, Away> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.queue.link.waiting().await?),
        };
        let stream = self.queue.key(&format!("inbox:{}", self.listener));
        let entries = read::behind(connection, &stream, &self.after, AT_ONCE).await?;
        let waited = entries.is_empty();
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            let answer = Answer {
                job: entry.text("j"),
                number: entry.text("s").parse().unwrap_or_default(),
                message: Message {
                    kind: entry.text("k"),
                    data: Bytes::copy_from_slice(entry.field("d").unwrap_or_default()),
                },
            };
            self.after = entry.id;
            answers.push(answer);
        }
        self.since = (self.since.0 + 1, self.since.1 + answers.len());
        if waited || self.since.0 >= SIGN_EVERY || self.since.1 >= ROOM_EVERY {
            // if this fails, so does the next read; what was read must not be lost with it
            self.forgotten = self.sign().await == Ok(false);
        }
        Ok(answers)
    }

    /// Stops listening: workers end what nobody hears.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn leave(&self) -> Result<(), Away> {
        let arguments = [text(&self.listener)];
        self.queue.run::<i64>(&LEAVE, &arguments).await.map(drop)
    }
}
