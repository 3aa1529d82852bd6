//! Live sessions of all gateways, in Redis.
//! Used by [`super::Sessions`]; each step is one script on the keys of one session, which share a slot.
//! Never falls back to memory: another gateway could not see what was written there.

use std::sync::{Arc, LazyLock};

use super::{
    ALIVE_S, Changes, Heard, Hold, Holding, ITEMS_MAX, KEPT_S, Kept, LiveItem, Presence,
    SessionsError,
};
use crate::live::link::{Link, Script};
use crate::live::sealing::{Sealer, Sealing};
use crate::seal::{KeyError, Spot};

static WRITE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("write.lua")));
static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim.lua")));
static FIND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("find.lua")));
static END: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("end.lua")));
static KEY: LazyLock<Script> = LazyLock::new(|| {
    // the wrapped key, where there is such a session in the project
    Script::new(
        "local known = redis.call('HMGET', KEYS[1], 'project', 'key') \
         return known[1] == ARGV[1] and (known[2] or '') or false",
    )
});
static LIST: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("list.lua")));
static UNLIST: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("unlist.lua")));
static LISTED: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2])"));
static STRIKE: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('ZREM', KEYS[1], ARGV[1])"));

/// How long the list of a tenant's sessions outlasts the last that began: longer than any session, in ms.
const LIST_MS: i64 = 30 * 24 * 3600 * 1000;
/// A session that began so recently may be written a moment after it was forgotten, and is looked for again, in ms.
const RECENT_MS: i64 = 60_000;
/// Sessions of a tenant that are read at a time.
const PAGE: usize = 500;
/// A session is written whole with another key this often at most while somebody takes it over.
const CLAIMS: usize = 8;

/// Bytes of an argument.
type Bytes = Vec<u8>;

/// The sessions of all gateways.
#[derive(Debug, Clone)]
pub struct Shared {
    link: Link,
    sealer: Sealer,
}

/// Everything that is said at once.
struct Saying<'a> {
    hold: &'a Hold,
    node: &'a str,
    /// Where the session is written whole.
    project: &'a str,
}

impl Shared {
    pub(super) const fn new(link: Link, sealer: Sealer) -> Self {
        Self { link, sealer }
    }

    pub(super) async fn begin(
        &self,
        hold: &mut Hold,
        (project, node): (&str, &str),
        kept: &Kept,
    ) -> Result<Heard, SessionsError> {
        hold.sealing = Some(self.sealer.own().await?);
        let saying = Saying {
            hold,
            node,
            project,
        };
        let changes = Changes {
            head: Some(kept.head.clone()),
            state: Some(kept.state.clone()),
            put: kept.items.clone(),
            removed: Vec::new(),
            parted: kept.parted.clone(),
        };
        // first of all, so that none is kept that could not be found
        self.list(&hold.tenant, &hold.id).await?;
        self.say(&saying, &changes).await
    }

    /// Notes a session among its tenant's, and strikes out up to two that are there no more.
    async fn list(&self, tenant: &str, id: &str) -> Result<(), SessionsError> {
        let arguments = [
            id.to_owned(),
            (KEPT_S * 1000).to_string(),
            LIST_MS.to_string(),
        ];
        let key = [self.listed(tenant)];
        let old: Vec<String> = self.link.run(&LIST, &key, &arguments).await?;
        for id in old {
            if self.find(tenant, &id).await?.is_none() {
                let _: u64 = self.link.run(&STRIKE, &key, &[id]).await?;
            } else {
                let arguments = [&id, &arguments[1], &arguments[2]];
                let _: Vec<String> = self.link.run(&LIST, &key, &arguments).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn forget(&self, tenant: &str) -> Result<u64, SessionsError> {
        let key = [self.listed(tenant)];
        let (mut from, mut forgotten) = (0, 0);
        loop {
            let arguments = [from.to_string(), (from + PAGE - 1).to_string()];
            let page: Vec<String> = self.link.run(&LISTED, &key, &arguments).await?;
            for id in &page {
                forgotten += u64::from(self.find(tenant, id).await?.is_some());
                let _: u64 = self.link.run(&END, &self.keys(tenant, id), &[""]).await?;
            }
            if page.len() < PAGE {
                break;
            }
            from += PAGE;
        }
        let _: u64 = self
            .link
            .run(&UNLIST, &key, &[RECENT_MS.to_string()])
            .await?;
        Ok(forgotten)
    }

    pub(super) async fn write(
        &self,
        hold: &Hold,
        changes: &Changes,
    ) -> Result<Heard, SessionsError> {
        let saying = Saying {
            hold,
            node: "",
            project: "",
        };
        self.say(&saying, changes).await
    }

    pub(super) async fn end(&self, hold: &Hold) -> Result<(), SessionsError> {
        let keys = self.keys(&hold.tenant, &hold.id);
        let arguments = [hold.number.to_string()];
        let is_gone: bool = self.link.run(&END, &keys, &arguments).await?;
        if is_gone {
            let key = [self.listed(&hold.tenant)];
            let _: u64 = self.link.run(&STRIKE, &key, &[&hold.id]).await?;
        }
        Ok(())
    }

    pub(super) async fn find(
        &self,
        tenant: &str,
        id: &str,
    ) -> Result<Option<Presence>, SessionsError> {
        let [record, _, _, alive] = self.keys(tenant, id);
        let nothing: [&str; 0] = [];
        let found: Vec<String> = self.link.run(&FIND, &[record, alive], &nothing).await?;
        let Ok([project, node, holding]) = <[String; 3]>::try_from(found) else {
            return Ok(None);
        };
        let holding = match holding.as_str() {
            "alive" => Holding::Alive,
            "parted" => Holding::Parted,
            _ => Holding::Silent,
        };
        Ok(Some(Presence {
            project,
            node,
            holding,
        }))
    }

    pub(super) async fn claim(
        &self,
        (tenant, project): (&str, &str),
        id: &str,
        node: &str,
    ) -> Result<Option<(u64, Kept)>, SessionsError> {
        let Some((sealing, answer)) = self.take_over((tenant, project), id, node).await? else {
            return Ok(None);
        };
        let Some((head, items)) = answer.split_at_checked(6) else {
            return Ok(None);
        };
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let open = |part: &str, stored: &Bytes| -> Result<String, KeyError> {
            if stored.is_empty() {
                return Ok(String::new());
            }
            sealing.open(spot(tenant, &[id, part]), stored.clone())
        };
        let parted = (head[4] == b"1").then(|| open("parted", &head[5]));
        let mut kept = Kept {
            head: open("head", &head[2])?,
            state: open("state", &head[3])?,
            items: Vec::with_capacity(items.len() / 3),
            parted: parted.transpose()?,
        };
        for item in items.chunks_exact(3) {
            let item_id = text(&item[0]);
            kept.items.push(LiveItem {
                position: text(&item[1]).parse().unwrap_or_default(),
                content: sealing.open(spot(tenant, &[id, "item", &item_id]), item[2].clone())?,
                id: item_id,
            });
        }
        let number = text(&head[0]).parse().unwrap_or_default();
        Ok(Some((number, kept)))
    }

    /// Counts the hold up and says what is kept. Refused before anything is changed where the session's key cannot be had:
    /// whoever can open it still finds everything.
    async fn take_over(
        &self,
        (tenant, project): (&str, &str),
        id: &str,
        node: &str,
    ) -> Result<Option<(Arc<Sealing>, Vec<Bytes>)>, SessionsError> {
        let keys = self.keys(tenant, id);
        let found: Option<String> = self.link.run(&KEY, &keys[..1], &[project]).await?;
        let Some(mut wrapped) = found else {
            return Ok(None);
        };
        for _ in 0..CLAIMS {
            let sealing = self.sealer.of(&wrapped).await?;
            let arguments = [
                project.to_owned(),
                node.to_owned(),
                (KEPT_S * 1000).to_string(),
                (ALIVE_S * 1000).to_string(),
                wrapped,
            ];
            let answer: Vec<Bytes> = self.link.run(&CLAIM, &keys, &arguments).await?;
            let [other] = answer.as_slice() else {
                return Ok(Some((sealing, answer)));
            };
            wrapped = String::from_utf8_lossy(other).into_owned();
        }
        Err(SessionsError::Contended)
    }

    async fn say(&self, saying: &Saying<'_>, changes: &Changes) -> Result<Heard, SessionsError> {
        let Hold {
            tenant,
            id,
            number,
            sealing,
        } = saying.hold;
        if sealing.is_none() && *changes != Changes::default() {
            // all of a session opens with the key that it was written whole with
            return Ok(Heard::Absent);
        }
        let seal = |part: &[&str], text: &str| match sealing {
            Some(sealing) => sealing.seal(spot(tenant, part), text),
            None => Ok(Bytes::new()),
        };
        let part = |name: &str, text: Option<&String>| -> Result<Bytes, KeyError> {
            let Some(text) = text else {
                return Ok(Bytes::new());
            };
            let mut marked = vec![b'+'];
            marked.extend(seal(&[id, name], text)?);
            Ok(marked)
        };
        let wrapped = sealing.as_ref().map(|sealing| sealing.wrapped.clone());
        let wrapped = wrapped.unwrap_or_default();
        let mut arguments: Vec<Bytes> = vec![
            number.to_string().into(),
            saying.node.into(),
            (KEPT_S * 1000).to_string().into(),
            (ALIVE_S * 1000).to_string().into(),
            ITEMS_MAX.to_string().into(),
            saying.project.into(),
            wrapped.into(),
            part("head", changes.head.as_ref())?,
            part("state", changes.state.as_ref())?,
            part("parted", changes.parted.as_ref())?,
            changes.removed.len().to_string().into(),
        ];
        arguments.extend(changes.removed.iter().map(|id| id.clone().into()));
        for item in &changes.put {
            let sealed = seal(&[id, "item", &item.id], &item.content)?;
            arguments.extend([
                item.id.clone().into(),
                item.position.to_string().into(),
                sealed,
            ]);
        }
        let keys = self.keys(tenant, id);
        Ok(match self.link.run(&WRITE, &keys, &arguments).await? {
            0 => Heard::Done,
            1 => Heard::Lost,
            _ => Heard::Absent,
        })
    }

    fn listed(&self, tenant: &str) -> String {
        self.link.key(&format!("sessions:{tenant}"), "kept")
    }

    fn keys(&self, tenant: &str, id: &str) -> [String; 4] {
        let tag = format!("session:{tenant}:{id}");
        ["record", "items", "order", "alive"].map(|key| self.link.key(&tag, key))
    }
}

/// Where a text lies.
const fn spot<'a>(tenant: &'a str, row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        tenant,
        table: "live session",
        row,
    }
}
