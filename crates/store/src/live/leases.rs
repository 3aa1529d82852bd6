//! How many conversations run at the same time, over all gateways: a place in each of several limits, or in none.
//! Taken by the gateway before it lets a conversation in, renewed by one task of each gateway, given back on drop.
//! Never drops anybody: a limit that shrinks keeps the next one out, and who runs already stays.
//!
//! In Redis a limit is a sorted set of places with the time until which each holds. A gateway that dies renews nothing,
//! and its places are free [`LEASE_MS`] later. Every place is also written down in this process, so that a gateway knows
//! what to renew, and how many it has when Redis is away.

mod redis;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use self::redis::Shared;
use self::table::Table;
use super::limiter::{Decider, LevelKind};
use super::link::Link;

/// How long a place holds that nobody renews, in ms.
pub const LEASE_MS: u64 = 30_000;
/// How often a gateway renews its places, in ms: two renewals may fail before one is lost.
pub const RENEW_EVERY_MS: u64 = 10_000;

/// A limit that a conversation takes a place in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Whose limit it is.
    pub kind: LevelKind,
    /// Which of them; anything that tells two apart.
    pub id: String,
    /// Places; at least one.
    pub places: u64,
}

impl Room {
    /// What it is kept under.
    fn key(&self) -> String {
        format!("{}:sessions:{}", self.kind.name(), self.id)
    }
}

/// All places of a limit are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Whose limit it is.
    pub kind: LevelKind,
    /// How many places it has.
    pub places: u64,
}

/// Whether there was a place, and who said so.
#[derive(Debug)]
pub struct Entry {
    /// The place.
    pub outcome: Result<Lease, Full>,
    /// Who decided.
    pub decider: Decider,
}

/// Places of conversations; clones share them.
#[derive(Debug, Clone)]
pub struct Leases {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    table: Mutex<Table>,
    /// Raised when a place was left that Redis knows of.
    left: Notify,
    shared: Option<Shared>,
}

impl Parts {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leases {
    /// Places of this process alone.
    pub fn memory() -> Self {
        Self::new(None)
    }

    /// Places in Redis. While it is away this process gives `share_percent` of each limit, to those who run here.
    pub fn redis(link: Link, share_percent: u64) -> Self {
        Self::new(Some(Shared::new(link, share_percent)))
    }

    fn new(shared: Option<Shared>) -> Self {
        let parts = Parts {
            table: Mutex::default(),
            left: Notify::new(),
            shared,
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// A place in each of `rooms`, or in none. Where there are none nobody is asked.
    pub async fn enter(&self, rooms: &[Room]) -> Entry {
        // written down before anybody is asked: who gives up waiting for the answer gives the place back
        let keys = rooms.iter().map(Room::key).collect();
        let lease = Lease {
            number: self.parts.table().open(keys),
            parts: Arc::clone(&self.parts),
        };
        let asked = match &self.parts.shared {
            Some(shared) if !rooms.is_empty() => shared.enter(rooms, lease.number).await.ok(),
            _ => None,
        };
        let (outcome, decider) = match (asked, &self.parts.shared) {
            (Some(None), _) => {
                self.parts.table().settle(lease.number);
                (Ok(lease), Decider::Ordinary)
            }
            (Some(Some(full)), _) => {
                self.parts.table().forget(lease.number);
                (Err(full), Decider::Ordinary)
            }
            (None, Some(shared)) if !rooms.is_empty() => {
                let places = |room: &Room| shared.share(room.places);
                (self.locally(lease, rooms, places), Decider::Degraded)
            }
            (None, _) => {
                let places = |room: &Room| room.places;
                (self.locally(lease, rooms, places), Decider::Ordinary)
            }
        };
        Entry { outcome, decider }
    }

    /// Decides by what this process knows. A place that is refused may be known to a Redis whose answer was lost: the
    /// lease, which is dropped here, takes care of that.
    fn locally(
        &self,
        lease: Lease,
        rooms: &[Room],
        places: impl Fn(&Room) -> u64,
    ) -> Result<Lease, Full> {
        let mut table = self.parts.table();
        let full = rooms
            .iter()
            .find(|room| table.count(&room.key()) >= places(room));
        if let Some(room) = full {
            drop(table);
            return Err(Full {
                kind: room.kind,
                places: room.places,
            });
        }
        table.settle(lease.number);
        drop(table);
        Ok(lease)
    }

    /// The limits of the conversation that has place `number` are others now; it stays, and counts in them.
    pub fn amend(&self, number: u64, rooms: &[Room]) {
        let keys: Vec<_> = rooms.iter().map(Room::key).collect();
        if self.parts.table().amend(number, &keys) {
            self.parts.left.notify_one();
        }
    }

    /// Done when places were left that [`Self::give_back`] has to tell Redis of.
    pub async fn left(&self) {
        self.parts.left.notified().await;
    }

    /// Tells Redis of the places that were left. What it does not hear of ends by itself.
    pub async fn give_back(&self) {
        let Some(shared) = &self.parts.shared else {
            return;
        };
        let left = self.parts.table().take_left();
        shared.leave(&left).await;
    }

    /// Holds the places of this process for another [`LEASE_MS`].
    pub async fn renew(&self) {
        let Some(shared) = &self.parts.shared else {
            return;
        };
        let held = self.parts.table().held();
        for batch in held.chunks(redis::BATCH) {
            shared.renew(batch).await;
        }
        // who left while that was on its way has been put back by it
        let mut table = self.parts.table();
        let gone = held
            .into_iter()
            .filter(|(key, number)| !table.holds(key, *number));
        let gone: Vec<_> = gone.collect();
        if !gone.is_empty() {
            table.leave_again(gone);
            drop(table);
            self.parts.left.notify_one();
        }
    }

    /// Conversations of this process that have a place in a limit of `kind` and `id`.
    pub fn here(&self, kind: LevelKind, id: &str) -> u64 {
        let room = Room {
            kind,
            id: id.to_owned(),
            places: 0,
        };
        self.parts.table().count(&room.key())
    }
}

/// A place of a running conversation; given back on drop.
#[derive(Debug)]
pub struct Lease {
    parts: Arc<Parts>,
    number: u64,
}

impl Lease {
    /// Tells it from the others of this process; see [`Leases::amend`].
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let is_shared = self.parts.shared.is_some();
        if self.parts.table().close(self.number, is_shared) {
            self.parts.left.notify_one();
        }
    }
}
