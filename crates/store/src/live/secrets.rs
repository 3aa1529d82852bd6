//! Ephemeral client secrets (`ek_…`): each starts one connection and then is gone.
//! Put by `POST /v1/realtime/client_secrets`, taken by `gateway::auth`.
//! Never holds the secret itself: what is kept is found by its SHA-256.

mod memory;
mod redis;

use aws_lc_rs::digest;
use serde_json::Value;

use self::memory::Memory;
use self::redis::Shared;
use super::link::Link;
use crate::StoreError;

/// Longest life of a client secret, in s.
pub const LIFETIME_MAX_S: u32 = 600;

/// What a secret stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSecret {
    /// Whose key made it.
    pub tenant: String,
    /// The project of that key.
    pub project: String,
    /// Public id of that key.
    pub key_id: String,
    /// The session's configuration, as its maker sent it.
    pub session: Value,
    /// Unix time after which it starts nothing, in s; at most [`LIFETIME_MAX_S`] from when it is put.
    pub expires_at: i64,
}

/// The secrets waiting to be used; clones share them.
#[derive(Debug, Clone)]
pub enum Secrets {
    /// In this process: they end with it.
    Memory(Memory),
    /// In Redis: made by one gateway, used at any.
    Redis(Shared),
}

impl Secrets {
    /// Keeps in memory at most `limit` secrets whose sessions have at most `limit_bytes` bytes of JSON together.
    pub fn memory(limit: usize, limit_bytes: usize) -> Self {
        Self::Memory(Memory::new(limit, limit_bytes))
    }

    /// Keeps in Redis at most `limit` secrets that have at most `limit_bytes` bytes of JSON together.
    pub fn redis(link: Link, limit: usize, limit_bytes: usize) -> Self {
        Self::Redis(Shared::new(link, limit, limit_bytes))
    }

    /// Keeps `entry` for whoever shows `secret`, until it expires. `now` is Unix time in s.
    ///
    /// # Errors
    /// [`StoreError::Full`] when `limit` unexpired secrets are waiting, [`StoreError::FullBytes`] when their sessions
    /// and this one exceed `limit_bytes`, [`StoreError::RedisAway`].
    pub async fn put(
        &self,
        secret: &str,
        mut entry: ClientSecret,
        now: i64,
    ) -> Result<(), StoreError> {
        let latest = now.saturating_add(LIFETIME_MAX_S.into());
        entry.expires_at = entry.expires_at.min(latest);
        let digest = digest_of(secret);
        match self {
            Self::Memory(memory) => memory.put(digest, entry, now),
            Self::Redis(shared) => shared.put(digest, &entry, now).await,
        }
    }

    /// Hands out what `secret` stands for, once: a second taker, or one who comes too late, gets nothing.
    ///
    /// # Errors
    /// [`StoreError::RedisAway`]: nobody else can say whether it was used.
    pub async fn take(&self, secret: &str, now: i64) -> Result<Option<ClientSecret>, StoreError> {
        let digest = digest_of(secret);
        match self {
            Self::Memory(memory) => Ok(memory.take(&digest, now)),
            Self::Redis(shared) => shared.take(digest, now).await,
        }
    }

    /// Forgets the secrets that have expired by `now`, Unix time in s. Redis does so by itself.
    pub fn purge(&self, now: i64) {
        match self {
            Self::Memory(memory) => memory.purge(now),
            Self::Redis(_) => {}
        }
    }

    /// Secrets waiting; expired ones may still be among them.
    ///
    /// # Errors
    /// [`StoreError::RedisAway`].
    pub async fn waiting(&self) -> Result<usize, StoreError> {
        match self {
            Self::Memory(memory) => Ok(memory.len()),
            Self::Redis(shared) => shared.len().await,
        }
    }
}

type Digest = [u8; digest::SHA256_OUTPUT_LEN];

fn digest_of(secret: &str) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    bytes
}
