//! Client secrets of one process.
//! Used by [`super::Secrets`] where there is no Redis.
//! Never outlive the process that made them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ClientSecret, Digest};
use crate::StoreError;

/// A secret as it waits: its session as text, whose size is known and far below that of the parsed value.
#[derive(Debug)]
struct Entry {
    tenant: String,
    project: String,
    key_id: String,
    session: Box<str>,
    expires_at: i64,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: HashMap<Digest, Entry>,
    /// Length of all sessions.
    bytes: usize,
}

impl Waiting {
    fn purge(&mut self, now: i64) {
        self.entries.retain(|_, entry| entry.expires_at > now);
        self.bytes = self.entries.values().map(|entry| entry.session.len()).sum();
        // what a rush of secrets took is given back once they are gone
        self.entries.shrink_to(self.entries.len() * 2);
    }
}

/// The secrets of this process; clones share them.
#[derive(Debug, Clone)]
pub struct Memory {
    waiting: Arc<Mutex<Waiting>>,
    limit: usize,
    limit_bytes: usize,
}

impl Memory {
    pub(super) fn new(limit: usize, limit_bytes: usize) -> Self {
        Self {
            waiting: Arc::default(),
            limit,
            limit_bytes,
        }
    }

    pub(super) fn put(
        &self,
        digest: Digest,
        entry: ClientSecret,
        now: i64,
    ) -> Result<(), StoreError> {
        let session = entry.session.to_string().into_boxed_str();
        let mut waiting = self.lock();
        let is_full = |waiting: &Waiting| waiting.entries.len() >= self.limit;
        let is_heavy = |waiting: &Waiting| waiting.bytes + session.len() > self.limit_bytes;
        if is_full(&waiting) || is_heavy(&waiting) {
            waiting.purge(now);
        }
        if is_full(&waiting) {
            return Err(StoreError::Full { limit: self.limit });
        }
        if is_heavy(&waiting) {
            return Err(StoreError::FullBytes {
                limit: self.limit_bytes,
            });
        }
        waiting.bytes += session.len();
        let entry = Entry {
            tenant: entry.tenant,
            project: entry.project,
            key_id: entry.key_id,
            session,
            expires_at: entry.expires_at,
        };
        // 256 random bits do not repeat; if a secret did, only the newer may count
        if let Some(former) = waiting.entries.insert(digest, entry) {
            waiting.bytes -= former.session.len();
        }
        Ok(())
    }

    pub(super) fn take(&self, digest: &Digest, now: i64) -> Option<ClientSecret> {
        let entry = {
            let mut waiting = self.lock();
            let entry = waiting.entries.remove(digest)?;
            waiting.bytes -= entry.session.len();
            entry
        };
        if entry.expires_at <= now {
            return None;
        }
        Some(ClientSecret {
            tenant: entry.tenant,
            project: entry.project,
            key_id: entry.key_id,
            // written by `put` from a value, so it is one
            session: serde_json::from_str(&entry.session).ok()?,
            expires_at: entry.expires_at,
        })
    }

    pub(super) fn purge(&self, now: i64) {
        self.lock().purge(now);
    }

    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
