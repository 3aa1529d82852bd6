//! The journal: what happened in sessions, on this machine's disk until the database has it.
//! Written by sessions ([`Journal::append`]), emptied into SQL by [`Delivery`].
//! Never says that something is kept before the system has it, and never holds a session up for longer than a second.
//!
//! Entries go to numbered files. A process that is killed loses nothing that was answered: the system has the bytes.
//! What the database has is noted in the file `applied`; entries that are delivered twice change nothing there.

mod delivery;
mod file;
mod held;
mod part;
mod reader;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::delivery::Delivery;
use self::file::{Appender, Codec, Slot};
use self::held::Held;
use self::reader::Reader;
use crate::seal::{self, DataKey, KeyError, KeySource};
use crate::sql::items::Entry;

/// Entries on their way to the file. When full, sessions wait, as long as [`ANSWER_WITHIN`].
const JOBS: usize = 1024;
/// Bytes of the sum that names a tenant's line.
const LINE_NAME: usize = 16;
/// Entries that one write takes along.
const WRITE_TOGETHER: usize = 256;
/// How long a session waits for the disk before it goes on without.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Why something is not in the journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The database has been away for too long, or the disk is small.
    #[error(
        "the journal is full: {limit} bytes wait for the database; see that it answers, or raise conversations.journal_bytes"
    )]
    Full {
        /// Bytes that may wait.
        limit: u64,
    },
    /// Changes of this tenant wait for its key, and those that do have half of the journal.
    #[error(
        "{limit} bytes of the journal wait for the keys of tenants, as much as may; see that the keeper of the keys answers and has the key"
    )]
    Held {
        /// Bytes that may wait for keys.
        limit: u64,
    },
    /// The disk does not take it.
    #[error("cannot write the journal in {folder}: {reason}")]
    Disk {
        /// Where.
        folder: String,
        /// What the system said.
        reason: String,
    },
    /// The disk takes longer than a session can wait.
    #[error("the disk of the journal did not answer within {} ms", ANSWER_WITHIN.as_millis())]
    Slow,
    /// It is closed.
    #[error("the journal is closed")]
    Closed,
    /// Its entries cannot be sealed.
    #[error("cannot use the keys of the journal: {0}")]
    Keys(#[from] KeyError),
}

/// How the journal is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalState {
    /// Entries that the database does not have yet.
    pub waiting: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Those of the waiting entries that wait for the key of their tenant.
    pub held: u64,
    /// Tenants whose entries wait for their key.
    pub held_tenants: u64,
    /// Entries that the database has got from this process.
    pub delivered: u64,
    /// Entries that were not taken: full, or a disk that failed.
    pub refused: u64,
    /// Entries that the database refused for good; they lie in `rejected.log` beside the journal.
    pub rejected: u64,
    /// Attempts at delivery that failed since this process began.
    pub attempts_failed: u64,
    /// Why delivery does not succeed at present.
    pub failing: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct Numbers {
    taken: AtomicU64,
    bytes: AtomicU64,
    delivered: AtomicU64,
    refused: AtomicU64,
    rejected: AtomicU64,
    attempts_failed: AtomicU64,
    held: AtomicU64,
    held_bytes: AtomicU64,
    /// Names of the lines in which something waits.
    lines: Mutex<BTreeSet<String>>,
    failing: Mutex<Option<Arc<str>>>,
}

impl Numbers {
    fn set_failing(&self, reason: Option<&str>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        *failing = reason.map(Arc::from);
    }

    fn set_held<'a>(&self, lines: impl Iterator<Item = &'a String>) {
        let mut held = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        *held = lines.cloned().collect();
    }
}

/// What names the files in which changes of `tenant` wait: known without opening them, and not by everybody.
fn line_name(tenant: &str) -> String {
    let sum = digest::digest(&digest::SHA256, tenant.as_bytes());
    crate::hex(&sum.as_ref()[..LINE_NAME])
}

/// Where the journal ends: number of the file and bytes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Position {
    file: u64,
    bytes: u64,
}

enum Job {
    /// Append an encoded entry, and answer whoever waits.
    Append(Vec<u8>, Option<oneshot::Sender<Result<(), JournalError>>>),
    /// Begin a new file, so that the last one can go.
    Roll(oneshot::Sender<()>),
    /// Say when everything before is in the file.
    Flush(oneshot::Sender<()>),
}

/// The way into the journal; clones share it.
#[derive(Debug, Clone)]
pub struct Journal {
    jobs: mpsc::Sender<Job>,
    codec: Arc<Codec>,
    numbers: Arc<Numbers>,
    /// Bytes that may wait for keys.
    held_limit: u64,
}

/// Where a journal is and how large it may become.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// A folder for journals; each process takes one of its own in it.
    pub folder: PathBuf,
    /// Bytes that may wait for the database.
    pub limit_bytes: u64,
    /// What wraps the key that seals the entries; plain without.
    pub keys: Option<KeySource>,
}

impl Journal {
    /// Opens a journal, with what processes before have left; [`Delivery::run`] brings that to the database first.
    ///
    /// # Errors
    /// [`JournalError::Disk`], [`JournalError::Keys`].
    pub async fn open(options: JournalOptions) -> Result<(Self, Delivery), JournalError> {
        let codec = Arc::new(match &options.keys {
            None => Codec::plain(),
            Some(source) => {
                let key = seal::fresh_key()?;
                Codec::sealing(source.wrap(&key).await?, DataKey::new(&key)?)
            }
        });
        let (folder, limit) = (options.folder.clone(), options.limit_bytes);
        let numbers = Arc::new(Numbers::default());
        let (end_tx, end) = watch::channel(Position::default());
        let (jobs, inbox) = mpsc::channel(JOBS);
        let opened = {
            let (codec, numbers) = (Arc::clone(&codec), Arc::clone(&numbers));
            move || -> std::io::Result<(Vec<Slot>, PathBuf)> {
                let mut slots = Slot::take_all(&folder)?;
                let own = slots[0].folder().to_owned();
                let left: u64 = slots.iter().map(Slot::bytes).sum();
                numbers.bytes.store(left, Ordering::Relaxed);
                let appender = Appender::begin(&mut slots[0], codec, limit, numbers, end_tx)?;
                // a thread of its own: a disk that hangs holds up nobody else
                std::thread::Builder::new()
                    .name("journal".to_owned())
                    .spawn(move || keep(appender, inbox))?;
                Ok((slots, own))
            }
        };
        let disk = |reason: String| JournalError::Disk {
            folder: options.folder.display().to_string(),
            reason,
        };
        let opened = tokio::task::spawn_blocking(opened).await;
        let (slots, own) = opened
            .map_err(|error| disk(error.to_string()))?
            .map_err(|error| disk(error.to_string()))?;
        let journal = Self {
            jobs,
            codec,
            numbers: Arc::clone(&numbers),
            held_limit: limit / 2,
        };
        let keys = || (options.keys.clone(), Arc::clone(&journal.codec));
        let held = Held::new(&slots, keys(), Arc::clone(&numbers));
        let held = held.map_err(|error| disk(error.to_string()))?;
        let reader = Reader::new(slots, keys(), Arc::clone(&numbers), end);
        let jobs = journal.jobs.clone().downgrade();
        let delivery = Delivery::new((reader, held), jobs, numbers, own);
        Ok((journal, delivery))
    }

    /// Keeps `entry`; when this returns, a process that is killed does not lose it.
    ///
    /// # Errors
    /// [`JournalError`]; the entry is counted as refused.
    pub async fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        let kept = tokio::time::timeout(ANSWER_WITHIN, self.hand_over(entry)).await;
        let kept = kept.unwrap_or(Err(JournalError::Slow));
        if kept.is_err() {
            self.numbers.refused.fetch_add(1, Ordering::Relaxed);
        }
        kept
    }

    /// Hands `entry` over without waiting for the disk, for whoever cannot wait. What there is no room for is counted as
    /// refused, and so is what the disk does not take.
    pub fn post(&self, entry: &Entry) {
        let posted = self.has_room(entry).is_ok()
            && self
                .codec
                .encode(entry)
                .is_ok_and(|encoded| self.jobs.try_send(Job::Append(encoded, None)).is_ok());
        if !posted {
            self.numbers.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether there is room for an entry of this tenant behind those that wait for keys, if its own are among them.
    fn has_room(&self, entry: &Entry) -> Result<(), JournalError> {
        let limit = self.held_limit;
        if self.numbers.held_bytes.load(Ordering::Relaxed) < limit {
            return Ok(());
        }
        let lines = self.numbers.lines.lock();
        let lines = lines.unwrap_or_else(PoisonError::into_inner);
        if lines.contains(&line_name(&entry.session.tenant)) {
            return Err(JournalError::Held { limit });
        }
        Ok(())
    }

    /// Waits until the disk has what was handed over before, by [`Journal::post`] as well; not longer than a second.
    pub async fn flush(&self) {
        let flushed = async {
            let (done, written) = oneshot::channel();
            if self.jobs.send(Job::Flush(done)).await.is_ok() {
                let _ = written.await;
            }
        };
        let _ = tokio::time::timeout(ANSWER_WITHIN, flushed).await;
    }

    async fn hand_over(&self, entry: &Entry) -> Result<(), JournalError> {
        self.has_room(entry)?;
        let encoded = self.codec.encode(entry)?;
        let (done, kept) = oneshot::channel();
        let job = Job::Append(encoded, Some(done));
        self.jobs
            .send(job)
            .await
            .map_err(|_| JournalError::Closed)?;
        kept.await.unwrap_or(Err(JournalError::Closed))
    }

    /// How it is.
    pub fn state(&self) -> JournalState {
        let numbers = &self.numbers;
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let lines = numbers.lines.lock();
        let held_tenants = lines.unwrap_or_else(PoisonError::into_inner).len();
        let failing = numbers.failing.lock();
        JournalState {
            waiting: read(&numbers.taken).saturating_sub(read(&numbers.delivered)),
            bytes: read(&numbers.bytes),
            held: read(&numbers.held),
            held_tenants: held_tenants as u64,
            delivered: read(&numbers.delivered),
            refused: read(&numbers.refused),
            rejected: read(&numbers.rejected),
            attempts_failed: read(&numbers.attempts_failed),
            failing: failing.unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Writes what comes until nobody can send any more.
fn keep(mut appender: Appender, mut inbox: mpsc::Receiver<Job>) {
    let mut jobs = Vec::new();
    while inbox.blocking_recv_many(&mut jobs, WRITE_TOGETHER) > 0 {
        let (mut entries, mut answers) = (Vec::new(), Vec::new());
        let (mut rolls, mut flushes) = (Vec::new(), Vec::new());
        for job in jobs.drain(..) {
            match job {
                Job::Append(encoded, done) => {
                    entries.push(encoded);
                    answers.push(done);
                }
                Job::Roll(done) => rolls.push(done),
                Job::Flush(done) => flushes.push(done),
            }
        }
        for (done, kept) in answers.into_iter().zip(appender.append(&entries)) {
            match done {
                Some(done) => drop(done.send(kept)),
                None if kept.is_err() => appender.refused(),
                None => {}
            }
        }
        if !rolls.is_empty() {
            appender.roll();
        }
        for done in rolls.into_iter().chain(flushes) {
            let _ = done.send(());
        }
    }
}

/// A folder that is not there is made, for its owner only: it holds what callers said.
fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
