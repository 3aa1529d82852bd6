//! Reads a journal from where the database has it to its end, and removes what is read.
//! Used by the delivery alone.
//! Never goes on before it is told that the database has what it read.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::file::{Codec, Slot, read_head};
use super::{Numbers, Position};
use crate::seal::{KeyError, KeySource};
use crate::sql::items::Entry;

/// Bytes read in one go; one entry that is larger is read by itself.
const CHUNK: usize = 1024 * 1024;
/// Entries handed over in one go: as many as are worth their transactions, and few enough to be written within a moment.
pub(super) const BATCH: usize = 1024;
/// A file that everybody has read is replaced when it has grown to this.
pub(super) const WORTH_ROLLING: u64 = 64 * 1024;

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("cannot read the journal: {0}")]
    Disk(#[from] io::Error),
    #[error("cannot open the journal: {0}")]
    Keys(#[from] KeyError),
    /// In the file that is being written; another must be begun before this one can be left.
    #[error("the journal is damaged")]
    Damaged,
}

/// Entries, and where they end.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    count: u64,
    after: u64,
    old: bool,
}

/// The file that is being read.
#[derive(Debug)]
struct Open {
    slot: usize,
    number: u64,
    codec: Arc<Codec>,
    /// Up to here the database has it.
    at: u64,
}

/// Reads what is there.
#[derive(Debug)]
pub(super) struct Reader {
    /// The first is our own, the others were left behind.
    slots: Vec<Slot>,
    /// Files of processes before, oldest first, last in the list.
    old: Vec<(usize, u64)>,
    source: Option<KeySource>,
    /// Of our own files.
    codec: Arc<Codec>,
    numbers: Arc<Numbers>,
    end: watch::Receiver<Position>,
    /// Number of our own file to read next.
    next: u64,
    open: Option<Open>,
}

impl Reader {
    pub(super) fn new(
        slots: Vec<Slot>,
        (source, codec): (Option<KeySource>, Arc<Codec>),
        numbers: Arc<Numbers>,
        end: watch::Receiver<Position>,
    ) -> Self {
        let files = |at: usize| slots[at].files().iter().map(move |number| (at, *number));
        let mut old: Vec<_> = (0..slots.len()).flat_map(files).collect();
        old.reverse();
        let next = end.borrow().file;
        Self {
            slots,
            old,
            source,
            codec,
            numbers,
            end,
            next,
            open: None,
        }
    }

    /// The next entries; `None` when all are read.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>, ReadError> {
        loop {
            let end = *self.end.borrow_and_update();
            let open = if let Some(open) = self.open.take() {
                self.open.insert(open)
            } else {
                let old = self.old.last().copied();
                let (slot, number) = old.unwrap_or((0, self.next));
                let Some(open) = self.begin(slot, number).await? else {
                    self.finish(slot, number).await?;
                    continue;
                };
                self.open.insert(open)
            };
            let is_old = self.old.last() == Some(&(open.slot, open.number));
            if !is_old && open.number == end.file && open.at >= end.bytes {
                return Ok(None);
            }
            let path = self.slots[open.slot].path(open.number);
            let (at, codec) = (open.at, Arc::clone(&open.codec));
            let (entries, taken, rest) = read(path, at, codec).await?;
            if !entries.is_empty() {
                if is_old {
                    let taken = &self.numbers.taken;
                    taken.fetch_add(entries.len() as u64, Ordering::Relaxed);
                }
                return Ok(Some(Batch {
                    count: entries.len() as u64,
                    entries,
                    after: at + taken as u64,
                    old: is_old,
                }));
            }
            let (slot, number) = (open.slot, open.number);
            if rest > 0 {
                if !is_old && number == end.file {
                    return Err(ReadError::Damaged);
                }
                keep_damaged(&self.slots[slot].path(number), rest)?;
            }
            self.finish(slot, number).await?;
        }
    }

    /// The database has `batch`, but for as many entries as are `held`.
    pub(super) async fn done(&mut self, batch: &Batch, held: u64) -> io::Result<()> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.at = batch.after;
        let delivered = &self.numbers.delivered;
        delivered.fetch_add(batch.count.saturating_sub(held), Ordering::Relaxed);
        let position = Position {
            file: open.number,
            bytes: open.at,
        };
        let note = self.slots[open.slot].applied_note(position);
        spawn_blocking(note).await.map_err(io::Error::other)?
    }

    /// The entries of `batch` are not in the database and will be read again.
    pub(super) fn not_done(&mut self, batch: &Batch) {
        if batch.old {
            let taken = &self.numbers.taken;
            taken.fetch_sub(batch.count, Ordering::Relaxed);
        }
    }

    /// Waits until there is more to read; false when nothing will come any more.
    pub(super) async fn more(&mut self) -> bool {
        self.end.changed().await.is_ok()
    }

    /// Whether everything is read and the file has grown so that another should follow.
    pub(super) fn is_worth_rolling(&self) -> bool {
        let end = *self.end.borrow();
        let all = |open: &Open| open.number == end.file && open.at >= end.bytes;
        end.bytes >= WORTH_ROLLING && self.open.as_ref().is_some_and(all)
    }

    /// Removes the last file as well, when all of it is read and nobody writes any more.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        if self.old.is_empty() {
            self.finish(0, self.next).await?;
        }
        Ok(())
    }

    async fn begin(&self, slot: usize, number: u64) -> Result<Option<Open>, ReadError> {
        let path = self.slots[slot].path(number);
        let applied = self.slots[slot].applied();
        if number < applied.file {
            return Ok(None);
        }
        let Some((wrapped, head)) = spawn_blocking(move || read_head(&path))
            .await
            .map_err(io::Error::other)??
        else {
            // cut off before its first entry
            return Ok(None);
        };
        let codec = if wrapped == self.codec.wrapped() {
            Arc::clone(&self.codec)
        } else {
            Arc::new(Codec::of(&wrapped, self.source.as_ref()).await?)
        };
        let at = if number == applied.file {
            applied.bytes.max(head)
        } else {
            head
        };
        Ok(Some(Open {
            slot,
            number,
            codec,
            at,
        }))
    }

    /// A file is read to its end: the database has it.
    async fn finish(&mut self, slot: usize, number: u64) -> io::Result<()> {
        let path = self.slots[slot].path(number);
        let removed = spawn_blocking(move || {
            let bytes = std::fs::metadata(&path)?.len();
            std::fs::remove_file(&path).map(|()| bytes)
        });
        match removed.await.map_err(io::Error::other)? {
            Ok(bytes) => {
                self.numbers.bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.open = None;
        if self.old.last() == Some(&(slot, number)) {
            self.old.pop();
        } else {
            self.next = number + 1;
        }
        Ok(())
    }
}

/// What cannot be read is kept under another name: whoever was killed in the middle of a write had not answered for it, a
/// broken disk had.
pub(super) fn keep_damaged(path: &Path, rest: u64) -> io::Result<()> {
    let kept = path.with_extension("damaged");
    tracing::error!(bytes = rest, file = %kept.display(), "a journal cannot be read to its end");
    std::fs::copy(path, kept).map(drop)
}

/// Entries of a file from `at`, how many bytes they take, and how many are left behind them.
pub(super) async fn read(
    path: PathBuf,
    at: u64,
    codec: Arc<Codec>,
) -> io::Result<(Vec<Entry>, usize, u64)> {
    let reading = move || {
        let mut file = File::open(path)?;
        let left = file.metadata()?.len().saturating_sub(at);
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        file.by_ref().take(CHUNK as u64).read_to_end(&mut bytes)?;
        let (mut entries, mut taken) = codec.entries(&bytes, BATCH);
        if entries.is_empty() && bytes.len() as u64 == CHUNK as u64 {
            file.read_to_end(&mut bytes)?;
            (entries, taken) = codec.entries(&bytes, BATCH);
        }
        // it may have grown since its length was read
        Ok((entries, taken, left.saturating_sub(taken as u64)))
    };
    spawn_blocking(reading).await.map_err(io::Error::other)?
}
