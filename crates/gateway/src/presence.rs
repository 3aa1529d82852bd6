//! Which sessions this gateway holds, and how it gets one that another holds.
//! Entered by every session; its two tasks run beside the server, and `edge` asks it before it continues a session.
//! Never keeps what a session says: that is in the store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::edge::Sender;
use engine::session::Input;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use store::live::sessions::{Heard, Hold, Holding, Sessions};
use store::live::{Live, Post};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use wire::ids::Ids;

use crate::clock::Clock;

/// Between two signs of life (DESIGN §3.7); a gateway that gives none for three of them counts as dead.
const BEAT_EVERY: Duration = Duration::from_secs(10);
/// Signs of life on their way at the same time.
const BEATS_AT_ONCE: usize = 64;
/// How long a gateway that is asked for a session may take to let go of it; a dead one never does. With what follows,
/// coming back stays within 500 ms (spec/platform R7.6).
const LET_GO_WITHIN: Duration = Duration::from_millis(300);
/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(5);

type Key = (Box<str>, Box<str>);

/// The sessions of this gateway; clones share them.
#[derive(Debug, Clone)]
pub struct Presence {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    node: String,
    sessions: Sessions,
    post: Post,
    clock: Clock,
    held: Mutex<HashMap<Key, Held>>,
}

/// A session that is held here.
#[derive(Debug, Clone)]
struct Held {
    hold: Hold,
    let_go: CancellationToken,
    stale: Arc<AtomicBool>,
    wake: Sender<Input>,
}

/// What one gateway writes to another.
#[derive(Serialize, Deserialize)]
struct Letter {
    tenant: String,
    session: String,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Presence {
    /// A gateway of a name that no other has or had.
    pub fn new(live: &Live, clock: Clock, seed: u128) -> Self {
        Self {
            inner: Arc::new(Inner {
                node: Ids::seeded(seed).next("node"),
                sessions: live.sessions.clone(),
                post: live.post.clone(),
                clock,
                held: Mutex::default(),
            }),
        }
    }

    /// The name of this gateway.
    pub fn node(&self) -> &str {
        &self.inner.node
    }

    /// Where the sessions are.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    /// From now on signs of life are given for this session; `let_go` is cancelled when another gateway wants it, and
    /// `wake` gets a tick when it has to be written whole.
    pub(crate) fn enter(
        &self,
        hold: &Hold,
        let_go: CancellationToken,
        wake: Sender<Input>,
    ) -> Seat {
        let entry = Held {
            hold: hold.clone(),
            let_go,
            stale: Arc::default(),
            wake,
        };
        let stale = Arc::clone(&entry.stale);
        let key = key(&hold.tenant, &hold.id);
        self.inner.lock().insert(key, entry);
        Seat {
            presence: self.clone(),
            hold: hold.clone(),
            stale,
        }
    }

    /// Has whoever holds a session let go of it, if it lives; returns once it has, or is not going to.
    pub(crate) async fn free(&self, tenant: &str, session: &str) {
        let waiting = async {
            let mut asked = false;
            loop {
                let found = self
                    .inner
                    .sessions
                    .find(tenant, session, self.inner.clock.utc());
                // whoever cannot ask finds out when it takes the session
                let Ok(Some(found)) = found.await else { return };
                if found.holding != Holding::Alive {
                    return;
                }
                if !std::mem::replace(&mut asked, true) {
                    self.ask(&found.node, tenant, session).await;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(LET_GO_WITHIN, waiting).await.is_err() {
            tracing::info!(session, "whoever held this session does not answer");
        }
    }

    async fn ask(&self, node: &str, tenant: &str, session: &str) {
        if node == self.inner.node {
            self.let_go(tenant, session);
            return;
        }
        let letter = Letter {
            tenant: tenant.to_owned(),
            session: session.to_owned(),
        };
        // two texts: it has a JSON form
        let letter = serde_json::to_string(&letter).unwrap_or_default();
        // a letter that is lost is a gateway that does not answer
        let _ = self.inner.post.write(node, &letter).await;
    }

    fn let_go(&self, tenant: &str, session: &str) {
        if let Some(held) = self.inner.lock().get(&key(tenant, session)) {
            held.let_go.cancel();
        }
    }

    /// Gives signs of life for all sessions, again and again.
    pub(crate) async fn beat(self) {
        let mut turns = tokio::time::interval(BEAT_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            self.beat_once().await;
        }
    }

    async fn beat_once(&self) {
        let held: Vec<Held> = self.inner.lock().values().cloned().collect();
        let beats = stream::iter(held).for_each_concurrent(BEATS_AT_ONCE, |held| async move {
            let heard = self.inner.sessions.beat(&held.hold, self.inner.clock.utc());
            match heard.await {
                Ok(Heard::Lost) => held.let_go.cancel(),
                Ok(Heard::Absent) => held.stale.store(true, Ordering::Relaxed),
                Ok(Heard::Done) | Err(_) => {}
            }
            if held.stale.load(Ordering::Relaxed) {
                // one whose queue is full is awake
                let _ = held.wake.try_send(Input::Tick);
            }
        });
        beats.await;
        self.inner.sessions.purge(self.inner.clock.utc());
    }

    /// Reads what other gateways write.
    pub(crate) async fn read_letters(self) {
        let mut letters = self.inner.post.letters(&self.inner.node);
        loop {
            for letter in letters.next().await {
                match serde_json::from_str::<Letter>(&letter) {
                    Ok(letter) => self.let_go(&letter.tenant, &letter.session),
                    Err(error) => tracing::warn!(%error, "a letter cannot be read"),
                }
            }
        }
    }
}

fn key(tenant: &str, session: &str) -> Key {
    (tenant.into(), session.into())
}

/// A session's place; given back on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    presence: Presence,
    hold: Hold,
    stale: Arc<AtomicBool>,
}

impl Seat {
    /// Set when the session has to be written whole.
    pub(crate) fn stale(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stale)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.presence.inner.lock();
        let key = key(&self.hold.tenant, &self.hold.id);
        // the session may be here again, over another connection
        if held
            .get(&key)
            .is_some_and(|held| held.hold.number == self.hold.number)
        {
            held.remove(&key);
        }
    }
}
