//! Codes and dialogues of the text survey in Redis, for all gateways.
//! Used by [`super::Surveys`]; each step is one script on one key.
//! Never falls back to memory: another gateway could not see what was tried there.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};

use super::{Checked, Mailed, NewCode, Progress};
use crate::StoreError;
use crate::live::link::{Link, Script};
use crate::live::sealing::Sealer;
use crate::seal::Spot;

static PUT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("put.lua")));
static FIND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("find.lua")));
static CHECK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("check.lua")));
static KEEP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("keep.lua")));
static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));
static WITHDRAW: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('HDEL', KEYS[1], ARGV[1])"));
static FORGET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], 'version') == ARGV[1] then return redis.call('DEL', KEYS[1]) end \
         return 0",
    )
});

/// Codes and dialogues of all gateways.
#[derive(Debug, Clone)]
pub(in crate::live) struct Shared {
    link: Link,
    sealer: Sealer,
}

impl Shared {
    pub(in crate::live) const fn new(link: Link, sealer: Sealer) -> Self {
        Self { link, sealer }
    }

    fn key(&self, kind: &str, (tenant, id): (&str, &str)) -> [String; 1] {
        [self.link.key(&format!("survey:{tenant}:{id}"), kind)]
    }

    pub(super) async fn put_code(
        &self,
        tenant: &str,
        new: &NewCode,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let arguments = [
            new.code.clone(),
            now.timestamp_millis().to_string(),
            new.expires_at.timestamp_millis().to_string(),
        ];
        let key = self.key("codes", (tenant, &new.mailbox));
        let _: u64 = self.link.run(&PUT, &key, &arguments).await?;
        Ok(())
    }

    pub(super) async fn find_code(
        &self,
        tenant: &str,
        mailbox: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Mailed>, StoreError> {
        let key = self.key("codes", (tenant, mailbox));
        let now = [now.timestamp_millis().to_string()];
        let times: Vec<i64> = self.link.run(&FIND, &key, &now).await?;
        let at = |index: usize| {
            times
                .get(index)
                .and_then(|ms| DateTime::from_timestamp_millis(*ms))
        };
        Ok(at(0).zip(at(1)).map(|(created_at, expires_at)| Mailed {
            created_at,
            expires_at,
        }))
    }

    pub(super) async fn check_code(
        &self,
        tenant: &str,
        (mailbox, code): (&str, &str),
        attempts: u32,
        now: DateTime<Utc>,
    ) -> Result<Checked, StoreError> {
        let key = self.key("codes", (tenant, mailbox));
        let arguments = [
            code.to_owned(),
            now.timestamp_millis().to_string(),
            attempts.to_string(),
        ];
        let answer: i64 = self.link.run(&CHECK, &key, &arguments).await?;
        Ok(match u32::try_from(answer) {
            Ok(0) => Checked::Burned,
            Ok(left) => Checked::Wrong { left },
            Err(_) if answer == -1 => Checked::Right,
            Err(_) => Checked::None,
        })
    }

    pub(super) async fn withdraw_code(
        &self,
        tenant: &str,
        (mailbox, code): (&str, &str),
    ) -> Result<(), StoreError> {
        let key = self.key("codes", (tenant, mailbox));
        let _: u64 = self.link.run(&WITHDRAW, &key, &[code]).await?;
        Ok(())
    }

    pub(super) async fn keep(
        &self,
        tenant: &str,
        (id, version): (&str, i64),
        content: &str,
        ttl_ms: i64,
    ) -> Result<bool, StoreError> {
        let sealing = self.sealer.own().await?;
        let content = sealing.seal(spot(tenant, &[id]), content)?;
        let arguments = [
            version.to_string().into_bytes(),
            ttl_ms.to_string().into_bytes(),
            sealing.wrapped.clone().into_bytes(),
            content,
        ];
        let arguments = arguments.each_ref().map(Vec::as_slice);
        let key = self.key("dialogue", (tenant, id));
        let kept: u64 = self.link.run(&KEEP, &key, &arguments).await?;
        Ok(kept == 1)
    }

    pub(super) async fn take(
        &self,
        tenant: &str,
        id: &str,
        ttl_ms: i64,
    ) -> Result<Option<Progress>, StoreError> {
        let key = self.key("dialogue", (tenant, id));
        let taken: Option<(i64, String, Vec<u8>)> =
            self.link.run(&TAKE, &key, &[ttl_ms.to_string()]).await?;
        let Some((version, wrapped, stored)) = taken else {
            return Ok(None);
        };
        let sealing = self.sealer.of(&wrapped).await?;
        let content = sealing.open(spot(tenant, &[id]), stored)?;
        Ok(Some(Progress { version, content }))
    }

    pub(super) async fn forget(
        &self,
        tenant: &str,
        (id, version): (&str, i64),
    ) -> Result<(), StoreError> {
        let key = self.key("dialogue", (tenant, id));
        let _: u64 = self.link.run(&FORGET, &key, &[version.to_string()]).await?;
        Ok(())
    }
}

const fn spot<'a>(tenant: &'a str, row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        tenant,
        table: "survey_dialogues",
        row,
    }
}
