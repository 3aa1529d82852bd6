//! Which conversations are running here, whose they are, and how many may.
//! Asked by every edge before it lets a session in, and by whoever ends a tenant's.
//! Never knows what a session does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::live::leases::Lease;
use tokio_util::sync::CancellationToken;

/// The running sessions of this process.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    active: AtomicUsize,
    limit: usize,
    /// Tells all sessions to end: each tenant's token is a child of it, so that a session watches one.
    stop: CancellationToken,
    tenants: Mutex<HashMap<Box<str>, Running>>,
}

/// What runs of one tenant.
#[derive(Debug)]
struct Running {
    sessions: usize,
    /// Tells them all to end.
    closing: CancellationToken,
}

/// A place in the registry; given back on drop.
#[derive(Debug)]
pub struct Active {
    shared: Arc<Shared>,
}

/// A place of a tenant's conversation; given back on drop.
#[derive(Debug)]
pub struct Owned {
    active: Active,
    tenant: Box<str>,
    closing: CancellationToken,
    /// The same place among those of all servers.
    lease: Option<Lease>,
}

impl Registry {
    /// At most `limit` sessions at once, all of which end after `stop`.
    pub fn new(limit: usize, stop: CancellationToken) -> Self {
        let shared = Shared {
            active: AtomicUsize::new(0),
            limit,
            stop,
            tenants: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A place for one more session; `None` when all are taken.
    pub fn enter(&self) -> Option<Active> {
        let limit = self.shared.limit;
        let taken = |active: usize| (active < limit).then_some(active + 1);
        self.shared
            .active
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, taken)
            .ok()?;
        Some(Active {
            shared: Arc::clone(&self.shared),
        })
    }

    /// Sessions running now.
    pub fn count(&self) -> usize {
        self.shared.active.load(Ordering::Acquire)
    }

    /// Whether all places are taken.
    pub fn is_full(&self) -> bool {
        self.count() >= self.shared.limit
    }

    /// How many of `tenant` run here.
    pub fn of_tenant(&self, tenant: &str) -> usize {
        let tenants = self.shared.lock();
        tenants.get(tenant).map_or(0, |running| running.sessions)
    }

    /// Tells a tenant's sessions to end once they have said what they are saying; says how many there are.
    pub fn close(&self, tenant: &str) -> usize {
        let tenants = self.shared.lock();
        tenants.get(tenant).map_or(0, |running| {
            running.closing.cancel();
            running.sessions
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Running>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    /// The same place, as `tenant`'s; `None` when it has `limit` of them here already. 0 is no limit.
    pub fn of(self, tenant: &str, limit: u64) -> Option<Owned> {
        let mut tenants = self.shared.lock();
        let stop = &self.shared.stop;
        let running = tenants.entry(tenant.into()).or_insert_with(|| Running {
            sessions: 0,
            closing: stop.child_token(),
        });
        if limit > 0 && running.sessions as u64 >= limit {
            return None;
        }
        if running.closing.is_cancelled() {
            // those who were told to end are on their way out; whoever comes now was let in since
            running.closing = stop.child_token();
        }
        running.sessions += 1;
        let closing = running.closing.clone();
        drop(tenants);
        Some(Owned {
            tenant: tenant.into(),
            closing,
            active: self,
            lease: None,
        })
    }
}

impl Owned {
    /// The same place, which counts on all servers as `lease`.
    #[must_use]
    pub fn leased(mut self, lease: Lease) -> Self {
        self.lease = Some(lease);
        self
    }

    /// The number of that; see [`store::live::Leases::amend`].
    pub fn lease_number(&self) -> Option<u64> {
        self.lease.as_ref().map(Lease::number)
    }

    /// Leaves the end of the conversation to its edge, which is given what [`Owned::closing`] was: somebody on a telephone is
    /// told good-bye first, and is not sent elsewhere.
    pub fn leave_closing_to_edge(&mut self) -> CancellationToken {
        std::mem::take(&mut self.closing)
    }

    /// Cancelled once the conversation is to end: the server stops, or its tenant may not come in any more.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.shared.active.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let mut tenants = self.active.shared.lock();
        if let Some(running) = tenants.get_mut(&self.tenant) {
            running.sessions -= 1;
            if running.sessions == 0 {
                tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_come_back() {
        let registry = Registry::new(2, CancellationToken::new());
        let first = registry.enter();
        let second = registry.enter();
        assert!(first.is_some() && second.is_some() && registry.enter().is_none());
        drop(first);
        assert!(registry.enter().is_some());
        assert_eq!(registry.count(), 1);
    }

    #[test]
    fn a_tenants_places_are_limited_and_come_back() {
        let registry = Registry::new(9, CancellationToken::new());
        let enter = |tenant| registry.enter().unwrap().of(tenant, 2);
        let first = enter("acme");
        let second = enter("acme");
        assert!(first.is_some() && second.is_some() && enter("acme").is_none());
        assert!(enter("rival").is_some(), "another has places of its own");
        assert_eq!(registry.count(), 2, "a refused one leaves nothing behind");
        drop(first);
        assert!(enter("acme").is_some());
        drop(second);
        assert_eq!(registry.count(), 0);
        assert!(registry.shared.lock().is_empty());
        let many: Vec<_> = (0..5)
            .map(|_| registry.enter().unwrap().of("acme", 0))
            .collect();
        assert!(many.iter().all(Option::is_some), "0 is no limit");
    }

    #[test]
    fn those_who_run_are_told_to_end_and_those_who_come_later_are_not() {
        let registry = Registry::new(9, CancellationToken::new());
        let enter = |tenant| registry.enter().unwrap().of(tenant, 0).unwrap();
        let (acme, rival) = (enter("acme"), enter("rival"));
        assert_eq!(registry.close("acme"), 1);
        assert_eq!(registry.close("nobody"), 0);
        assert!(acme.closing().is_cancelled() && !rival.closing().is_cancelled());
        let later = enter("acme");
        assert!(!later.closing().is_cancelled());
        assert_eq!(registry.close("acme"), 2);
        assert!(later.closing().is_cancelled());
    }

    #[test]
    fn a_stop_is_told_to_all() {
        let stop = CancellationToken::new();
        let registry = Registry::new(9, stop.clone());
        let enter = |tenant| registry.enter().unwrap().of(tenant, 0).unwrap();
        let (acme, rival) = (enter("acme"), enter("rival"));
        stop.cancel();
        assert!(acme.closing().is_cancelled() && rival.closing().is_cancelled());
        assert!(enter("late").closing().is_cancelled());
    }
}
