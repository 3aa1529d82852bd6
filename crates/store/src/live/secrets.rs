//! Ephemeral client secrets (`ek_…`): each starts one connection and then is gone.
//! Put by `POST /v1/realtime/client_secrets`, taken by `gateway::auth`.
//! Never holds the secret itself: the map's key is its SHA-256.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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

/// The secrets waiting to be used.
#[derive(Debug, Clone)]
pub struct Secrets {
    waiting: Arc<Mutex<HashMap<Digest, ClientSecret>>>,
    limit: usize,
}

impl Secrets {
    /// Keeps at most `limit` secrets in memory.
    pub fn memory(limit: usize) -> Self {
        Self {
            waiting: Arc::default(),
            limit,
        }
    }

    /// Keeps `entry` for whoever shows `secret`, until it expires. `now` is Unix time in s.
    ///
    /// # Errors
    /// [`StoreError::Full`] when `limit` unexpired secrets are waiting.
    pub fn put(&self, secret: &str, entry: ClientSecret, now: i64) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= self.limit {
            waiting.retain(|_, entry| entry.expires_at > now);
            if waiting.len() >= self.limit {
                return Err(StoreError::Full { limit: self.limit });
            }
        }
        waiting.insert(digest_of(secret), entry);
        Ok(())
    }

    /// Hands out what `secret` stands for, once: a second taker, or one who comes too late, gets nothing.
    pub fn take(&self, secret: &str, now: i64) -> Option<ClientSecret> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting
            .remove(&digest_of(secret))
            .filter(|entry| entry.expires_at > now)
    }

    /// Secrets waiting, expired ones included.
    pub fn len(&self) -> usize {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether none is waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn digest_of(secret: &str) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    bytes
}
