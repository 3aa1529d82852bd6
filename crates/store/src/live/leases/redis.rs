//! Places of all gateways, in Redis.
//! Used by [`super::Leases`]; what decides are the scripts beside this file, on the clock of Redis.
//! Never counts what has ended by itself, and never asks twice.

use std::sync::LazyLock;

use super::{Full, LEASE_MS, Room};
use crate::live::link::{Away, LIMITS, Link, Script};

/// Places renewed or given back by one call: a fraction of a millisecond of Redis' time.
pub(super) const BATCH: usize = 500;

static ENTER: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("enter.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("renew.lua")));
static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("leave.lua")));

/// The places of all gateways.
#[derive(Debug)]
pub(super) struct Shared {
    link: Link,
    share_percent: u64,
    /// Tells the places of this process from those of others.
    process: String,
}

impl Shared {
    pub(super) fn new(link: Link, share_percent: u64) -> Self {
        let mut random = [0; 16];
        // without the system's randomness the process id and its address in memory have to do
        let process = match aws_lc_rs::rand::fill(&mut random) {
            Ok(()) => format!("{:032x}", u128::from_le_bytes(random)),
            Err(_) => format!("{}-{:p}", std::process::id(), &raw const random),
        };
        Self {
            link,
            share_percent,
            process,
        }
    }

    /// What this process gives of so many places while Redis is away: at least one.
    pub(super) fn share(&self, places: u64) -> u64 {
        (places.saturating_mul(self.share_percent) / 100).max(1)
    }

    /// Enters place `number`; says which room was full, if one was.
    pub(super) async fn enter(&self, rooms: &[Room], number: u64) -> Result<Option<Full>, Away> {
        let keys: Vec<_> = rooms.iter().map(|room| self.key(&room.key())).collect();
        let mut arguments = vec![self.name(number), LEASE_MS.to_string()];
        arguments.extend(rooms.iter().map(|room| room.places.to_string()));
        let full: usize = self.link.run(&ENTER, &keys, &arguments).await?;
        let room = full.checked_sub(1).and_then(|at| rooms.get(at));
        Ok(room.map(|room| Full {
            kind: room.kind,
            places: room.places,
        }))
    }

    /// Holds `places` longer. A Redis that is away, or has forgotten, hears of them the next time.
    pub(super) async fn renew(&self, places: &[(String, u64)]) {
        let (keys, mut arguments) = self.listed(places);
        arguments.insert(0, LEASE_MS.to_string());
        let _: Result<u64, Away> = self.link.run(&RENEW, &keys, &arguments).await;
    }

    /// Gives `places` back. A Redis that is away lets them end by themselves.
    pub(super) async fn leave(&self, places: &[(String, u64)]) {
        for batch in places.chunks(BATCH) {
            let (keys, arguments) = self.listed(batch);
            let _: Result<u64, Away> = self.link.run(&LEAVE, &keys, &arguments).await;
        }
    }

    /// One key and one argument for each place.
    fn listed(&self, places: &[(String, u64)]) -> (Vec<String>, Vec<String>) {
        let keys = places.iter().map(|(key, _)| self.key(key)).collect();
        let names = places.iter().map(|(_, number)| self.name(*number));
        (keys, names.collect())
    }

    fn name(&self, number: u64) -> String {
        format!("{}:{number}", self.process)
    }

    fn key(&self, key: &str) -> String {
        self.link.key(LIMITS, key)
    }
}
