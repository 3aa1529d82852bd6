//! Which conversations are running here, and how many may.
//! Asked by every edge before it lets a session in.
//! Never knows what a session does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The running sessions of this process.
#[derive(Debug, Clone)]
pub struct Registry {
    active: Arc<AtomicUsize>,
    limit: usize,
}

/// A place in the registry; given back on drop.
#[derive(Debug)]
pub struct Active {
    active: Arc<AtomicUsize>,
}

impl Registry {
    /// At most `limit` sessions at once.
    pub fn new(limit: usize) -> Self {
        Self {
            active: Arc::default(),
            limit,
        }
    }

    /// A place for one more session; `None` when all are taken.
    pub fn enter(&self) -> Option<Active> {
        let taken = |active: usize| (active < self.limit).then_some(active + 1);
        self.active
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, taken)
            .ok()?;
        Some(Active {
            active: Arc::clone(&self.active),
        })
    }

    /// Sessions running now.
    pub fn count(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.active.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_come_back() {
        let registry = Registry::new(2);
        let first = registry.enter();
        let second = registry.enter();
        assert!(first.is_some() && second.is_some() && registry.enter().is_none());
        drop(first);
        assert!(registry.enter().is_some());
        assert_eq!(registry.count(), 1);
    }
}
