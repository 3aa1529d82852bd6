//! Somebody who listens in a room, and what waits for their socket.
//! Made by [`super::connection`] and for `follow`; held by [`super::room::Room`], which tells it what is told there.
//! Never waits for anybody, and never keeps more than the queue of its socket has places for.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use wire::chat::ChatExtras;

use crate::edge::Sender;

/// How long a message may be on its way that was read from the room's stream already.
const TOLD_TWICE_FOR: Duration = Duration::from_secs(10);

/// What waits for a socket.
#[derive(Debug, Clone)]
pub(super) enum Out {
    /// A frame.
    Text(Utf8Bytes),
    /// It was let go: it did not read.
    TooSlow,
}

/// Somebody who listens.
#[derive(Debug)]
pub(super) struct Member {
    /// Tells the sockets of this server apart.
    pub(super) number: u64,
    /// As in the token.
    pub(super) user: Arc<str>,
    /// What it wants to hear beside the ordinary.
    pub(super) extras: ChatExtras,
    /// Whether it follows this room beside its own, and is told which room it is.
    pub(super) follows: bool,
    /// To its socket.
    pub(super) queue: Sender<Out>,
    /// While it is told what it missed, and for a moment behind that.
    pub(super) catching_up: Option<Box<CatchingUp>>,
}

/// Somebody who is told what they missed: what is told meanwhile comes behind that, and nothing of it twice.
#[derive(Debug)]
pub(super) struct CatchingUp {
    /// Told meanwhile; nothing any more once everything that was missed is on its way.
    held: Option<VecDeque<(Option<String>, Utf8Bytes)>>,
    /// What was among the missed, and may come once more.
    replayed: HashSet<String>,
    /// Then nothing of that is still on its way.
    until: Instant,
}

impl CatchingUp {
    /// For a member that is about to be told what it missed.
    pub(super) fn begin() -> Self {
        Self {
            held: Some(VecDeque::new()),
            replayed: HashSet::new(),
            until: Instant::now() + TOLD_TWICE_FOR,
        }
    }
}

impl Member {
    /// What is known by `keys` is on its way, and is not told again.
    pub(super) fn replayed(&mut self, keys: &[String]) {
        if let Some(catching_up) = &mut self.catching_up {
            catching_up.replayed = keys.iter().cloned().collect();
            catching_up.until = Instant::now() + TOLD_TWICE_FOR;
        }
    }

    /// The next of what was told meanwhile; with `None` it has caught up, and is told from then on.
    pub(super) fn next_held(&mut self) -> Option<Utf8Bytes> {
        let CatchingUp { held, replayed, .. } = &mut **self.catching_up.as_mut()?;
        while let Some((key, text)) = held.as_mut()?.pop_front() {
            if key.is_none_or(|key| !replayed.remove(&key)) {
                return Some(text);
            }
        }
        *held = None;
        None
    }

    /// Puts a frame into the queue, or behind what was missed. False when there is no place.
    pub(super) fn take(&mut self, key: Option<&String>, text: Utf8Bytes) -> bool {
        if let Some(catching_up) = &mut self.catching_up {
            if let Some(held) = &mut catching_up.held {
                held.push_back((key.cloned(), text));
                return held.len() <= self.queue.places();
            }
            if Instant::now() > catching_up.until {
                self.catching_up = None;
            } else if key.is_some_and(|key| catching_up.replayed.remove(key)) {
                return true;
            }
        }
        !matches!(
            self.queue.try_send(Out::Text(text)),
            Err(TrySendError::Full(_))
        )
    }
}
