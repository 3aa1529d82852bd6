//! One room on this server: who listens, what they have been told, who types.
//! Held by [`super::hub::Hub`]; whatever is told in a room is told here, one thing after the other.
//! Never waits for anybody: who does not read what waits for them is let go.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::watch;
use wire::chat::{ChatExtra, in_room};

pub(super) use super::member::{CatchingUp, Member, Out};

/// Messages remembered in a room so that none is told twice; many more than may be on their way at the same time.
const REMEMBERED: usize = 512;

/// Something that the members of a room are told.
#[derive(Debug)]
pub(super) struct Frame {
    /// As it goes out to sockets of the room itself.
    pub(super) text: Utf8Bytes,
    /// As it goes out to sockets that follow the room; made for the first of them.
    pub(super) wrapped: OnceLock<Utf8Bytes>,
    /// The same is not told twice.
    pub(super) key: Option<String>,
    /// Only those who want it.
    pub(super) extra: Option<ChatExtra>,
    /// Everybody but this socket.
    pub(super) except: Option<u64>,
}

impl Frame {
    /// What everybody is told.
    pub(super) fn new(text: impl Into<Utf8Bytes>) -> Self {
        Self {
            text: text.into(),
            wrapped: OnceLock::new(),
            key: None,
            extra: None,
            except: None,
        }
    }

    /// What everybody is told.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn for_member(&self, room: &str, member: &Member) -> Utf8Bytes {
        if !member.follows {
            return self.text.clone();
        }
        let wrapped = || in_room(room, &self.text).into();
        self.wrapped.get_or_init(wrapped).clone()
    }
}

/// What was told lately, by its keys.
#[derive(Debug, Default)]
struct Seen {
    order: VecDeque<Arc<str>>,
    keys: HashSet<Arc<str>>,
    /// What the other servers do not have yet. It comes back when they do, and is remembered until then, however much is told.
    untold: HashSet<Arc<str>>,
}

impl Seen {
    /// Notes a key; false when it is known.
    fn note(&mut self, key: &str) -> bool {
        if self.keys.contains(key) {
            return false;
        }
        self.add(key.into());
        true
    }

    fn add(&mut self, key: Arc<str>) {
        self.keys.insert(Arc::clone(&key));
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
            && !self.untold.contains(&oldest)
        {
            self.keys.remove(&oldest);
        }
    }

    /// The other servers have it now; it may be on its way back.
    fn told(&mut self, key: &str) {
        if let Some(key) = self.untold.take(key)
            && self.keys.contains(&key)
        {
            self.order.retain(|it| *it != key);
            self.add(key);
        }
    }
}

/// Somebody who types.
#[derive(Debug)]
struct Typist {
    user: String,
    /// The socket, where it is one of this server's.
    number: Option<u64>,
    until: Instant,
}

#[derive(Debug, Default)]
struct State {
    members: Vec<Member>,
    seen: Seen,
    typists: Vec<Typist>,
    /// The last place in the room's stream that was told here.
    cursor: String,
    /// Whether a person answers, as far as was told here.
    human: bool,
}

/// A room with listeners.
#[derive(Debug)]
pub(super) struct Room {
    /// As in the token.
    pub(super) id: Arc<str>,
    /// Whether what others publish arrives.
    pub(super) live: watch::Sender<bool>,
    /// When its first member came, Unix time in ms.
    pub(super) since_ms: i64,
    state: Mutex<State>,
}

impl Room {
    pub(super) fn new(id: Arc<str>, live: bool, since_ms: i64) -> Self {
        Self {
            id,
            since_ms,
            live: watch::Sender::new(live),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, member: Member) {
        self.lock().members.push(member);
    }

    /// Says whether somebody is left; a socket that typed types no more, which its user's id tells the caller.
    pub(super) fn leave(&self, number: u64) -> (bool, Option<String>) {
        let mut state = self.lock();
        let at = state.members.iter().position(|it| it.number == number);
        if let Some(at) = at {
            state.members.swap_remove(at);
        }
        let typed = state
            .typists
            .iter()
            .find(|typist| typist.number == Some(number))
            .map(|typist| typist.user.clone());
        if state.members.is_empty() {
            state.members = Vec::new();
        }
        (!state.members.is_empty(), typed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().members.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.lock().members.len()
    }

    /// The users of this server in this room, each once, at most `most`.
    pub(super) fn users(&self, most: usize) -> Vec<String> {
        let state = self.lock();
        let in_it = state.members.iter().filter(|member| !member.follows);
        let mut users: Vec<String> = in_it.map(|member| member.user.to_string()).collect();
        drop(state);
        users.sort_unstable();
        users.dedup();
        users.truncate(most);
        users
    }

    /// Tells everybody. False when they have been told before.
    pub(super) fn tell(&self, frame: &Frame) -> bool {
        let mut state = self.lock();
        state.tell(&self.id, frame)
    }

    /// What a member missed, and is known by `keys`, is on its way to it.
    pub(super) fn replayed(&self, number: u64, keys: &[String]) {
        let mut state = self.lock();
        if let Some(member) = state.members.iter_mut().find(|it| it.number == number) {
            member.replayed(keys);
        }
    }

    /// The next of what was told while a member caught up; with `None` it has, and is told from then on.
    pub(super) fn next_held(&self, number: u64) -> Option<Utf8Bytes> {
        let mut state = self.lock();
        let member = state.members.iter_mut().find(|it| it.number == number);
        member?.next_held()
    }

    /// Does something and tells everybody what came of it, with nothing told between the two.
    pub(super) fn tell_behind(&self, first: impl FnOnce() -> bool, frame: &Frame) -> bool {
        let mut state = self.lock();
        first() && state.tell(&self.id, frame)
    }

    /// Notes that somebody types until `until`, or not any more.
    pub(super) fn types(&self, user: &str, number: Option<u64>, until: Option<Instant>) {
        let mut state = self.lock();
        let known = |it: &Typist| it.user == user && it.number == number;
        state.typists.retain(|typist| !known(typist));
        if let Some(until) = until {
            let user = user.to_owned();
            state.typists.push(Typist {
                user,
                number,
                until,
            });
        } else if state.typists.is_empty() {
            state.typists = Vec::new();
        }
    }

    /// Those who have not been heard to type since `now`, with their sockets; and whether others still type.
    pub(super) fn tired(&self, now: Instant) -> (Vec<(String, Option<u64>)>, bool) {
        let mut state = self.lock();
        let (tired, typing): (Vec<_>, Vec<_>) = std::mem::take(&mut state.typists)
            .into_iter()
            .partition(|typist| typist.until <= now);
        state.typists = typing;
        let still = !state.typists.is_empty();
        drop(state);
        let tired = tired.into_iter().map(|it| (it.user, it.number));
        (tired.collect(), still)
    }

    /// The last place that was told here.
    pub(super) fn cursor(&self) -> String {
        self.lock().cursor.clone()
    }

    /// Moves it on.
    pub(super) fn reached(&self, cursor: &str) {
        let mut state = self.lock();
        if is_behind(cursor, &state.cursor) {
            cursor.clone_into(&mut state.cursor);
        }
    }

    /// Notes whether a person answers from now on.
    pub(super) fn set_human(&self, human: bool) {
        self.lock().human = human;
    }

    /// Whether a person answers, as far as was told here.
    pub(super) fn is_human(&self) -> bool {
        self.lock().human
    }

    /// Notes what the other servers do not have yet, by its key.
    pub(super) fn untold(&self, key: &str) {
        self.lock().seen.untold.insert(key.into());
    }

    /// They have it, or never will; it may still come back from them.
    pub(super) fn told(&self, key: &str) {
        self.lock().seen.told(key);
    }

    /// Whether there is anything that they do not have.
    pub(super) fn has_untold(&self) -> bool {
        !self.lock().seen.untold.is_empty()
    }
}

impl State {
    fn tell(&mut self, room: &str, frame: &Frame) -> bool {
        if let Some(key) = &frame.key
            && !self.seen.note(key)
        {
            return false;
        }
        let mut let_go = Vec::new();
        for member in &mut self.members {
            let wanted = frame.extra.is_none_or(|extra| member.extras.has(extra));
            if !wanted || frame.except == Some(member.number) {
                continue;
            }
            let text = frame.for_member(room, member);
            if !member.take(frame.key.as_ref(), text) {
                member.queue.send_last(Out::TooSlow);
                let_go.push(member.number);
            }
        }
        if !let_go.is_empty() {
            // who was told the last word hears nothing more
            self.members
                .retain(|member| !let_go.contains(&member.number));
        }
        true
    }
}

/// Whether the place `a` is behind `b`; every place is behind none.
pub(super) fn is_behind(a: &str, b: &str) -> bool {
    let numbers = |place: &str| -> (u64, u64) {
        let (ms, number) = place.split_once('-').unwrap_or((place, "0"));
        (ms.parse().unwrap_or(0), number.parse().unwrap_or(0))
    };
    numbers(a) > numbers(b)
}

/// How long somebody types who does not say so again.
pub(super) fn typing_until(now: Instant, typing_s: u64) -> Instant {
    now + Duration::from_secs(typing_s)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use wire::chat::ChatExtras;

    use super::*;
    use crate::edge::queue;

    fn member(number: u64, places: usize, extras: &str) -> (Member, crate::edge::Receiver<Out>) {
        let (queue, out) = queue(places);
        let member = Member {
            number,
            user: format!("u{number}").into(),
            extras: ChatExtras::parse(extras).unwrap(),
            follows: false,
            queue,
            catching_up: None,
        };
        (member, out)
    }

    async fn heard(out: &mut crate::edge::Receiver<Out>) -> String {
        match out.recv().await {
            Some(Out::Text(text)) => text.to_string(),
            Some(Out::TooSlow) => "too slow".to_owned(),
            None => "over".to_owned(),
        }
    }

    fn keyed(text: &str, key: &str) -> Frame {
        Frame {
            key: Some(key.to_owned()),
            ..Frame::new(text.to_owned())
        }
    }

    #[tokio::test]
    async fn everybody_is_told_once_and_in_order() {
        let room = Room::new("c".into(), true, 0);
        let (one, mut of_one) = member(1, 8, "");
        let (two, mut of_two) = member(2, 8, "presence");
        room.enter(one);
        room.enter(two);
        assert!(room.tell(&keyed("a", "m:1")));
        assert!(!room.tell(&keyed("a", "m:1")));
        let but_one = Frame {
            except: Some(1),
            ..Frame::new("typing".to_owned())
        };
        room.tell(&but_one);
        let presence = Frame {
            extra: Some(ChatExtra::Presence),
            ..Frame::new("presence".to_owned())
        };
        room.tell(&presence);
        assert!(room.tell(&keyed("b", "m:2")));
        assert_eq!(
            [heard(&mut of_one).await, heard(&mut of_one).await],
            ["a", "b"]
        );
        for expected in ["a", "typing", "presence", "b"] {
            assert_eq!(heard(&mut of_two).await, expected);
        }
    }

    #[tokio::test]
    async fn who_does_not_read_is_let_go_and_the_others_hear_everything() {
        let room = Room::new("c".into(), true, 0);
        let (slow, mut of_slow) = member(1, 2, "");
        let (quick, mut of_quick) = member(2, 8, "");
        room.enter(slow);
        room.enter(quick);
        for text in ["a", "b", "c", "d"] {
            room.tell(&Frame::new(text.to_owned()));
        }
        for expected in ["a", "b", "too slow", "over"] {
            assert_eq!(heard(&mut of_slow).await, expected);
        }
        for expected in ["a", "b", "c", "d"] {
            assert_eq!(heard(&mut of_quick).await, expected);
        }
        assert_eq!(room.count(), 1);
    }

    #[tokio::test]
    async fn what_is_told_while_somebody_catches_up_comes_behind_what_they_missed_and_once() {
        let room = Room::new("c".into(), true, 0);
        let (mut one, mut of_one) = member(1, 8, "");
        one.catching_up = Some(Box::new(CatchingUp::begin()));
        room.enter(one);
        // both are told while the missed are read: the first is among them
        room.tell(&keyed("a", "m:1"));
        room.tell(&keyed("b", "m:2"));
        assert!(of_one.recv().now_or_never().is_none());
        room.replayed(1, &["m:1".to_owned(), "m:3".to_owned()]);
        assert_eq!(room.next_held(1).unwrap().as_str(), "b");
        room.tell(&keyed("b2", "m:2b"));
        assert_eq!(room.next_held(1).unwrap().as_str(), "b2");
        assert_eq!(room.next_held(1), None);
        // on its way when it was read
        room.tell(&keyed("c", "m:3"));
        room.tell(&keyed("d", "m:4"));
        assert_eq!(heard(&mut of_one).await, "d");
        let (mut two, mut of_two) = member(2, 2, "");
        two.catching_up = Some(Box::new(CatchingUp::begin()));
        room.enter(two);
        for (text, key) in [("e", "m:5"), ("f", "m:6"), ("g", "m:7")] {
            room.tell(&keyed(text, key));
        }
        // more than it has places for: it does not wait for ever
        assert_eq!(heard(&mut of_two).await, "too slow");
        assert_eq!(room.count(), 1);
    }

    #[tokio::test]
    async fn what_redis_does_not_have_yet_is_told_once_however_much_is_told_since() {
        let room = Room::new("c".into(), true, 0);
        let (one, mut of_one) = member(1, 4 * REMEMBERED, "");
        room.enter(one);
        let many = 2 * REMEMBERED;
        for number in 0..many {
            let key = format!("m:{number}");
            // redis is away: it waits, and is told here
            room.untold(&key);
            assert!(room.tell(&keyed("x", &key)));
        }
        assert!(room.has_untold());
        for number in 0..many {
            let key = format!("m:{number}");
            // redis is back, and so is the message; before its sender has heard that, or behind it
            if number % 2 == 0 {
                assert!(!room.tell(&keyed("x", &key)), "{number}");
            }
            room.told(&key);
            assert!(!room.tell(&keyed("x", &key)), "{number}");
        }
        assert!(!room.has_untold());
        for _ in 0..many {
            assert_eq!(heard(&mut of_one).await, "x");
        }
        assert!(of_one.recv().now_or_never().is_none());
    }

    #[test]
    fn who_types_gets_tired() {
        let room = Room::new("c".into(), true, 0);
        let now = crate::clock::Clock::default().now();
        room.types("ann", Some(1), Some(typing_until(now, 10)));
        room.types("bob", None, Some(typing_until(now, 20)));
        assert_eq!(room.tired(now), (vec![], true));
        let later = now + Duration::from_secs(10);
        assert_eq!(room.tired(later), (vec![("ann".to_owned(), Some(1))], true));
        room.types("bob", None, None);
        assert_eq!(room.tired(later), (vec![], false));
    }

    #[test]
    fn places_are_in_the_order_of_their_numbers() {
        assert!(is_behind("10-0", "9-5") && is_behind("9-10", "9-9") && is_behind("1-0", ""));
        assert!(!is_behind("9-9", "9-9") && !is_behind("", ""));
    }
}
