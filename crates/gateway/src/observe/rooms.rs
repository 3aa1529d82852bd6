//! The numbers about chat rooms.
//! Told by [`super::Metrics`] and by the chat edge.
//! Never labelled with a room or a user.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The numbers about chat rooms.
#[derive(Debug, Default)]
pub(crate) struct ChatNumbers {
    open: Gauge<i64, AtomicI64>,
    told: Counter,
    unreadable: Counter,
    untold: Counter,
    denied: Family<Reason, Counter>,
}

impl ChatNumbers {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "chat_connections",
            "Sockets open in chat rooms",
            self.open.clone(),
        );
        registry.register(
            "chat_told",
            "What was told in chat rooms from here: messages, typing, presence and the like",
            self.told.clone(),
        );
        registry.register(
            "chat_unreadable",
            "Publications of others in chat rooms that were no JSON",
            self.unreadable.clone(),
        );
        registry.register(
            "chat_never_published",
            "Messages in chat rooms that never reach the other servers because too many waited for Redis",
            self.untold.clone(),
        );
        registry.register(
            "chat_tokens_denied",
            "Tokens that opened no chat room, by reason",
            self.denied.clone(),
        );
    }

    /// Lets every family show its header.
    pub(super) fn show(&self) {
        drop(self.denied.get_or_create(&Reason { reason: "" }));
    }

    /// So many sockets are open.
    pub(crate) fn open(&self, sockets: usize) {
        self.open.set(i64::try_from(sockets).unwrap_or(i64::MAX));
    }

    /// A room was told something.
    pub(crate) fn told(&self) {
        self.told.inc();
    }

    /// Something was published that is no JSON.
    pub(crate) fn unreadable(&self) {
        self.unreadable.inc();
    }

    /// A message was thrown away that waited for Redis.
    pub(crate) fn never_published(&self) {
        self.untold.inc();
    }

    /// A token opened nothing.
    pub(crate) fn denied(&self, reason: &'static str) {
        self.denied.get_or_create(&Reason { reason }).inc();
    }
}
