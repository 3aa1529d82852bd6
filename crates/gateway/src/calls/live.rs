//! The calls that run on this server, and the way to each.
//! Entered by the telephone edge; asked by the routes that let a carrier in, and by those that end a call.
//! Never lets two sockets into one call, and never more calls in than the server may have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::call::state::{HangupReason, Party};
use tokio::sync::mpsc;

/// Orders that wait for a call; of more, the last are not taken.
const ORDERS: usize = 8;

type Calls = HashMap<(Box<str>, Box<str>), mpsc::Sender<Order>>;

/// What a running call is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// End it.
    HangUp {
        /// Said first.
        say: Option<String>,
        /// Why.
        reason: HangupReason,
        /// Who wants it.
        by: Party,
    },
    /// Somebody else has dealt with it: nothing is to be done but to go.
    Over,
}

/// Why a call is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There are as many as there may be.
    #[error("as many calls are running as this server takes")]
    Full,
    /// It has a socket.
    #[error("the call has a media stream already")]
    Taken,
}

/// The running calls; clones share them.
#[derive(Debug, Clone)]
pub struct LiveCalls {
    calls: Arc<Mutex<Calls>>,
    limit: usize,
}

/// A call's place among them; given back on drop.
#[derive(Debug)]
pub struct Place {
    live: LiveCalls,
    key: (Box<str>, Box<str>),
}

impl LiveCalls {
    /// At most `limit` at once.
    pub fn new(limit: usize) -> Self {
        Self {
            calls: Arc::default(),
            limit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the call `id` of `tenant`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn enter(
        &self,
        (tenant, id): (&str, &str),
    ) -> Result<(Place, mpsc::Receiver<Order>), Refusal> {
        let key: (Box<str>, Box<str>) = (tenant.into(), id.into());
        let mut calls = self.lock();
        if calls.contains_key(&key) {
            return Err(Refusal::Taken);
        }
        if calls.len() >= self.limit {
            return Err(Refusal::Full);
        }
        let (sender, orders) = mpsc::channel(ORDERS);
        calls.insert(key.clone(), sender);
        drop(calls);
        let live = self.clone();
        Ok((Place { live, key }, orders))
    }

    /// Tells a call something; false when it does not run here.
    pub fn order(&self, (tenant, id): (&str, &str), order: Order) -> bool {
        let key: (Box<str>, Box<str>) = (tenant.into(), id.into());
        let sender = self.lock().get(&key).cloned();
        sender.is_some_and(|sender| {
            // one that has eight orders and does none of them is ending anyway
            let _ = sender.try_send(order);
            true
        })
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many more there may be.
    pub fn free(&self) -> usize {
        self.limit.saturating_sub(self.count())
    }

    /// Whether one more would be too many.
    pub fn is_full(&self) -> bool {
        self.count() >= self.limit
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_place_and_gives_it_back() {
        let live = LiveCalls::new(2);
        let (place, mut orders) = live.enter(("acme", "call_1")).unwrap();
        assert_eq!(live.enter(("acme", "call_1")).unwrap_err(), Refusal::Taken);
        let other = live.enter(("rival", "call_1")).unwrap();
        assert_eq!(live.enter(("acme", "call_2")).unwrap_err(), Refusal::Full);
        assert!(live.is_full());
        assert!(live.order(("acme", "call_1"), Order::Over));
        assert_eq!(orders.try_recv(), Ok(Order::Over));
        drop(place);
        assert!(!live.order(("acme", "call_1"), Order::Over));
        drop(other);
        assert_eq!(live.count(), 0);
    }
}
