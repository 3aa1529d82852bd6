//! What was refused because somebody had enough, and who decided that.
//! Told by [`super::Metrics`].
//! Never labelled with whose limit it was: the log has that.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Level {
    level: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    level: &'static str,
    measure: &'static str,
}

/// The numbers about limits.
#[derive(Debug, Default)]
pub(super) struct Limits {
    requests: Family<Level, Counter>,
    others: Family<Limit, Counter>,
    decided_locally: Counter,
    nearly_used_up: Counter,
}

impl Limits {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "rate_limited",
            "Requests refused because a rate limit was used up, by level",
            self.requests.clone(),
        );
        registry.register(
            "limits_reached",
            "Conversations, responses and requests refused because another limit was used up, by level and measure",
            self.others.clone(),
        );
        registry.register(
            "rate_limits_decided_locally",
            "Limits decided by this server alone because Redis did not answer",
            self.decided_locally.clone(),
        );
        registry.register(
            "quotas_nearly_used_up",
            "How often a tenant's audio came to 80 % of its minutes of a day",
            self.nearly_used_up.clone(),
        );
    }

    /// Lets every family show its header.
    pub(super) fn show(&self) {
        drop(self.requests.get_or_create(&Level { level: "" }));
        let limit = Limit {
            level: "",
            measure: "",
        };
        drop(self.others.get_or_create(&limit));
    }

    pub(super) fn refused(&self, level: &'static str) {
        self.requests.get_or_create(&Level { level }).inc();
    }

    pub(super) fn reached(&self, level: &'static str, measure: &'static str) {
        let limit = Limit { level, measure };
        self.others.get_or_create(&limit).inc();
    }

    pub(super) fn decided_locally(&self) {
        self.decided_locally.inc();
    }

    pub(super) fn nearly_used_up(&self) {
        self.nearly_used_up.inc();
    }
}
