//! What goes out of its own accord: the work of the outbox.
//! Told by whoever does it, through [`super::Metrics`].
//! Never labelled with a tenant, or with what the work was about.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What became of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectResult {
    /// It was done.
    Done,
    /// It failed and is tried again.
    Failed,
    /// It was given up.
    Dead,
}

impl EffectResult {
    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "dead",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkLabel {
    topic: &'static str,
    result: &'static str,
}

/// The numbers of what goes out.
#[derive(Debug, Default)]
pub struct Outgoing {
    work: Family<WorkLabel, Counter>,
}

impl Outgoing {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "outbox_work",
            "Work of the outbox, by topic and by what became of it: done, failed (and tried again) or dead; the topic webhook.delivery is messages sent to endpoints",
            self.work.clone(),
        );
    }

    /// Lets the family show its header.
    pub(super) fn show(&self) {
        self.worked("", EffectResult::Done);
    }

    /// What became of a piece of the outbox's work.
    pub(crate) fn worked(&self, topic: &'static str, result: EffectResult) {
        let result = result.name();
        let label = WorkLabel { topic, result };
        self.work.get_or_create(&label).inc();
    }
}
