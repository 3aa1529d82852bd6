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
}

/// A connection that counts for as long as this is held.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
