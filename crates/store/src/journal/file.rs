//! The files of a journal: who owns a folder, how an entry looks, how it is appended.
//! Used by the journal's thread and its reader.
//! Never leaves half an entry behind that a later one follows.
//!
//! A file is a line `antiphon journal 1`, the length of the wrapped key (4 bytes, big-endian; 0 when entries are plain)
//! and the wrapped key; then entries: length (4 bytes), the first 8 bytes of the SHA-256, and JSON, sealed or plain.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_lc_rs::digest;
use tokio::sync::watch;

use super::{JournalError, Numbers, Position, make_private_folder};
use crate::seal::{DataKey, KeyError, KeySource};
use crate::sql::items::Entry;

const MAGIC: &[u8] = b"antiphon journal 1\n";
/// What sealed entries are authenticated with.
const PLACE: &[u8] = b"antiphon journal entry";
/// Bytes before an entry.
const HEAD: usize = 4 + SUM;
const SUM: usize = 8;
/// Largest entry; a length beyond that is no length.
const ENTRY_MAX: usize = 64 * 1024 * 1024;
/// A file that has grown to this is followed by the next.
const FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Processes that may share a folder.
const SLOTS: u32 = 64;

/// How entries become bytes.
#[derive(Debug)]
pub(super) struct Codec {
    wrapped: String,
    key: Option<DataKey>,
}

impl Codec {
    pub(super) const fn plain() -> Self {
        Self {
            wrapped: String::new(),
            key: None,
        }
    }

    pub(super) const fn sealing(wrapped: String, key: DataKey) -> Self {
        Self {
            wrapped,
            key: Some(key),
        }
    }

    /// The codec of a file whose head holds `wrapped`.
    pub(super) async fn of(wrapped: &str, source: Option<&KeySource>) -> Result<Self, KeyError> {
        if wrapped.is_empty() {
            return Ok(Self::plain());
        }
        let key = source.ok_or(KeyError::NoKeys)?.unwrap(wrapped).await?;
        Ok(Self::sealing(wrapped.to_owned(), key))
    }

    pub(super) fn wrapped(&self) -> &str {
        &self.wrapped
    }

    pub(super) fn encode(&self, entry: &Entry) -> Result<Vec<u8>, KeyError> {
        // made of strings and numbers alone: it has a JSON form
        let json = serde_json::to_vec(entry).unwrap_or_default();
        let body = match &self.key {
            Some(key) => key.seal(PLACE, &json)?,
            None => json,
        };
        let mut bytes = Vec::with_capacity(HEAD + body.len());
        bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&digest::digest(&digest::SHA256, &body).as_ref()[..SUM]);
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    fn decode(&self, body: &[u8]) -> Option<Entry> {
        let json = match &self.key {
            Some(key) => key.open(PLACE, body).ok()?,
            None => body.to_vec(),
        };
        serde_json::from_slice(&json).ok()
    }

    /// The first entries of `bytes`, at most `limit`, and how many bytes they take. Ends before an entry that is not
    /// whole.
    pub(super) fn entries(&self, bytes: &[u8], limit: usize) -> (Vec<Entry>, usize) {
        let (mut entries, mut at) = (Vec::new(), 0);
        while entries.len() < limit
            && let Some((entry, length)) = self.first(&bytes[at..])
        {
            entries.push(entry);
            at += length;
        }
        (entries, at)
    }

    fn first(&self, bytes: &[u8]) -> Option<(Entry, usize)> {
        let length = u32::from_be_bytes(bytes.first_chunk().copied()?) as usize;
        if length > ENTRY_MAX {
            return None;
        }
        let body = bytes.get(HEAD..HEAD + length)?;
        if digest::digest(&digest::SHA256, body).as_ref()[..SUM] != bytes[4..HEAD] {
            return None;
        }
        Some((self.decode(body)?, HEAD + length))
    }

    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&(self.wrapped.len() as u32).to_be_bytes());
        head.extend_from_slice(self.wrapped.as_bytes());
        head
    }
}

/// The wrapped key in the head of a file, and the bytes of the head; `None` when it is no journal.
pub(super) fn read_head(path: &Path) -> io::Result<Option<(String, u64)>> {
    let mut start = Vec::new();
    File::open(path)?.take(64 * 1024).read_to_end(&mut start)?;
    let head = || {
        let rest = start.strip_prefix(MAGIC)?;
        let length = u32::from_be_bytes(rest.first_chunk().copied()?) as usize;
        let wrapped = String::from_utf8(rest.get(4..4 + length)?.to_vec()).ok()?;
        Some((wrapped, (MAGIC.len() + 4 + length) as u64))
    };
    Ok(head())
}

/// How many entries there are behind the head of a file, which nobody need open, and the bytes of the file.
pub(super) fn frames(path: &Path) -> io::Result<(u64, u64)> {
    let bytes = std::fs::metadata(path)?.len();
    let Some((_, head)) = read_head(path)? else {
        return Ok((0, bytes));
    };
    let mut file = File::open(path)?;
    let (mut count, mut at) = (0, head);
    let mut length = [0; 4];
    loop {
        file.seek(SeekFrom::Start(at))?;
        if file.read_exact(&mut length).is_err() {
            break;
        }
        at += HEAD as u64 + u64::from(u32::from_be_bytes(length));
        if at > bytes {
            break;
        }
        count += 1;
    }
    Ok((count, bytes))
}

/// A process's own folder among the journals.
#[derive(Debug)]
pub(super) struct Slot {
    folder: PathBuf,
    /// The lock goes with the process, however that ends.
    _lock: File,
    /// Numbers of the files that lie in it, in order.
    files: Vec<u64>,
}

impl Slot {
    /// Takes every folder that no living process has: the first is the caller's own, the others were left behind.
    pub(super) fn take_all(journals: &Path) -> io::Result<Vec<Self>> {
        let mut slots: Vec<Self> = Vec::new();
        for number in 0..SLOTS {
            let folder = journals.join(number.to_string());
            if !slots.is_empty() && !folder.exists() {
                continue;
            }
            make_private_folder(&folder)?;
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(folder.join("lock"))?;
            match lock.try_lock() {
                Ok(()) => {
                    let files = files_in(&folder)?;
                    slots.push(Self {
                        folder,
                        _lock: lock,
                        files,
                    });
                }
                Err(std::fs::TryLockError::WouldBlock) => {}
                Err(std::fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        if slots.is_empty() {
            let reason = format!("{SLOTS} processes have their journals there");
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, reason));
        }
        Ok(slots)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn files(&self) -> &[u64] {
        &self.files
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.folder.join(file_name(number))
    }

    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        let length = |number: &u64| std::fs::metadata(self.path(*number)).map_or(0, |m| m.len());
        self.files.iter().map(length).sum()
    }

    /// How far the database has what lies here.
    pub(super) fn applied(&self) -> Position {
        let text = std::fs::read_to_string(self.folder.join("applied")).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(file)), Some(Ok(bytes))) => Position { file, bytes },
            // not there, or cut off: what is delivered again changes nothing
            _ => Position::default(),
        }
    }

    /// What notes how far that is, for a thread that may wait for the disk.
    pub(super) fn applied_note(
        &self,
        position: Position,
    ) -> impl FnOnce() -> io::Result<()> + Send + use<> {
        let text = format!("{} {}\n", position.file, position.bytes);
        let fresh = self.folder.join("applied.new");
        let noted = self.folder.join("applied");
        move || {
            std::fs::write(&fresh, text)?;
            std::fs::rename(fresh, noted)
        }
    }
}

pub(super) fn file_name(number: u64) -> String {
    format!("{number:012}.journal")
}

fn files_in(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".journal"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Appends entries to the last file of a folder.
pub(super) struct Appender {
    folder: PathBuf,
    codec: Arc<Codec>,
    limit: u64,
    numbers: Arc<Numbers>,
    /// Told where the journal ends after every write.
    end: watch::Sender<Position>,
    file: File,
    position: Position,
}

impl Appender {
    /// Begins a file behind those that are there.
    pub(super) fn begin(
        slot: &mut Slot,
        codec: Arc<Codec>,
        limit: u64,
        numbers: Arc<Numbers>,
        end: watch::Sender<Position>,
    ) -> io::Result<Self> {
        let number = slot
            .files
            .last()
            .copied()
            .max(Some(slot.applied().file))
            .unwrap_or(0)
            + 1;
        let (file, position) = begin(slot.folder(), number, &codec)?;
        numbers.bytes.fetch_add(position.bytes, Ordering::Relaxed);
        end.send_replace(position);
        Ok(Self {
            folder: slot.folder.clone(),
            codec,
            limit,
            numbers,
            end,
            file,
            position,
        })
    }

    /// Appends `entries` as far as there is room, and says of each whether it is kept.
    pub(super) fn append(&mut self, entries: &[Vec<u8>]) -> Vec<Result<(), JournalError>> {
        let room = self
            .limit
            .saturating_sub(self.numbers.bytes.load(Ordering::Relaxed));
        let mut bytes = Vec::new();
        let mut answers: Vec<_> = entries
            .iter()
            .map(|entry| {
                if (bytes.len() + entry.len()) as u64 > room {
                    return Err(JournalError::Full { limit: self.limit });
                }
                bytes.extend_from_slice(entry);
                Ok(())
            })
            .collect();
        if bytes.is_empty() {
            return answers;
        }
        if let Err(error) = self.write(&bytes) {
            let refused = JournalError::Disk {
                folder: self.folder.display().to_string(),
                reason: error.to_string(),
            };
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = Err(refused.clone());
            }
            return answers;
        }
        let kept = answers.iter().filter(|answer| answer.is_ok()).count();
        self.numbers.taken.fetch_add(kept as u64, Ordering::Relaxed);
        self.end.send_replace(self.position);
        if self.position.bytes >= FILE_BYTES {
            self.roll();
        }
        answers
    }

    /// Counts an entry that is not kept and that nobody waits for.
    pub(super) fn refused(&self) {
        self.numbers.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // what was written of it must not stand before the next entry
            if self.file.set_len(self.position.bytes).is_err() {
                self.roll();
            }
            return Err(error);
        }
        self.position.bytes += bytes.len() as u64;
        let all = &self.numbers.bytes;
        all.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Begins the next file; a disk that refuses that gets more into the last one.
    pub(super) fn roll(&mut self) {
        let next = self.position.file + 1;
        if let Ok((file, position)) = begin(&self.folder, next, &self.codec) {
            self.numbers
                .bytes
                .fetch_add(position.bytes, Ordering::Relaxed);
            (self.file, self.position) = (file, position);
            self.end.send_replace(position);
        }
    }
}

fn begin(folder: &Path, file: u64, codec: &Codec) -> io::Result<(File, Position)> {
    let mut options = OpenOptions::new();
    options.append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let path = folder.join(file_name(file));
    let mut opened = options.open(&path)?;
    let head = codec.head();
    if let Err(error) = opened.write_all(&head) {
        // the next attempt takes the same number
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    let bytes = head.len() as u64;
    Ok((opened, Position { file, bytes }))
}
