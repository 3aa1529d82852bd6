//! How the journal of conversations is, and the clock by which they are thrown away.
//! Set when `/metrics` is asked.
//! Never names a session or a tenant.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use store::JournalState;

/// The numbers about what is kept of conversations.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    waiting: Gauge,
    bytes: Gauge,
    held: Gauge,
    held_tenants: Gauge,
    failing: Gauge,
    delivered: Counter,
    refused: Counter,
    rejected: Counter,
    attempts_failed: Counter,
    clock_stepped: Gauge<f64, AtomicU64>,
}

impl Kept {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "journal_waiting",
            "Changes of conversations that the database does not have yet",
            self.waiting.clone(),
        );
        registry.register(
            "journal_bytes",
            "Size of the journal on disk",
            self.bytes.clone(),
        );
        registry.register(
            "journal_held",
            "Those of the waiting changes that wait for the key of their tenant",
            self.held.clone(),
        );
        registry.register(
            "journal_held_tenants",
            "Tenants whose changes wait because their key cannot be had",
            self.held_tenants.clone(),
        );
        registry.register(
            "journal_failing",
            "1 while the journal cannot be delivered to the database",
            self.failing.clone(),
        );
        registry.register(
            "journal_delivered",
            "Changes of conversations that the database has got",
            self.delivered.clone(),
        );
        registry.register(
            "journal_refused",
            "Changes of conversations that were not kept because the journal was full or the disk failed",
            self.refused.clone(),
        );
        registry.register(
            "journal_rejected",
            "Changes of conversations that the database refused for good",
            self.rejected.clone(),
        );
        registry.register(
            "journal_attempts_failed",
            "Attempts at delivering the journal to the database that failed",
            self.attempts_failed.clone(),
        );
        registry.register(
            "clock_stepped_seconds",
            "How far the machine's clock was set forward (or back, below 0) since the server started",
            self.clock_stepped.clone(),
        );
    }

    pub(super) fn note(&self, journal: Option<&JournalState>, stepped: TimeDelta) {
        // what the reading of two clocks takes is no step
        let seconds = stepped.num_milliseconds() as f64 / 1000.0;
        self.clock_stepped.set((seconds * 10.0).round() / 10.0);
        let Some(state) = journal else {
            return;
        };
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.waiting.set(gauge(state.waiting));
        self.bytes.set(gauge(state.bytes));
        self.held.set(gauge(state.held));
        self.held_tenants.set(gauge(state.held_tenants));
        self.failing.set(state.failing.is_some().into());
        // counted by the journal itself
        for (counter, number) in [
            (&self.delivered, state.delivered),
            (&self.refused, state.refused),
            (&self.rejected, state.rejected),
            (&self.attempts_failed, state.attempts_failed),
        ] {
            counter.inner().store(number, Ordering::Relaxed);
        }
    }
}
