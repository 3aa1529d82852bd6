//! Changes of tenants whose key cannot be had: in files of their own beside the journal, in order, until it can.
//! Used by the delivery alone.
//! Never holds up a tenant whose key is there, and never lets a change of a held one past those that wait.

use std::collections::{BTreeMap, VecDeque};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};

use super::file::{Codec, Slot, frames, read_head};
use super::part::KEY_WITHIN;
use super::reader::{keep_damaged, read};
use super::{Numbers, line_name};
use crate::seal::{KeyError, KeySource};
use crate::sql::items::Entry;
use crate::{Sql, StoreError};

/// A file that has grown to this is followed by the next.
const FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Between two attempts at a key: the first, and the longest.
const AGAIN_FIRST: Duration = Duration::from_millis(500);
const AGAIN_LONGEST: Duration = Duration::from_mins(1);

/// A tenant's changes that wait.
#[derive(Debug, Default)]
struct Line {
    /// In order; a file of this process is the last.
    files: VecDeque<PathBuf>,
    /// Number and bytes of the file that this process appends to, where it has one.
    own: Option<(u64, u64)>,
    /// Number of the next.
    next: u64,
    /// How to read the first file, and up to where the database has it.
    open: Option<(Arc<Codec>, u64)>,
    /// Attempts at the key that have failed since it was last had.
    failures: u32,
}

/// Some of a line.
#[derive(Debug)]
pub(super) struct Batch {
    line: String,
    pub(super) entries: Vec<Entry>,
    after: u64,
}

/// What waits, by the name of its line.
#[derive(Debug)]
pub(super) struct Held {
    folder: PathBuf,
    source: Option<KeySource>,
    codec: Arc<Codec>,
    numbers: Arc<Numbers>,
    lines: BTreeMap<String, Line>,
    /// Lines whose key can be had again; they take turns.
    ready: VecDeque<String>,
    /// One for each other line: ends when its key can be had.
    trials: JoinSet<String>,
}

impl Held {
    /// With what processes before have left in `slots`, of which the first is our own.
    pub(super) fn new(
        slots: &[Slot],
        (source, codec): (Option<KeySource>, Arc<Codec>),
        numbers: Arc<Numbers>,
    ) -> io::Result<Self> {
        let mut held = Self {
            folder: slots[0].folder().to_owned(),
            source,
            codec,
            numbers,
            lines: BTreeMap::new(),
            ready: VecDeque::new(),
            trials: JoinSet::new(),
        };
        for slot in slots {
            for (name, number) in left_in(slot.folder())? {
                let path = slot.folder().join(file_name(&name, number));
                let (waiting, bytes) = frames(&path)?;
                held.numbers.taken.fetch_add(waiting, Ordering::Relaxed);
                held.count(waiting, bytes);
                let line = held.lines.entry(name).or_default();
                line.files.push_back(path);
                line.next = line.next.max(number + 1);
            }
        }
        held.tell();
        Ok(held)
    }

    /// Begins to ask for the keys of what was left.
    pub(super) fn begin(&mut self, sql: &Sql) {
        let names: Vec<String> = self.lines.keys().cloned().collect();
        for name in names {
            self.try_key(sql, name, Duration::ZERO);
        }
    }

    /// Whether changes of `tenant` wait, so that others of it must wait behind them.
    pub(super) fn has(&self, tenant: &str) -> bool {
        !self.lines.is_empty() && self.lines.contains_key(&line_name(tenant))
    }

    /// Puts `entries` of `tenant` behind what waits of it.
    pub(super) async fn hold(
        &mut self,
        sql: &Sql,
        tenant: &str,
        entries: &[Entry],
    ) -> Result<(), String> {
        let mut bytes = Vec::new();
        for entry in entries {
            let encoded = self.codec.encode(entry).map_err(|e| e.to_string())?;
            bytes.extend_from_slice(&encoded);
        }
        let name = line_name(tenant);
        let line = self.lines.entry(name.clone()).or_default();
        let is_new = line.files.is_empty();
        let (number, length) = line.own.unwrap_or((line.next, 0));
        let path = self.folder.join(file_name(&name, number));
        if length == 0 {
            let mut head = self.codec.head();
            head.append(&mut bytes);
            bytes = head;
        }
        let added = bytes.len() as u64;
        let appended = {
            let path = path.clone();
            move || append(&path, length, &bytes)
        };
        let appended = spawn_blocking(appended).await.map_err(io::Error::other);
        if let Err(error) = appended.and_then(|done| done) {
            if is_new {
                self.lines.remove(&name);
            }
            return Err(format!("cannot put aside what waits for a key: {error}"));
        }
        if length == 0 {
            line.files.push_back(path);
            line.next = number + 1;
        }
        let length = length + added;
        line.own = (length < FILE_BYTES).then_some((number, length));
        self.count(entries.len() as u64, added);
        self.tell();
        if is_new {
            self.try_key(sql, name, AGAIN_FIRST);
        }
        Ok(())
    }

    /// Ends when the key of a line can be had again; never while nothing waits.
    pub(super) async fn tried(&mut self) {
        match self.trials.join_next().await {
            Some(Ok(name)) => self.ready.push_back(name),
            // a task that was cut off: only with the process
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }

    /// The next changes whose key can be had; `None` when there are none now. A line that cannot be read waits like one
    /// without its key, and the others go on.
    pub(super) async fn next(&mut self, sql: &Sql) -> Option<Batch> {
        while let Some(Ok(name)) = self.trials.try_join_next() {
            self.ready.push_back(name);
        }
        while let Some(name) = self.ready.pop_front() {
            match self.first_of(&name).await {
                Ok(Some((entries, after))) => {
                    return Some(Batch {
                        line: name,
                        entries,
                        after,
                    });
                }
                Ok(None) => {
                    self.lines.remove(&name);
                    self.tell();
                }
                Err(Unread::Key) => self.again(sql, name),
                Err(Unread::Disk(error)) => {
                    tracing::error!(line = name, %error, "cannot read what waited for a key");
                    self.again(sql, name);
                }
            }
        }
        None
    }

    /// The database has `batch`.
    pub(super) fn done(&mut self, batch: Batch) {
        let delivered = batch.entries.len() as u64;
        let numbers = &self.numbers;
        numbers.delivered.fetch_add(delivered, Ordering::Relaxed);
        let fewer = |held: u64| Some(held.saturating_sub(delivered));
        // a file that is read again from its head is counted once more
        let _ = numbers
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        if let Some(line) = self.lines.get_mut(&batch.line) {
            line.failures = 0;
            if let Some((_, at)) = &mut line.open {
                *at = batch.after;
            }
        }
        self.ready.push_back(batch.line);
    }

    /// The database did not take `batch`, or its key is gone again: it comes again after a while.
    pub(super) fn later(&mut self, sql: &Sql, batch: Batch) {
        self.again(sql, batch.line);
    }

    fn again(&mut self, sql: &Sql, name: String) {
        let failures = self.lines.get_mut(&name).map_or(0, |line| {
            line.failures += 1;
            line.failures
        });
        self.try_key(sql, name, pause(failures));
    }

    /// Asks for the key of a line from then on, again and again.
    fn try_key(&mut self, sql: &Sql, name: String, after: Duration) {
        let Some(first) = self.lines.get(&name).and_then(|line| line.files.front()) else {
            return;
        };
        let (sql, first) = (sql.clone(), first.clone());
        let (source, own) = (self.source.clone(), Arc::clone(&self.codec));
        self.trials.spawn(async move {
            let (mut after, mut failures) = (after, 0);
            loop {
                tokio::time::sleep(after).await;
                let Err(reason) = key_of(&sql, &first, source.as_ref(), &own).await else {
                    return name;
                };
                tracing::debug!(line = name, reason, "a tenant's key cannot be had");
                after = pause(failures);
                failures += 1;
            }
        });
    }

    /// The first entries of a line and where they end; `None` when nothing waits in it any more.
    async fn first_of(&mut self, name: &str) -> Result<Option<(Vec<Entry>, u64)>, Unread> {
        let Some(line) = self.lines.get_mut(name) else {
            return Ok(None);
        };
        while let Some(path) = line.files.front().cloned() {
            let opened = match line.open.take() {
                Some(open) => Ok(open),
                None => open(path.clone(), self.source.as_ref(), &self.codec).await,
            };
            let (codec, at) = match opened {
                Err(Unread::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {
                    tracing::error!(line = name, "somebody has removed what waited for a key");
                    line.files.pop_front();
                    continue;
                }
                opened => opened?,
            };
            let (entries, taken, rest) = match read(path.clone(), at, Arc::clone(&codec)).await {
                Ok(read) => read,
                Err(error) => {
                    // gone on with from the same place
                    line.open = (error.kind() != io::ErrorKind::NotFound).then_some((codec, at));
                    return Err(error.into());
                }
            };
            if !entries.is_empty() {
                line.open = Some((codec, at));
                return Ok(Some((entries, at + taken as u64)));
            }
            if rest > 0 {
                keep_damaged(&path, rest)?;
            }
            let ended = path.clone();
            let removed = spawn_blocking(move || {
                let left = frames(&ended)?;
                std::fs::remove_file(&ended).map(|()| left.1)
            });
            let bytes = removed.await.map_err(io::Error::other)??;
            let numbers = &self.numbers;
            numbers.bytes.fetch_sub(bytes, Ordering::Relaxed);
            numbers.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
            line.files.pop_front();
            if line.files.is_empty() {
                line.own = None;
            }
        }
        Ok(None)
    }

    fn count(&self, entries: u64, bytes: u64) {
        let numbers = &self.numbers;
        numbers.held.fetch_add(entries, Ordering::Relaxed);
        numbers.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        numbers.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Tells those who append whose changes wait.
    fn tell(&self) {
        self.numbers.set_held(self.lines.keys());
    }
}

/// Why a line cannot be read.
enum Unread {
    Key,
    Disk(io::Error),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<KeyError> for Unread {
    fn from(_: KeyError) -> Self {
        Self::Key
    }
}

fn pause(failures: u32) -> Duration {
    AGAIN_FIRST
        .saturating_mul(1 << failures.min(10))
        .min(AGAIN_LONGEST)
}

/// Whether what waits in a line that begins with `first` can be read and sealed.
async fn key_of(
    sql: &Sql,
    first: &Path,
    source: Option<&KeySource>,
    own: &Arc<Codec>,
) -> Result<(), String> {
    let (codec, at) = match open(first.to_owned(), source, own).await {
        Ok(open) => open,
        Err(Unread::Key) => return Err("the journal's own key".to_owned()),
        // that is for the line to find out
        Err(Unread::Disk(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(Unread::Disk(error)) => return Err(error.to_string()),
    };
    let read = read(first.to_owned(), at, codec).await;
    let (entries, ..) = read.map_err(|error| error.to_string())?;
    let Some(entry) = entries.first() else {
        return Ok(());
    };
    let can = sql.can_seal(&entry.session.tenant, KEY_WITHIN).await;
    can.map_err(|error: StoreError| error.to_string())
}

/// How to read a file, and where its entries begin.
async fn open(
    path: PathBuf,
    source: Option<&KeySource>,
    own: &Arc<Codec>,
) -> Result<(Arc<Codec>, u64), Unread> {
    let head = spawn_blocking(move || read_head(&path));
    let Some((wrapped, at)) = head.await.map_err(io::Error::other)?? else {
        // cut off before its first entry
        return Ok((Arc::clone(own), 0));
    };
    if wrapped == own.wrapped() {
        return Ok((Arc::clone(own), at));
    }
    Ok((Arc::new(Codec::of(&wrapped, source).await?), at))
}

/// Appends all of `bytes` behind the first `length`, or nothing.
fn append(path: &Path, length: u64, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    // what an attempt before left of itself
    file.set_len(length)?;
    file.write_all(bytes).inspect_err(|_| {
        let _ = file.set_len(length);
    })
}

fn file_name(line: &str, number: u64) -> String {
    format!("{line}-{number:012}.held")
}

/// Lines and numbers of the files in a folder, in order.
fn left_in(folder: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name();
        let parts = name.to_str().and_then(|name| {
            let (line, number) = name.strip_suffix(".held")?.rsplit_once('-')?;
            Some((line.to_owned(), number.parse().ok()?))
        });
        found.extend(parts);
    }
    found.sort();
    Ok(found)
}
