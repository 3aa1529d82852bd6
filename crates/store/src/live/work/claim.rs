//! A worker's side of the queue: it is given jobs, hears what they are told, answers, and gives back what it cannot do.
//! Used by `gateway::worker`, one [`Claimer`] for each job that it does at a time.
//! Never answers for a job that somebody else has taken over.

use std::sync::LazyLock;

use bytes::Bytes;
use redis::Value;

use super::{Headers, Message, Queue, number, push, read, script, text};
use crate::live::link::{Away, Script, Waiting};

static BEGIN: LazyLock<Script> = script!("begin");
static RECLAIM: LazyLock<Script> = script!("reclaim");
static ANSWER: LazyLock<Script> = script!("answer");
static BEAT: LazyLock<Script> = script!("beat");
static RELEASE: LazyLock<Script> = script!("release");
static PART: LazyLock<Script> = script!("part");

/// Messages read at once.
const AT_ONCE: usize = 256;

/// A job, and the try that this worker has at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: String,
    /// Which try this is, from 1; the fence: an answer of another is refused.
    pub attempt: u32,
    /// Answers that were given before this try.
    pub answered: u64,
    /// How long it has waited since it was opened, in ms.
    pub waited_ms: u64,
    /// What the last try has noted with its last answer; empty where there was none.
    pub progress: Bytes,
    /// Whose it is.
    pub headers: Headers,
    /// What is asked.
    pub request: Bytes,
    /// Whose the try before was, where it was taken over.
    pub former: Option<String>,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The job is this worker's.
    Held,
    /// Somebody else has it, or nobody: whatever is still done for it is in vain.
    Lost,
    /// Nobody listens any more: the job has ended.
    Unheard,
    /// The gateway has not read what was answered before: try again.
    NoRoom,
}

impl Hold {
    fn read(code: i64) -> Self {
        match code {
            0 => Self::Held,
            2 => Self::Unheard,
            3 => Self::NoRoom,
            _ => Self::Lost,
        }
    }
}

/// One place for a job in a worker: claims the next when it is free.
#[derive(Debug)]
pub struct Claimer {
    queue: Queue,
    consumer: String,
    connection: Option<Waiting>,
}

/// What a job is told, in order, from the beginning.
#[derive(Debug)]
pub struct Told {
    queue: Queue,
    stream: String,
    after: String,
    number: u64,
    connection: Option<Waiting>,
}

impl Claimer {
    /// A place of the worker `consumer`.
    pub fn new(queue: &Queue, consumer: &str) -> Self {
        Self {
            queue: queue.clone(),
            consumer: consumer.to_owned(),
            connection: None,
        }
    }

    /// The next job, waiting a little for it: one that a dead worker has left, or that was given back, before a new one.
    ///
    /// # Errors
    /// [`Away`]; the next call connects again.
    pub async fn next(&mut self) -> Result<Option<Claim>, Away> {
        let mut arguments = vec![text(&self.consumer)];
        arguments.extend(self.queue.try_limits());
        let mut again = arguments.clone();
        again.push(number(self.queue.limits.takeover_ms));
        let taken: Value = self.queue.run(&RECLAIM, &again).await?;
        if let Some(claim) = claim(taken) {
            return Ok(Some(claim));
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.queue.link.waiting().await?),
        };
        let read = read::next_of_group(
            &self.queue.key("queue"),
            self.queue.kind.group(),
            &self.consumer,
        );
        let answer = match connection.ask(&read).await {
            Ok(answer) => answer,
            Err(away) => {
                self.connection = None;
                return Err(away);
            }
        };
        // without a group there was no queue: taking over made both
        let Some(entry) = answer.map(read::entries).and_then(|mut found| found.pop()) else {
            return Ok(None);
        };
        arguments.push(text(&entry.id));
        arguments.extend(entry.fields);
        let begun: Value = self.queue.run(&BEGIN, &arguments).await?;
        Ok(claim(begun))
    }

    /// What `claim` is told; the connection comes back with [`Claimer::back`].
    pub fn told(&mut self, claim: &Claim) -> Told {
        Told {
            queue: self.queue.clone(),
            stream: self.queue.key(&format!("told:{}", claim.job)),
            after: "0-0".to_owned(),
            number: 0,
            connection: self.connection.take(),
        }
    }

    /// Takes the connection of a job that has ended.
    pub fn back(&mut self, told: Told) {
        self.connection = told.connection;
    }

    /// Answers, and notes how far the job is; with `last` the job ends in the same step.
    ///
    /// # Errors
    /// [`Away`]: the answer may or may not have been stored.
    pub async fn answer(
        &self,
        claim: &Claim,
        messages: &[Message],
        progress: &[u8],
        last: Last,
    ) -> Result<Hold, Away> {
        let limits = &self.queue.limits;
        let mut arguments = vec![
            text(&claim.job),
            number(claim.attempt),
            number(limits.answers),
            number(limits.job_ms),
            number(limits.listener_ms),
            number(u8::from(last == Last::Yes)),
            progress.to_vec(),
        ];
        push(&mut arguments, messages);
        self.queue.run(&ANSWER, &arguments).await.map(Hold::read)
    }

    /// A sign of life; a worker that gives none for [`super::WorkLimits::takeover_ms`] loses its jobs.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn beat(&self, claim: &Claim) -> Result<Hold, Away> {
        let arguments = [
            text(&claim.job),
            number(claim.attempt),
            text(&self.consumer),
            number(self.queue.limits.job_ms),
        ];
        self.queue.run(&BEAT, &arguments).await.map(Hold::read)
    }

    /// Gives the job back because of `reason`: it is tried again after a while, or has become a dead letter. Whether it
    /// has.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn release(&self, claim: &Claim, reason: &str) -> Result<bool, Away> {
        let limits = &self.queue.limits;
        let backoff = limits.backoff_ms << claim.attempt.saturating_sub(1).min(8);
        let arguments = [
            text(&claim.job),
            number(claim.attempt),
            text(&self.consumer),
            text(reason),
            number(limits.takeover_ms),
            number(backoff),
            number(limits.tries),
            number(limits.kept_bytes),
            number(limits.letters),
            number(limits.letters_ms),
        ];
        let became: i64 = self.queue.run(&RELEASE, &arguments).await?;
        Ok(became == 2)
    }

    /// Says that the worker goes and claims nothing any more.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn part(&self) -> Result<(), Away> {
        let arguments = [text(&self.consumer)];
        self.queue.run::<i64>(&PART, &arguments).await.map(drop)
    }
}

/// Whether an answer is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// More may follow.
    No,
    /// The job is done.
    Yes,
}

impl Told {
    /// What comes next, waiting a little for it; `None` when the job has ended.
    ///
    /// # Errors
    /// [`Away`]; the next call connects again and goes on where this one stopped.
    pub async fn next(&mut self) -> Result<Option<Vec<Message>>, Away> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.queue.link.waiting().await?),
        };
        let entries = match read::behind(connection, &self.stream, &self.after, AT_ONCE).await {
            Ok(entries) => entries,
            Err(away) => {
                self.connection = None;
                return Err(away);
            }
        };
        let mut messages = Vec::with_capacity(entries.len());
        for entry in entries {
            let kind = entry.text("k");
            if kind == Message::OVER {
                return Ok(None);
            }
            if kind != Message::CANCEL {
                self.number += 1;
                // a hole would be speech that nobody hears: whoever made it has to be found
                if entry.text("n").parse() != Ok(self.number) {
                    tracing::error!(stream = self.stream, "what a job was told has a hole");
                    return Ok(None);
                }
            }
            let data = Bytes::copy_from_slice(entry.field("d").unwrap_or_default());
            messages.push(Message { kind, data });
            self.after = entry.id;
        }
        Ok(Some(messages))
    }
}

/// Reads what `begin` answers.
fn claim(value: Value) -> Option<Claim> {
    let Value::Array(parts) = value else {
        return None;
    };
    let mut parts = parts.into_iter().map(read::bytes);
    let mut next = || parts.next().flatten();
    let words = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let count = |bytes: Vec<u8>| String::from_utf8(bytes).ok()?.parse::<u64>().ok();
    let _entry = next()?;
    Some(Claim {
        job: words(next()?),
        attempt: u32::try_from(count(next()?)?).ok()?,
        answered: count(next()?)?,
        waited_ms: count(next()?)?,
        progress: next()?.into(),
        headers: Headers {
            tenant: words(next()?),
            session: words(next()?),
            correlation: words(next()?),
        },
        request: next()?.into(),
        former: next().map(words),
    })
}
