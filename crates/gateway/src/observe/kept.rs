//! How the journal of conversations is.
//! Set when `/metrics` is asked.
//! Never names a session or a tenant.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use store::JournalState;

/// The numbers about what is kept of conversations.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    waiting: Gauge,
    bytes: Gauge,
    failing: Gauge,
    delivered: Counter,
    refused: Counter,
    rejected: Counter,
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
    }

    pub(super) fn note(&self, state: &JournalState) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.waiting.set(gauge(state.waiting));
        self.bytes.set(gauge(state.bytes));
        self.failing.set(state.failing.is_some().into());
        // counted by the journal itself
        for (counter, number) in [
            (&self.delivered, state.delivered),
            (&self.refused, state.refused),
            (&self.rejected, state.rejected),
        ] {
            counter.inner().store(number, Ordering::Relaxed);
        }
    }
}
