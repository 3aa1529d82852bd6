//! Live sessions of one process: a client whose connection was lost comes back to the same server.
//! Used by [`super::Sessions`] where there is no Redis.
//! Never outlives the process, and never takes more room than it was given: those whose clients have gone make way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ALIVE_S, Changes, Heard, Hold, Holding, ITEMS_MAX, KEPT_S, Kept, LiveItem, Presence};

/// What an entry takes beside its texts, about.
const ENTRY_BYTES: usize = 256;

#[derive(Debug)]
struct Entry {
    number: u64,
    project: Box<str>,
    node: Box<str>,
    kept: Kept,
    touched: i64,
    bytes: usize,
}

type Key = (Box<str>, Box<str>);

#[derive(Debug, Default)]
struct Held {
    /// Boxed: the map keeps room for twice as many.
    entries: HashMap<Key, Box<Entry>>,
    bytes: usize,
}

/// The sessions of this process; clones share them.
#[derive(Debug, Clone)]
pub struct Memory {
    held: Arc<Mutex<Held>>,
    limit_bytes: usize,
}

impl Memory {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            held: Arc::default(),
            limit_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(
        &self,
        hold: &Hold,
        (project, node): (&str, &str),
        kept: &Kept,
        now: i64,
    ) -> Heard {
        let mut all = self.lock();
        let key = key(&hold.tenant, &hold.id);
        if all
            .entries
            .get(&key)
            .is_some_and(|entry| entry.number > hold.number)
        {
            return Heard::Lost;
        }
        all.remove(&key);
        let entry = Box::new(Entry {
            number: hold.number,
            project: project.into(),
            node: node.into(),
            bytes: size(kept),
            kept: kept.clone(),
            touched: now,
        });
        all.insert(&key, entry, self.limit_bytes, now)
    }

    pub(super) fn write(&self, hold: &Hold, changes: &Changes, now: i64) -> Heard {
        let mut all = self.lock();
        let key = key(&hold.tenant, &hold.id);
        let Some(entry) = all.entries.get_mut(&key) else {
            return Heard::Absent;
        };
        if entry.number > hold.number {
            return Heard::Lost;
        }
        entry.touched = now;
        if *changes == Changes::default() {
            return Heard::Done;
        }
        apply(&mut entry.kept, changes);
        let (before, after) = (entry.bytes, size(&entry.kept));
        entry.bytes = after;
        all.bytes = all.bytes - before + after;
        if all.bytes > self.limit_bytes {
            all.make_room(self.limit_bytes, now);
        }
        if all.bytes > self.limit_bytes {
            all.remove(&key);
        }
        if all.entries.contains_key(&key) {
            Heard::Done
        } else {
            Heard::Absent
        }
    }

    pub(super) fn end(&self, hold: &Hold) {
        let mut all = self.lock();
        let key = key(&hold.tenant, &hold.id);
        if all
            .entries
            .get(&key)
            .is_some_and(|entry| entry.number <= hold.number)
        {
            all.remove(&key);
        }
    }

    pub(super) fn forget(&self, tenant: &str) -> u64 {
        let mut all = self.lock();
        let before = all.entries.len();
        all.entries.retain(|(whose, _), _| **whose != *tenant);
        all.bytes = all.entries.values().map(|entry| entry.bytes).sum();
        (before - all.entries.len()) as u64
    }

    pub(super) fn find(&self, tenant: &str, id: &str, now: i64) -> Option<Presence> {
        let all = self.lock();
        let entry = all.entries.get(&key(tenant, id))?;
        if entry.touched + KEPT_S <= now {
            return None;
        }
        let holding = if entry.kept.parted.is_some() {
            Holding::Parted
        } else if entry.touched + ALIVE_S > now {
            Holding::Alive
        } else {
            Holding::Silent
        };
        Some(Presence {
            project: entry.project.to_string(),
            node: entry.node.to_string(),
            holding,
        })
    }

    pub(super) fn claim(
        &self,
        (tenant, project): (&str, &str),
        id: &str,
        node: &str,
        now: i64,
    ) -> Option<(u64, Kept)> {
        let mut all = self.lock();
        let entry = all.entries.get_mut(&key(tenant, id))?;
        if *entry.project != *project || entry.touched + KEPT_S <= now {
            return None;
        }
        entry.number += 1;
        entry.node = node.into();
        entry.touched = now;
        let kept = entry.kept.clone();
        entry.kept.parted = None;
        Some((entry.number, kept))
    }

    pub(super) fn purge(&self, now: i64) {
        self.lock().purge(now);
    }
}

impl Held {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
        }
    }

    fn insert(&mut self, key: &Key, entry: Box<Entry>, limit: usize, now: i64) -> Heard {
        self.bytes += entry.bytes;
        self.entries.insert(key.clone(), entry);
        if self.bytes > limit {
            self.make_room(limit, now);
        }
        if self.bytes > limit {
            self.remove(key);
            return Heard::Absent;
        }
        Heard::Done
    }

    /// Forgets those whose clients have gone, the longest gone first, until the rest fits.
    fn make_room(&mut self, limit: usize, now: i64) {
        self.purge(now);
        let mut parted = Vec::new();
        for (key, entry) in &self.entries {
            if entry.kept.parted.is_some() {
                parted.push((entry.touched, key.clone()));
            }
        }
        parted.sort_unstable();
        for (_, key) in parted {
            if self.bytes <= limit {
                return;
            }
            self.remove(&key);
        }
    }

    fn purge(&mut self, now: i64) {
        self.entries.retain(|_, entry| entry.touched + KEPT_S > now);
        self.bytes = self.entries.values().map(|entry| entry.bytes).sum();
        // what a rush of sessions took is given back once they are gone
        self.entries.shrink_to(self.entries.len() * 2);
    }
}

fn key(tenant: &str, id: &str) -> Key {
    (tenant.into(), id.into())
}

fn size(kept: &Kept) -> usize {
    let items = kept.items.iter();
    let items: usize = items
        .map(|item| item.id.len() + item.content.len() + size_of::<LiveItem>())
        .sum();
    ENTRY_BYTES
        + kept.head.len()
        + kept.state.len()
        + kept.parted.as_deref().map_or(0, str::len)
        + items
}

fn apply(kept: &mut Kept, changes: &Changes) {
    if let Some(head) = &changes.head {
        kept.head.clone_from(head);
    }
    if let Some(state) = &changes.state {
        kept.state.clone_from(state);
    }
    if changes.parted.is_some() {
        kept.parted.clone_from(&changes.parted);
    }
    let gone = |id: &str| {
        changes.removed.iter().any(|removed| removed == id)
            || changes.put.iter().any(|item| item.id == id)
    };
    kept.items.retain(|item| !gone(&item.id));
    for item in &changes.put {
        let order =
            |it: &LiveItem| (it.position, it.id.as_str()) < (item.position, item.id.as_str());
        let at = kept.items.partition_point(order);
        kept.items.insert(at, item.clone());
    }
    let over = kept.items.len().saturating_sub(ITEMS_MAX);
    kept.items.drain(..over);
}
