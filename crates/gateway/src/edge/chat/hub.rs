//! All rooms with listeners on this server, and the way from one that speaks to all that hear.
//! Held by the app; used by the sockets of [`super::connection`], the backend's news and the agents.
//! Never serialises a message twice, and never loses one that was said while Redis was away.
//!
//! Without Redis a message goes to the members of the room at once. With Redis it is published, and told here when it comes
//! back ([`super::listening`]): so everybody, on all servers, hears everything in the same order. While Redis is away a
//! message is told here at once and waits for Redis ([`super::later`]).

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use store::live::Rooms;
use store::live::rooms::Telling;
use tokio::sync::Notify;
use wire::chat::{ChatExtra, ChatServerMessage, Delivery, Mark, Typed, mark, text};
use wire::ids::Ids;

use super::later::Later;
use super::room::{Frame, Member, Room, typing_until};
use super::times::iso;
use crate::clock::Clock;
use crate::observe::Metrics;

/// How long a newcomer waits until a room's messages arrive; then Redis is taken for away, and what was missed is read
/// once it is back.
pub(super) const LIVE_WITHIN: Duration = Duration::from_millis(1500);

/// What stands for the places in a message that Redis puts them into.
const PLACE: &str = "P";

/// How rooms are kept and called.
#[derive(Debug, Clone)]
pub(crate) struct HubSettings {
    /// What the channels shared with servers of the original begin with.
    pub(crate) channel_prefix: String,
    /// What the channels of ours begin with.
    pub(crate) namespace: String,
    /// How long somebody types who does not say so again, in s.
    pub(crate) typing_s: u64,
    /// Messages that may wait for Redis.
    pub(crate) untold_messages: usize,
}

/// Something to tell a room.
#[derive(Debug, Clone)]
pub(super) struct News {
    /// What clients are told.
    pub(super) text: String,
    /// The same is not told twice; what has none is not kept for those who come back.
    pub(super) key: Option<String>,
    /// Only those who want it.
    pub(super) extra: Option<ChatExtra>,
    /// Not this socket.
    pub(super) except: Option<u64>,
}

impl News {
    /// A message that is kept.
    pub(super) fn kept(message: &ChatServerMessage, key: String) -> Self {
        Self {
            text: text(message),
            key: Some(key),
            extra: None,
            except: None,
        }
    }

    /// One that is gone in a moment.
    pub(super) fn passing(message: &ChatServerMessage, extra: Option<ChatExtra>) -> Self {
        Self {
            text: text(message),
            key: None,
            extra,
            except: None,
        }
    }
}

/// All rooms; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Hub(pub(super) Arc<Parts>);

#[derive(Debug)]
pub(super) struct Parts {
    /// Tells this server from the others.
    pub(super) node: String,
    pub(super) settings: HubSettings,
    pub(super) store: Rooms,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    rooms: Mutex<HashMap<Arc<str>, Arc<Room>>>,
    numbers: AtomicU64,
    /// Rooms that have got their first listener or lost their last.
    changed: Mutex<VecDeque<Arc<str>>>,
    pub(super) change: Notify,
    /// Rooms in which somebody types.
    typing: Mutex<HashMap<Arc<str>, Arc<Room>>>,
    /// Rooms that somebody has come to or left, and whether those who are there are told in any case.
    moved: Mutex<HashMap<Arc<str>, bool>>,
    pub(super) later: Later,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(crate) fn new(
        store: Rooms,
        settings: HubSettings,
        (clock, metrics): (Clock, Metrics),
        seed: u128,
    ) -> Self {
        let later = Later::new(settings.untold_messages, metrics.clone());
        Self(Arc::new(Parts {
            node: Ids::seeded(seed).next("node"),
            settings,
            store,
            clock,
            metrics,
            rooms: Mutex::default(),
            numbers: AtomicU64::new(1),
            changed: Mutex::default(),
            change: Notify::new(),
            typing: Mutex::default(),
            moved: Mutex::default(),
            later,
        }))
    }

    /// A number for a socket.
    pub(super) fn number(&self) -> u64 {
        self.0.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets somebody into a room; returns once everything that is told there reaches them.
    pub(super) async fn enter(&self, id: &str, member: Member) -> Arc<Room> {
        let wants_presence = member.extras.has(ChatExtra::Presence) && !member.follows;
        let now_ms = self.0.clock.utc().timestamp_millis();
        let room = {
            let mut rooms = lock(&self.0.rooms);
            let shared = self.0.store.is_shared();
            let is_new = !rooms.contains_key(id);
            let room = rooms
                .entry(id.into())
                .or_insert_with(|| Arc::new(Room::new(id.into(), !shared, now_ms)));
            // within the lock: nobody takes the room away in between
            room.enter(member);
            if is_new && shared {
                lock(&self.0.changed).push_back(Arc::clone(&room.id));
                self.0.change.notify_one();
            }
            Arc::clone(room)
        };
        *lock(&self.0.moved).entry(Arc::clone(&room.id)).or_default() |= wants_presence;
        let mut live = room.live.subscribe();
        // who waits in vain is in a room whose messages are read later
        let _ = tokio::time::timeout(LIVE_WITHIN, live.wait_for(|live| *live)).await;
        room
    }

    /// Somebody leaves.
    pub(super) async fn leave(&self, room: &Arc<Room>, number: u64) {
        let typed = {
            let mut rooms = lock(&self.0.rooms);
            let (left, typed) = room.leave(number);
            if !left {
                if self.0.store.is_shared() {
                    lock(&self.0.changed).push_back(Arc::clone(&room.id));
                    self.0.change.notify_one();
                } else if rooms.get(&room.id).is_some_and(|it| Arc::ptr_eq(it, room)) {
                    rooms.remove(&room.id);
                }
            }
            typed
        };
        lock(&self.0.moved).entry(Arc::clone(&room.id)).or_default();
        if let Some(user) = typed {
            self.types(room, (&user, number), false).await;
        }
    }

    /// The room with this id, if anybody listens there.
    pub(super) fn room(&self, id: &str) -> Option<Arc<Room>> {
        lock(&self.0.rooms).get(id).cloned()
    }

    /// All rooms.
    pub(super) fn rooms(&self) -> Vec<Arc<Room>> {
        lock(&self.0.rooms).values().cloned().collect()
    }

    /// Rooms that have got their first listener or lost their last since this was asked.
    pub(super) fn take_changed(&self) -> VecDeque<Arc<str>> {
        std::mem::take(&mut *lock(&self.0.changed))
    }

    /// Rooms that somebody has come to or left since this was asked.
    pub(super) fn take_moved(&self) -> HashMap<Arc<str>, bool> {
        std::mem::take(&mut *lock(&self.0.moved))
    }

    /// Takes a room away that nobody listens to any more; says whether it was that.
    pub(super) fn forget(&self, id: &str) -> bool {
        let mut rooms = lock(&self.0.rooms);
        let empty = rooms.get(id).is_some_and(|room| room.is_empty());
        if empty {
            rooms.remove(id);
        }
        empty
    }

    /// The channel that servers of the original share.
    pub(super) fn channel(&self, room: &str) -> String {
        format!("{}{room}", self.0.settings.channel_prefix)
    }

    /// The channel of what they do not know.
    pub(super) fn own_channel(&self, room: &str) -> String {
        format!("{}:chat:{room}", self.0.settings.namespace)
    }

    /// Tells a room something: here, and on all other servers.
    pub(super) async fn tell(&self, room: &Arc<Room>, news: News) -> Delivery {
        self.0.metrics.chat().told();
        if self.0.store.is_shared() {
            self.publish(room, news).await
        } else {
            self.tell_here(room, &news)
        }
    }

    fn tell_here(&self, room: &Arc<Room>, news: &News) -> Delivery {
        let frame = frame(news);
        match &news.key {
            Some(key) => {
                let telling = telling(String::new(), &news.text, key, <[String; 3]>::default());
                // the order in which they are told is the order in which they are kept
                let add = || self.0.store.tell_here(&room.id, &telling);
                room.tell_behind(add, &frame);
            }
            None => {
                room.tell(&frame);
            }
        }
        Delivery::All
    }

    async fn publish(&self, room: &Arc<Room>, news: News) -> Delivery {
        let via = format!("{}.{}", self.0.node, news.except.unwrap_or_default());
        let told = if let Some(key) = &news.key {
            let telling = telling(
                self.channel(&room.id),
                &news.text,
                key,
                pieces(&news.text, &via, key),
            );
            if room.has_untold() {
                // behind what waits already
                self.0.later.add(room, telling);
                false
            } else {
                let told = self.0.store.tell(&room.id, &telling).await.is_ok();
                if !told {
                    self.0.later.add(room, telling);
                }
                told
            }
        } else {
            let channel = match news.extra {
                Some(_) => self.own_channel(&room.id),
                None => self.channel(&room.id),
            };
            let passing = Mark {
                via,
                ..Mark::default()
            };
            let payload = mark(&news.text, &passing);
            let passed = self.0.store.pass(&room.id, &channel, &payload).await;
            passed.is_ok()
        };
        if told {
            return Delivery::All;
        }
        room.tell(&frame(&news));
        Delivery::Local
    }

    /// Tells those who are in the room here.
    #[expect(clippy::unused_self, reason = "the hub is where rooms are told")]
    pub(super) fn tell_members(&self, room: &Room, news: &News) {
        room.tell(&frame(news));
    }

    /// Tells those who are in the room elsewhere something that is gone in a moment.
    pub(super) async fn pass_on(&self, room: &str, news: &News) {
        let passing = Mark {
            via: format!("{}.0", self.0.node),
            ..Mark::default()
        };
        let payload = mark(&news.text, &passing);
        let channel = self.own_channel(room);
        // while Redis is away, nobody elsewhere can be told
        let _ = self.0.store.pass(room, &channel, &payload).await;
    }

    /// Tells the room, but not the socket itself, that its user types, or not any more.
    pub(super) async fn types(&self, room: &Arc<Room>, (user, number): (&str, u64), types: bool) {
        self.note_typing(room, (user, Some(number)), types);
        let news = News {
            except: Some(number),
            ..News::passing(&self.typing(user, types), None)
        };
        self.tell(room, news).await;
    }

    /// Remembers that somebody types, so that it ends by itself.
    pub(super) fn note_typing(
        &self,
        room: &Arc<Room>,
        (user, number): (&str, Option<u64>),
        types: bool,
    ) {
        let until = typing_until(self.0.clock.now(), self.0.settings.typing_s);
        room.types(user, number, types.then_some(until));
        if types {
            lock(&self.0.typing).insert(Arc::clone(&room.id), Arc::clone(room));
        }
    }

    fn typing(&self, user: &str, types: bool) -> ChatServerMessage {
        ChatServerMessage::Typing {
            data: Typed {
                user_id: user.to_owned(),
                is_typing: types,
            },
            timestamp: iso(self.0.clock.utc()),
        }
    }

    /// Those who have not said for a while that they type do not type any more. Every server sees that for itself.
    pub(super) fn tire(&self, now: Instant) {
        let rooms: Vec<_> = lock(&self.0.typing).values().cloned().collect();
        for room in rooms {
            let (tired, still) = room.tired(now);
            if !still {
                lock(&self.0.typing).remove(&room.id);
            }
            for (user, number) in tired {
                let news = News {
                    except: number,
                    ..News::passing(&self.typing(&user, false), None)
                };
                room.tell(&frame(&news));
            }
        }
    }
}

/// What is handed to the members.
fn frame(news: &News) -> Frame {
    Frame {
        key: news.key.clone(),
        extra: news.extra,
        except: news.except,
        ..Frame::new(news.text.clone())
    }
}

fn telling(channel: String, text: &str, key: &str, payload: [String; 3]) -> Telling {
    Telling {
        channel,
        text: text.to_owned(),
        payload,
        key: key.to_owned(),
    }
}

/// The message with its mark, cut where Redis puts the places in.
fn pieces(text: &str, via: &str, key: &str) -> [String; 3] {
    let marked = mark(
        text,
        &Mark {
            cursor: PLACE.to_owned(),
            prev: PLACE.to_owned(),
            via: via.to_owned(),
            key: key.to_owned(),
        },
    );
    let (open, close) = (r#""cursor":"P"#, r#"","prev":"P"#);
    // the mark is last, and nothing in it looks like its beginning
    let Some(at) = marked.rfind(&format!("{open}{close}")) else {
        return [marked, String::new(), String::new()];
    };
    let first = at + open.len() - PLACE.len();
    let second = at + open.len() + close.len() - PLACE.len();
    [
        marked[..first].to_owned(),
        marked[first + PLACE.len()..second].to_owned(),
        marked[second + PLACE.len()..].to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_puts_the_places_into_the_mark() {
        let text = r#"{"type":"message","data":{"id":"m"}}"#;
        let [first, second, third] = pieces(text, "node_a.7", "m:m");
        let published = format!("{first}17-0{second}16-3{third}");
        let seen = wire::chat::read(&published).unwrap();
        let expected = Mark {
            cursor: "17-0".to_owned(),
            prev: "16-3".to_owned(),
            via: "node_a.7".to_owned(),
            key: "m:m".to_owned(),
        };
        assert_eq!((&*seen.text, seen.mark), (text, Some(expected)));
    }
}
