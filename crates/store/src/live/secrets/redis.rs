//! Client secrets of all gateways, in Redis.
//! Used by [`super::Secrets`]; both steps are scripts, so that of many takers one wins.
//! Never falls back to memory: another gateway could not see what was put or used there.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ClientSecret, Digest};
use crate::live::link::{Link, SECRETS, Script};
use crate::{StoreError, hex};

static PUT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("put.lua")));
static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));
static COUNT: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('ZCARD', KEYS[1])"));

/// A secret as Redis keeps it.
#[derive(Serialize, Deserialize)]
struct Entry {
    tenant: String,
    project: String,
    key_id: String,
    session: Value,
    expires_at: i64,
}

/// The secrets of all gateways.
#[derive(Debug, Clone)]
pub struct Shared {
    link: Link,
    limit: usize,
    limit_bytes: usize,
}

impl Shared {
    pub(super) fn new(link: Link, limit: usize, limit_bytes: usize) -> Self {
        Self {
            link,
            limit,
            limit_bytes,
        }
    }

    pub(super) async fn put(
        &self,
        digest: Digest,
        secret: &ClientSecret,
        now: i64,
    ) -> Result<(), StoreError> {
        let entry = Entry {
            tenant: secret.tenant.clone(),
            project: secret.project.clone(),
            key_id: secret.key_id.clone(),
            session: secret.session.clone(),
            expires_at: secret.expires_at,
        };
        let digest = hex(&digest);
        let keys = self.keys(&digest);
        let arguments = [
            digest,
            // strings, numbers and a value that was read as JSON: always text again
            serde_json::to_string(&entry).unwrap_or_default(),
            secret.expires_at.to_string(),
            now.to_string(),
            self.limit.to_string(),
            self.limit_bytes.to_string(),
        ];
        match self.link.run(&PUT, &keys, &arguments).await? {
            1 => Err(StoreError::Full { limit: self.limit }),
            2 => Err(StoreError::FullBytes {
                limit: self.limit_bytes,
            }),
            _ => Ok(()),
        }
    }

    pub(super) async fn take(
        &self,
        digest: Digest,
        now: i64,
    ) -> Result<Option<ClientSecret>, StoreError> {
        let digest = hex(&digest);
        let keys = self.keys(&digest);
        let entry: Option<String> = self.link.run(&TAKE, &keys, &[digest]).await?;
        // what does not parse was put by nobody we know
        let entry = entry.and_then(|text| serde_json::from_str::<Entry>(&text).ok());
        Ok(entry
            .filter(|entry| entry.expires_at > now)
            .map(|entry| ClientSecret {
                tenant: entry.tenant,
                project: entry.project,
                key_id: entry.key_id,
                session: entry.session,
                expires_at: entry.expires_at,
            }))
    }

    pub(super) async fn len(&self) -> Result<usize, StoreError> {
        let [_, index, _] = self.keys("");
        let none: [&str; 0] = [];
        Ok(self.link.run(&COUNT, &[index], &none).await?)
    }

    fn keys(&self, digest: &str) -> [String; 3] {
        [
            self.link.key(SECRETS, &format!("entry:{digest}")),
            self.link.key(SECRETS, "waiting"),
            self.link.key(SECRETS, "bytes"),
        ]
    }
}
