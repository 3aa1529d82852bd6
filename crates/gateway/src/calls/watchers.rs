//! Who watches calls here: so many of each tenant at a time, for each costs the database a question every half second.
//! Asked by `GET /v1/calls/{id}/events`.
//! Never knows which call is watched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Watchers of one tenant on one server.
pub const WATCHERS: usize = 50;

type Tenants = HashMap<Box<str>, usize>;

/// The watchers of one server.
#[derive(Debug, Clone, Default)]
pub struct Watchers(Arc<Mutex<Tenants>>);

/// A place among them; given back on drop.
#[derive(Debug)]
pub struct Watcher {
    watchers: Watchers,
    tenant: Box<str>,
}

impl Watchers {
    /// One more of `tenant`; nothing when it has as many as it may have.
    pub fn enter(&self, tenant: &str) -> Option<Watcher> {
        let mut tenants = self.lock();
        let count = tenants.entry(tenant.into()).or_default();
        if *count >= WATCHERS {
            return None;
        }
        *count += 1;
        drop(tenants);
        Some(Watcher {
            watchers: self.clone(),
            tenant: tenant.into(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Tenants> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut tenants = self.watchers.lock();
        if let Some(count) = tenants.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_takes_no_other_ones_places() {
        let watchers = Watchers::default();
        let mut all: Vec<Watcher> = (0..WATCHERS)
            .map(|_| watchers.enter("acme").unwrap())
            .collect();
        assert!(watchers.enter("acme").is_none());
        assert!(watchers.enter("rival").is_some());
        all.pop();
        assert!(watchers.enter("acme").is_some());
        drop(all);
        assert!(watchers.lock().is_empty());
    }
}
