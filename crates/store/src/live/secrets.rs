//! Ephemeral client secrets (`ek_…`): each starts one connection and then is gone.
//! Put by `POST /v1/realtime/client_secrets`, taken by `gateway::auth`.
//! Never holds the secret itself: the map's key is its SHA-256.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use serde_json::Value;

use crate::StoreError;

/// What a secret stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSecret {
    /// Whose key made it.
    pub tenant: String,
    /// Public id of that key.
    pub key_id: String,
    /// The session's configuration, as its maker sent it.
    pub session: Value,
    /// Unix time after which it starts nothing, in s.
    pub expires_at: i64,
}

type Digest = [u8; digest::SHA256_OUTPUT_LEN];

/// A secret as it waits: its session as text, whose size is known and far below that of the parsed value.
#[derive(Debug)]
struct Entry {
    tenant: String,
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

/// The secrets waiting to be used.
#[derive(Debug, Clone)]
pub struct Secrets {
    waiting: Arc<Mutex<Waiting>>,
    limit: usize,
    limit_bytes: usize,
}

impl Secrets {
    /// Keeps in memory at most `limit` secrets whose sessions have at most `limit_bytes` bytes of JSON together.
    pub fn memory(limit: usize, limit_bytes: usize) -> Self {
        Self {
            waiting: Arc::default(),
            limit,
            limit_bytes,
        }
    }

    /// Keeps `entry` for whoever shows `secret`, until it expires. `now` is Unix time in s.
    ///
    /// # Errors
    /// [`StoreError::Full`] when `limit` unexpired secrets are waiting, [`StoreError::FullBytes`] when their sessions
    /// and this one exceed `limit_bytes`.
    pub fn put(&self, secret: &str, entry: ClientSecret, now: i64) -> Result<(), StoreError> {
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
            key_id: entry.key_id,
            session,
            expires_at: entry.expires_at,
        };
        // 256 random bits do not repeat; if a secret did, only the newer may count
        if let Some(former) = waiting.entries.insert(digest_of(secret), entry) {
            waiting.bytes -= former.session.len();
        }
        Ok(())
    }

    /// Hands out what `secret` stands for, once: a second taker, or one who comes too late, gets nothing.
    pub fn take(&self, secret: &str, now: i64) -> Option<ClientSecret> {
        let entry = {
            let mut waiting = self.lock();
            let entry = waiting.entries.remove(&digest_of(secret))?;
            waiting.bytes -= entry.session.len();
            entry
        };
        if entry.expires_at <= now {
            return None;
        }
        Some(ClientSecret {
            tenant: entry.tenant,
            key_id: entry.key_id,
            // written by `put` from a value, so it is one
            session: serde_json::from_str(&entry.session).ok()?,
            expires_at: entry.expires_at,
        })
    }

    /// Forgets the secrets that have expired by `now`, Unix time in s.
    pub fn purge(&self, now: i64) {
        self.lock().purge(now);
    }

    /// Secrets waiting, expired ones included until the next purge.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether none is waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest_of(secret: &str) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    bytes
}
