//! What goes out of its own accord: work of the outbox, calls that are placed, and what they came to.
//! Told by whoever does it, through [`super::Metrics`].
//! Never labelled with a tenant, a number, or with what the work was about.

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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabel {
    rule: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabel {
    verdict: &'static str,
}

/// The numbers of what goes out.
#[derive(Debug, Default)]
pub struct Outgoing {
    work: Family<WorkLabel, Counter>,
    dials: Family<ResultLabel, Counter>,
    blocked: Family<RuleLabel, Counter>,
    retries: Family<OutcomeLabel, Counter>,
    machines: Family<VerdictLabel, Counter>,
    summaries: Family<ResultLabel, Counter>,
}

impl Outgoing {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "outbox_work",
            "Work of the outbox, by topic and by what became of it: done, failed (and tried again) or dead; the topic webhook.delivery is messages sent to endpoints",
            self.work.clone(),
        );
        registry.register(
            "dial_attempts",
            "Calls that carriers were asked to place, by what they answered: dialed, or the trouble",
            self.dials.clone(),
        );
        registry.register(
            "calls_blocked",
            "Calls that were not placed because a rule forbids it, by rule",
            self.blocked.clone(),
        );
        registry.register(
            "call_retries",
            "Attempts that are made again, by what came of the one before",
            self.retries.clone(),
        );
        registry.register(
            "call_answered_by",
            "Who answered calls that were placed, as carriers judged it",
            self.machines.clone(),
        );
        registry.register(
            "call_summaries",
            "Calls that were to be summed up: done, failed, or unusable answers of the model",
            self.summaries.clone(),
        );
    }

    /// Lets the families show their headers.
    pub(super) fn show(&self) {
        self.worked("", EffectResult::Done);
        self.dialed("");
        self.forbidden("");
        self.tried_again("");
        self.answered("");
        self.summed("");
    }

    /// What became of a piece of the outbox's work.
    pub(crate) fn worked(&self, topic: &'static str, result: EffectResult) {
        let result = result.name();
        let label = WorkLabel { topic, result };
        self.work.get_or_create(&label).inc();
    }

    /// A carrier was asked to place a call.
    pub(crate) fn dialed(&self, result: &'static str) {
        self.dials.get_or_create(&ResultLabel { result }).inc();
    }

    /// A call was not placed because of a rule.
    pub(crate) fn forbidden(&self, rule: &'static str) {
        self.blocked.get_or_create(&RuleLabel { rule }).inc();
    }

    /// A call is tried again.
    pub(crate) fn tried_again(&self, outcome: &'static str) {
        self.retries.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A carrier has said who answered.
    pub(crate) fn answered(&self, verdict: &'static str) {
        self.machines.get_or_create(&VerdictLabel { verdict }).inc();
    }

    /// A call was summed up, or could not be.
    pub(crate) fn summed(&self, result: &'static str) {
        self.summaries.get_or_create(&ResultLabel { result }).inc();
    }
}
