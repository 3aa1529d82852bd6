//! What was lately told in chat rooms: the order of it, for everybody the same, and what somebody missed.
//! Written and read by the gateway's chat rooms; servers of the original hear and speak on the same channels.
//! Never decides who hears what, and never keeps what is gone in a moment, such as that somebody types.
//!
//! In Redis a room is a stream. One script adds to it, remembers by its key what was added, and publishes it: so what is
//! told twice is told once, and everybody hears everything in the order of the stream. Who has lost the connection
//! reads there what was published meanwhile.

mod listener;
mod memory;
mod presence;
mod redis;

use std::sync::Arc;

pub use self::listener::{Ears, Heard, Heralds};
use self::memory::Memory;
use super::link::{Away, Link};

/// How much of each room is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomLimits {
    /// Messages of a room, the last ones.
    pub entries: usize,
    /// How long a room is kept that nobody speaks in, in ms; in Redis only.
    pub kept_ms: u64,
    /// Bytes of all rooms; in memory only, where those that were quiet longest are forgotten.
    pub bytes: usize,
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self {
            entries: 500,
            kept_ms: 3_600_000,
            bytes: 64 * 1024 * 1024,
        }
    }
}

/// Something to tell a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// Where it is published.
    pub channel: String,
    /// What is kept.
    pub text: String,
    /// What is published: its place stands behind the first part, and the place before it behind the second.
    pub payload: [String; 3],
    /// What it is known by: the same is not told again while it is kept.
    pub key: String,
}

/// Where something has its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In the order of the room.
    pub cursor: String,
    /// Whether it was told now; otherwise it was before.
    pub is_new: bool,
}

/// From where on somebody wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After<'a> {
    /// Behind this place.
    Cursor(&'a str),
    /// Behind what is known by this key.
    Key(&'a str),
}

/// Something that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its place.
    pub cursor: String,
    /// What it is known by.
    pub key: String,
    /// What was told.
    pub text: String,
}

/// What was told behind something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behind {
    /// In order.
    pub told: Vec<Told>,
    /// Whether that is all: what it is behind of is still there.
    pub complete: bool,
}

/// The rooms; clones share them.
#[derive(Debug, Clone)]
pub struct Rooms {
    kept: Kept,
    limits: RoomLimits,
}

#[derive(Debug, Clone)]
enum Kept {
    Memory(Arc<Memory>),
    Redis(Link),
}

impl Rooms {
    /// Rooms of this process alone.
    pub fn memory(limits: RoomLimits) -> Self {
        Self {
            kept: Kept::Memory(Arc::default()),
            limits,
        }
    }

    /// Rooms of all processes.
    pub fn redis(link: Link, limits: RoomLimits) -> Self {
        Self {
            kept: Kept::Redis(link),
            limits,
        }
    }

    /// Whether others hear what is told, and have to be listened to.
    pub fn is_shared(&self) -> bool {
        matches!(self.kept, Kept::Redis(_))
    }

    /// Keeps and publishes something, unless that was done before.
    ///
    /// # Errors
    /// [`Away`]; it may have been done all the same, and can be tried again.
    pub async fn tell(&self, room: &str, telling: &Telling) -> Result<Place, Away> {
        match &self.kept {
            Kept::Memory(memory) => Ok(memory.add(room, telling, self.limits)),
            Kept::Redis(link) => redis::tell(link, room, telling, self.limits).await,
        }
    }

    /// The same at once, in rooms of this process alone; says whether it was told now.
    pub fn tell_here(&self, room: &str, telling: &Telling) -> bool {
        match &self.kept {
            Kept::Memory(memory) => memory.add(room, telling, self.limits).is_new,
            Kept::Redis(_) => false,
        }
    }

    /// Keeps what somebody else has published.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn note(&self, room: &str, text: &str, key: &str) -> Result<Place, Away> {
        let telling = Telling {
            channel: String::new(),
            text: text.to_owned(),
            payload: <[String; 3]>::default(),
            key: key.to_owned(),
        };
        self.tell(room, &telling).await
    }

    /// Publishes something that is not kept.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn pass(&self, room: &str, channel: &str, payload: &str) -> Result<(), Away> {
        match &self.kept {
            Kept::Memory(_) => Ok(()),
            Kept::Redis(link) => redis::pass(link, room, channel, payload).await,
        }
    }

    /// What was told behind something; the last messages where nobody knows it.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn behind(&self, room: &str, after: After<'_>) -> Result<Behind, Away> {
        match &self.kept {
            Kept::Memory(memory) => Ok(memory.behind(room, after)),
            Kept::Redis(link) => redis::behind(link, room, after, self.limits.entries).await,
        }
    }

    /// The last place of a room; empty where nothing was told.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn head(&self, room: &str) -> Result<String, Away> {
        match &self.kept {
            Kept::Memory(memory) => Ok(memory.head(room)),
            Kept::Redis(link) => redis::head(link, room).await,
        }
    }

    /// Notes who of a process is in a room, for the next `kept_ms`; nobody when the list is empty. Says who is there of
    /// all processes, and whether that has changed.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn here(
        &self,
        room: &str,
        node: &str,
        users: &[String],
        kept_ms: u64,
    ) -> Result<(Vec<String>, bool), Away> {
        match &self.kept {
            Kept::Memory(memory) => Ok(memory.here(room, users)),
            Kept::Redis(link) => presence::here(link, (room, node), users, kept_ms).await,
        }
    }

    /// A connection that hears what is published.
    ///
    /// # Errors
    /// [`Away`]; also where nobody else is to be heard.
    pub async fn listen(&self) -> Result<(Ears, Heralds), Away> {
        match &self.kept {
            Kept::Memory(_) => Err(Away),
            Kept::Redis(link) => listener::open(link).await,
        }
    }
}
