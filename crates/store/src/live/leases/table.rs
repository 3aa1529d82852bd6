//! The places that conversations of this process have, by number and by limit.
//! Used by [`super::Leases`] under its lock; the whole of it where there is no Redis.
//! Never asks anybody, and holds no more than there are conversations.

use std::collections::HashMap;

/// A conversation's limits.
#[derive(Debug)]
struct Held {
    keys: Vec<String>,
    stage: Stage,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Somebody is being asked; it does not count.
    Asking,
    /// It runs.
    In,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    next: u64,
    held: HashMap<u64, Held>,
    counts: HashMap<String, u64>,
    /// Places left that Redis may know of.
    left: Vec<(String, u64)>,
}

impl Table {
    /// A number for a place that is being asked for in the limits `keys`.
    pub(super) fn open(&mut self, keys: Vec<String>) -> u64 {
        self.next += 1;
        let held = Held {
            keys,
            stage: Stage::Asking,
        };
        self.held.insert(self.next, held);
        self.next
    }

    /// It was granted.
    pub(super) fn settle(&mut self, number: u64) {
        let Some(held) = self.held.get_mut(&number) else {
            return;
        };
        held.stage = Stage::In;
        for key in &held.keys {
            *self.counts.entry(key.clone()).or_default() += 1;
        }
    }

    /// It was refused, and Redis knows that.
    pub(super) fn forget(&mut self, number: u64) {
        self.held.remove(&number);
    }

    /// It is given back; whether Redis has to be told.
    pub(super) fn close(&mut self, number: u64, shared: bool) -> bool {
        let Some(held) = self.held.remove(&number) else {
            return false;
        };
        if held.stage == Stage::In {
            for key in &held.keys {
                self.uncount(key);
            }
        }
        if !shared || held.keys.is_empty() {
            return false;
        }
        self.left
            .extend(held.keys.into_iter().map(|key| (key, number)));
        true
    }

    /// Other limits for a conversation that runs; whether Redis has to be told of those it has no longer.
    pub(super) fn amend(&mut self, number: u64, keys: &[String]) -> bool {
        let Some(held) = self.held.get_mut(&number) else {
            return false;
        };
        if held.stage != Stage::In || held.keys == keys {
            return false;
        }
        let old = std::mem::replace(&mut held.keys, keys.to_vec());
        for key in keys {
            *self.counts.entry(key.clone()).or_default() += 1;
        }
        for key in &old {
            self.uncount(key);
        }
        let gone = old.into_iter().filter(|key| !keys.contains(key));
        let before = self.left.len();
        self.left.extend(gone.map(|key| (key, number)));
        self.left.len() > before
    }

    /// Conversations that run here in the limit `key`.
    pub(super) fn count(&self, key: &str) -> u64 {
        self.counts.get(key).copied().unwrap_or(0)
    }

    /// Every place that counts, the limits in order.
    pub(super) fn held(&self) -> Vec<(String, u64)> {
        let running = self.held.iter().filter(|(_, held)| held.stage == Stage::In);
        let places = running.flat_map(|(number, held)| {
            let keys = held.keys.iter();
            keys.map(move |key| (key.clone(), *number))
        });
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        places
    }

    pub(super) fn holds(&self, key: &str, number: u64) -> bool {
        let held = self.held.get(&number);
        held.is_some_and(|held| held.keys.iter().any(|own| own == key))
    }

    pub(super) fn leave_again(&mut self, places: Vec<(String, u64)>) {
        self.left.extend(places);
    }

    pub(super) fn take_left(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.left)
    }

    fn uncount(&mut self, key: &str) {
        if let Some(count) = self.counts.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_is_asked_for_counts_once_it_is_granted() {
        let mut table = Table::default();
        let number = table.open(keys(&["a", "b"]));
        assert_eq!(table.count("a"), 0);
        assert!(table.held().is_empty());
        table.settle(number);
        assert_eq!((table.count("a"), table.count("b")), (1, 1));
        assert!(table.close(number, true));
        assert_eq!(table.take_left().len(), 2);
        assert!(table.counts.is_empty() && table.held.is_empty());
        assert!(!table.close(number, true), "once");
    }

    #[test]
    fn other_limits_are_left_and_entered() {
        let mut table = Table::default();
        let number = table.open(keys(&["a"]));
        table.settle(number);
        assert!(!table.amend(number, &keys(&["a", "b"])), "nothing was left");
        assert_eq!(table.held().len(), 2);
        assert!(table.amend(number, &keys(&["b"])));
        assert_eq!(table.take_left(), [("a".to_owned(), number)]);
        assert_eq!((table.count("a"), table.count("b")), (0, 1));
        assert!(table.holds("b", number) && !table.holds("a", number));
    }
}
