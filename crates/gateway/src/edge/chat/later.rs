//! What was said while Redis was away, and has to be published once it is back.
//! Filled by [`super::hub`], emptied by a task of the server.
//! Never changes the order of a room, never publishes twice, and never grows without bound: the oldest go, and are counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::live::rooms::Telling;
use tokio::sync::Notify;

use super::hub::Hub;
use super::room::Room;
use crate::observe::Metrics;

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(250);

/// What waits.
#[derive(Debug)]
pub(super) struct Later {
    most: usize,
    metrics: Metrics,
    waiting: Mutex<VecDeque<(Arc<Room>, Telling)>>,
    added: Notify,
}

impl Later {
    pub(super) fn new(most: usize, metrics: Metrics) -> Self {
        Self {
            most: most.max(1),
            metrics,
            waiting: Mutex::default(),
            added: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Arc<Room>, Telling)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a message wait.
    pub(super) fn add(&self, room: &Arc<Room>, telling: Telling) {
        room.untold(&telling.key);
        let mut waiting = self.lock();
        waiting.push_back((Arc::clone(room), telling));
        let lost = if waiting.len() > self.most {
            waiting.pop_front()
        } else {
            None
        };
        drop(waiting);
        if let Some((room, telling)) = lost {
            room.told(&telling.key);
            self.metrics.chat().never_published();
            tracing::warn!(
                "a chat message never reaches the other servers: too many wait for redis"
            );
        }
        self.added.notify_one();
    }

    fn first(&self) -> Option<(Arc<Room>, Telling)> {
        self.lock().front().cloned()
    }

    fn done(&self, telling: &Telling) {
        let mut waiting = self.lock();
        // unless it was thrown away meanwhile
        if waiting.front().is_some_and(|(_, it)| it.key == telling.key)
            && let Some((room, _)) = waiting.pop_front()
        {
            drop(waiting);
            room.told(&telling.key);
        }
    }
}

/// Publishes what waits, one after the other, for as long as the server runs.
pub(super) async fn publish(hub: Hub) {
    let later = &hub.0.later;
    loop {
        let Some((room, telling)) = later.first() else {
            later.added.notified().await;
            continue;
        };
        if hub.0.store.tell(&room.id, &telling).await.is_ok() {
            later.done(&telling);
        } else {
            tokio::time::sleep(AGAIN).await;
        }
    }
}
