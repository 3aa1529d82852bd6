//! What the database says of keys and of tenants, for a minute, so that not every gateway asks it.
//! Asked by `gateway::auth` between its own memory and the database; told by whoever changes a key or a tenant.
//! Never keeps what was read before a change: who asks gets a mark, and what he tells with a mark that a change has taken
//! away is dropped, in one step inside Redis.
//!
//! A change is announced before it is stored, and its end afterwards. In between nothing is kept, so that a process that dies
//! with half of it done leaves nothing behind that is no longer true. A process without Redis has nothing of it: the
//! database lies beside it, and another process may change a key there without a word.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::timeout;

use super::link::{Away, Health, Link, Script};
use super::sealing::Sealer;
use crate::hex;
use crate::seal::{KeyError, Spot};

/// For how long something is known, in ms.
pub const KNOWN_MS: u64 = 60_000;
/// For how long a mark lasts that nobody tells anything with, in ms: longer than what is known.
const MARK_MS: u64 = 2 * KNOWN_MS;
/// For how long nothing is kept while a change is under way, in ms. A change that takes longer than that may be read too early:
/// whoever configures how long the database may take keeps below it.
pub const CHANGE_MS: u64 = 30_000;
/// Whoever keeps the keys has so long to open or to make one; the database answers sooner.
const OPEN_WITHIN: Duration = Duration::from_millis(500);
/// Between two attempts to say that something was changed, while Redis is away.
const AGAIN: Duration = Duration::from_millis(250);
/// Attempts; after that nothing is known any more that was known before.
const ATTEMPTS: u64 = KNOWN_MS / 250;

static ASK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("facts/ask.lua")));
static TELL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("facts/tell.lua")));
static CHANGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("facts/change.lua")));

/// What something is known of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// An API key, by a keyed hash of its public id.
    Key(&'a str),
    /// A tenant, by its id.
    Tenant(&'a str),
}

/// From before the database was asked: lets its answer in, unless something was changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(String);

/// A change under way: nothing is known of its subject until it is over, or has run out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "whoever announces a change says when it is over"]
pub struct Change(String);

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// This, as it was told.
    Known(String),
    /// Nothing: ask the database, and tell what it says with this mark. There is none while something is being changed.
    Unknown(Option<Mark>),
    /// Redis does not answer, or there is none.
    Away,
}

/// What is known of keys and tenants; clones share it.
#[derive(Debug, Clone)]
pub struct Facts {
    shared: Option<Shared>,
}

#[derive(Debug, Clone)]
struct Shared {
    link: Link,
    sealer: Sealer,
}

impl Facts {
    /// Of a process that has the database alone.
    pub const fn none() -> Self {
        Self { shared: None }
    }

    pub(super) const fn redis(link: Link, sealer: Sealer) -> Self {
        Self {
            shared: Some(Shared { link, sealer }),
        }
    }

    /// Whether there is somebody to ask.
    pub fn is_here(&self) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|shared| shared.link.health() == Health::Here)
    }

    /// What is known of `subject`.
    pub async fn ask(&self, subject: Subject<'_>) -> Asked {
        let Some(shared) = &self.shared else {
            return Asked::Away;
        };
        let Some(fresh) = fresh() else {
            return Asked::Unknown(None);
        };
        let arguments = [fresh, MARK_MS.to_string()];
        let keys = shared.keys(subject);
        let answer: Result<Vec<Vec<u8>>, Away> = shared.link.run(&ASK, &keys, &arguments).await;
        let Ok(answer) = answer else {
            return Asked::Away;
        };
        let mark = answer
            .first()
            .map(|mark| String::from_utf8_lossy(mark).into_owned());
        let mark = mark.filter(|mark| !mark.is_empty()).map(Mark);
        let Some(known) = answer.into_iter().nth(1) else {
            return Asked::Unknown(mark);
        };
        // whoever keeps the keys may say nothing: the database is not far
        match timeout(OPEN_WITHIN, shared.open(subject, &known)).await {
            Ok(Ok(text)) => Asked::Known(text),
            Ok(Err(error)) => {
                tracing::warn!(%error, "what redis knows of a key cannot be opened; the database is asked");
                Asked::Unknown(mark)
            }
            Err(_) => Asked::Unknown(mark),
        }
    }

    /// Keeps what the database said of `subject`; says whether it is kept.
    pub async fn tell(&self, subject: Subject<'_>, mark: &Mark, text: &str) -> bool {
        let Some(shared) = &self.shared else {
            return false;
        };
        let sealed = match timeout(OPEN_WITHIN, shared.seal(subject, text)).await {
            Ok(Ok(sealed)) => sealed,
            Ok(Err(error)) => {
                tracing::warn!(%error, "what the database says of a key cannot be sealed and is not kept");
                return false;
            }
            Err(_) => return false,
        };
        let arguments = [
            mark.0.clone().into_bytes(),
            sealed,
            KNOWN_MS.to_string().into_bytes(),
            MARK_MS.to_string().into_bytes(),
        ];
        let keys = shared.keys(subject);
        let kept = shared.link.run(&TELL, &keys, &arguments).await;
        kept.unwrap_or(false)
    }

    /// Says that `subject` is about to be changed in the database: nothing is known of it until [`Self::changed`] with what
    /// this gives. Others may be changing it at the same time.
    pub async fn changing(&self, subject: Subject<'_>) -> Change {
        // without chance all changes are one, and the first that is over ends it
        let change = Change(fresh().unwrap_or_default());
        if let Some(shared) = &self.shared {
            // whoever was not reached now is reached after the change
            let _ = shared.change(subject, &change, CHANGE_MS).await;
        }
        change
    }

    /// Says that a change is over. A Redis that is away is told when it is back.
    ///
    /// # Errors
    /// [`Away`]: until Redis is told, others that still reach it may take for true what it knew, a minute at most.
    pub async fn changed(&self, subject: Subject<'_>, change: Change) -> Result<(), Away> {
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        let told = shared.change(subject, &change, 0).await;
        if told.is_err() {
            let (shared, keys) = (shared.clone(), shared.keys(subject));
            tokio::spawn(async move {
                let arguments = [change.0, "0".to_owned()];
                for _ in 0..ATTEMPTS {
                    tokio::time::sleep(AGAIN).await;
                    let told: Result<u64, Away> = shared.link.run(&CHANGE, &keys, &arguments).await;
                    if told.is_ok() {
                        return;
                    }
                }
            });
        }
        told
    }
}

/// A name that nobody else has; `None` where the system has no chance to give.
fn fresh() -> Option<String> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    Some(hex(&random))
}

impl Shared {
    async fn change(
        &self,
        subject: Subject<'_>,
        change: &Change,
        within_ms: u64,
    ) -> Result<(), Away> {
        let arguments = [change.0.clone(), within_ms.to_string()];
        let keys = self.keys(subject);
        let _: u64 = self.link.run(&CHANGE, &keys, &arguments).await?;
        Ok(())
    }

    fn keys(&self, subject: Subject<'_>) -> [String; 3] {
        let tag = match subject {
            Subject::Key(name) => format!("key:{name}"),
            Subject::Tenant(id) => format!("tenant:{id}"),
        };
        ["known", "mark", "changing"].map(|key| self.link.key(&tag, key))
    }

    /// The wrapped key with its length before it, and the sealed text behind it.
    async fn seal(&self, subject: Subject<'_>, text: &str) -> Result<Vec<u8>, KeyError> {
        let sealing = self.sealer.own().await?;
        let wrapped = sealing.wrapped.as_bytes();
        let length = u32::try_from(wrapped.len()).map_err(|_| KeyError::Foreign)?;
        let mut sealed = length.to_be_bytes().to_vec();
        sealed.extend_from_slice(wrapped);
        let (table, row) = names(subject);
        sealed.extend(sealing.seal(spot(table, &row), text)?);
        Ok(sealed)
    }

    async fn open(&self, subject: Subject<'_>, sealed: &[u8]) -> Result<String, KeyError> {
        let (length, rest) = sealed.split_first_chunk().ok_or(KeyError::Damaged)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (wrapped, text) = rest.split_at_checked(length).ok_or(KeyError::Damaged)?;
        let wrapped = std::str::from_utf8(wrapped).map_err(|_| KeyError::Damaged)?;
        let sealing = self.sealer.of(wrapped).await?;
        let (table, row) = names(subject);
        sealing.open(spot(table, &row), text.to_vec())
    }
}

const fn names(subject: Subject<'_>) -> (&'static str, [&str; 1]) {
    match subject {
        Subject::Key(name) => ("known key", [name]),
        Subject::Tenant(id) => ("known tenant", [id]),
    }
}

/// Where a text lies: that of one key opens for no other.
const fn spot<'a>(table: &'static str, row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        tenant: "",
        table,
        row,
    }
}
