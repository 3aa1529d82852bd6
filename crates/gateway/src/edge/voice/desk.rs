//! What all connections of this door share: how many there are, who checks tokens, and the Supabase project.
//! Held by `App`.
//! Never knows a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::supabase::Supabase;
use crate::auth::jwt;
use crate::clock::Clock;
use crate::config::Voice;
use crate::lifecycle::Lifecycle;

/// The door's own.
#[derive(Debug)]
pub struct Desk {
    connections: Arc<AtomicUsize>,
    /// Of them, those that have not said yet who they are.
    waiting: Arc<AtomicUsize>,
    /// Checks tokens; none where nothing says how.
    pub(super) tokens: Option<jwt::Verifier>,
    /// Asked for users, and written to.
    pub(crate) supabase: Option<Supabase>,
}

impl Desk {
    /// As `config` says.
    ///
    /// # Errors
    /// When there are no certificates to make requests with.
    pub fn open(
        config: &Voice,
        clock: &Clock,
        lifecycle: &Lifecycle,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            connections: Arc::default(),
            waiting: Arc::default(),
            tokens: jwt::Verifier::new(&config.tokens(), clock.clone(), lifecycle)?,
            supabase: Supabase::open(config)?,
        })
    }

    /// Connections that are open, with and without a session.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// One more.
    pub(super) fn enter(&self) -> Counted {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(&self.connections))
    }

    /// One more that has not said yet who it is; `None` where `most` of them wait.
    pub(super) fn wait(&self, most: usize) -> Option<Waiting> {
        let more = |waiting: usize| (waiting < most).then_some(waiting + 1);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Waiting(Counted(Arc::clone(&self.waiting))))
    }
}

/// A connection among those that have not said who they are.
#[derive(Debug)]
pub(super) struct Waiting(#[expect(dead_code, reason = "counts until it is dropped")] Counted);

/// A connection that counts for as long as this is held.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
