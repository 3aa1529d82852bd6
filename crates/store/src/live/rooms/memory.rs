//! Rooms in the memory of this process.
//! Used by [`super::Rooms`] where there is no Redis.
//! Never holds more bytes than it is told: the rooms that were quiet longest are forgotten.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{After, Behind, Place, RoomLimits, Telling, Told};

/// What an entry takes beside its texts, in bytes.
const ENTRY_BYTES: usize = 160;

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    rooms: HashMap<String, Room>,
    /// Rooms by when they were last spoken in.
    quiet: BTreeMap<u64, String>,
    counter: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Room {
    told: VecDeque<Told>,
    keys: HashSet<String>,
    users: Vec<String>,
    bytes: usize,
    last: u64,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, name: &str, telling: &Telling, limits: RoomLimits) -> Place {
        let mut all = self.lock();
        let all = &mut *all;
        if let Some(told) = all.known(name, &telling.key) {
            let cursor = told.cursor.clone();
            return Place {
                cursor,
                is_new: false,
            };
        }
        all.counter += 1;
        let cursor = cursor(all.counter);
        let told = Told {
            cursor: cursor.clone(),
            key: telling.key.clone(),
            text: telling.text.clone(),
        };
        let room = all.rooms.entry(name.to_owned()).or_default();
        all.quiet.remove(&room.last);
        room.last = all.counter;
        all.quiet.insert(all.counter, name.to_owned());
        let before = room.bytes;
        room.bytes += bytes(&told);
        room.keys.insert(told.key.clone());
        room.told.push_back(told);
        while room.told.len() > limits.entries {
            room.forget_first();
        }
        all.bytes = all.bytes + room.bytes - before;
        while all.bytes > limits.bytes && all.quiet.len() > 1 {
            all.forget_quietest();
        }
        Place {
            cursor,
            is_new: true,
        }
    }

    pub(super) fn behind(&self, name: &str, after: After<'_>) -> Behind {
        let all = self.lock();
        let Some(room) = all.rooms.get(name) else {
            return Behind {
                told: Vec::new(),
                complete: matches!(after, After::Cursor("")),
            };
        };
        let is_it = |told: &Told| match after {
            After::Cursor(cursor) => told.cursor == cursor,
            After::Key(key) => told.key == key,
        };
        let found = room.told.iter().position(is_it);
        let first = found.map_or(0, |at| at + 1);
        Behind {
            told: room.told.iter().skip(first).cloned().collect(),
            complete: found.is_some(),
        }
    }

    pub(super) fn head(&self, name: &str) -> String {
        let all = self.lock();
        let last = all.rooms.get(name).and_then(|room| room.told.back());
        last.map(|told| told.cursor.clone()).unwrap_or_default()
    }

    pub(super) fn here(&self, name: &str, users: &[String]) -> (Vec<String>, bool) {
        let mut all = self.lock();
        let all = &mut *all;
        if users.is_empty() {
            let Some(room) = all.rooms.get_mut(name) else {
                return (Vec::new(), false);
            };
            let changed = !std::mem::take(&mut room.users).is_empty();
            if room.told.is_empty() {
                all.rooms.remove(name);
            }
            return (Vec::new(), changed);
        }
        let room = all.rooms.entry(name.to_owned()).or_default();
        let changed = room.users != users;
        room.users = users.to_vec();
        (room.users.clone(), changed)
    }
}

impl All {
    fn known(&self, name: &str, key: &str) -> Option<&Told> {
        let room = self.rooms.get(name)?;
        if !room.keys.contains(key) {
            return None;
        }
        room.told.iter().rev().find(|told| told.key == key)
    }

    fn forget_quietest(&mut self) {
        let Some((_, name)) = self.quiet.pop_first() else {
            return;
        };
        if let Some(room) = self.rooms.get_mut(&name) {
            self.bytes -= room.bytes;
            if room.users.is_empty() {
                self.rooms.remove(&name);
            } else {
                let users = std::mem::take(&mut room.users);
                *room = Room {
                    users,
                    ..Room::default()
                };
            }
        }
    }
}

impl Room {
    fn forget_first(&mut self) {
        if let Some(told) = self.told.pop_front() {
            self.bytes -= bytes(&told);
            self.keys.remove(&told.key);
        }
    }
}

/// Texts of places are in their order.
fn cursor(counter: u64) -> String {
    format!("{counter}-0")
}

fn bytes(told: &Told) -> usize {
    told.text.len() + 2 * told.key.len() + told.cursor.len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(key: &str) -> Telling {
        Telling {
            channel: String::new(),
            text: "x".repeat(100),
            payload: <[String; 3]>::default(),
            key: key.to_owned(),
        }
    }

    #[test]
    fn rooms_that_were_quiet_longest_are_forgotten() {
        let memory = Memory::default();
        let limits = RoomLimits {
            bytes: 1000,
            ..RoomLimits::default()
        };
        for room in ["a", "b", "a", "c", "d"] {
            let key = format!("{room}{}", memory.head(room));
            assert!(memory.add(room, &telling(&key), limits).is_new);
        }
        // 262 bytes each and a little more: three fit
        let count = |room| memory.behind(room, After::Cursor("")).told.len();
        assert_eq!(["a", "b", "c", "d"].map(count), [0, 0, 1, 1]);
    }
}
