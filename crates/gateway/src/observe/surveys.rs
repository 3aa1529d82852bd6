//! What happens in surveys: dialogues, codes, mails, answers.
//! Told by `survey`, `mail` and `edge::survey`.
//! Never labelled with who answered, or what.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// The numbers about surveys.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    open: Gauge<i64, AtomicI64>,
    ended: Family<Outcome, Counter>,
    codes: Family<Outcome, Counter>,
    mails: Family<Outcome, Counter>,
    responses: Family<Outcome, Counter>,
}

impl Surveys {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "survey_dialogues_open",
            "Dialogues of the text survey that are open",
            self.open.clone(),
        );
        registry.register(
            "survey_dialogues",
            "Dialogues of the text survey that ended, by outcome",
            self.ended.clone(),
        );
        registry.register(
            "survey_codes",
            "Codes asked for and tried, by what came of it",
            self.codes.clone(),
        );
        registry.register(
            "mails",
            "Mails to be sent, by what came of the first attempt",
            self.mails.clone(),
        );
        registry.register(
            "survey_responses",
            "Answers to whole surveys, by what came of storing them",
            self.responses.clone(),
        );
    }

    /// Lets every family show its header.
    pub(super) fn show(&self) {
        for family in [&self.ended, &self.codes, &self.mails, &self.responses] {
            drop(family.get_or_create(&Outcome { outcome: "" }));
        }
    }
}

fn count(family: &Family<Outcome, Counter>, outcome: &'static str) {
    family.get_or_create(&Outcome { outcome }).inc();
}

impl Metrics {
    /// A dialogue has begun.
    pub(crate) fn dialogue_begun(&self) {
        self.of_surveys().open.inc();
    }

    /// A dialogue has ended.
    pub(crate) fn dialogue_ended(&self, outcome: &'static str) {
        self.of_surveys().open.dec();
        count(&self.of_surveys().ended, outcome);
    }

    /// A code was asked for, or tried.
    pub(crate) fn code(&self, outcome: &'static str) {
        count(&self.of_surveys().codes, outcome);
    }

    /// A mail was to be sent.
    pub(crate) fn mailed(&self, outcome: &'static str) {
        count(&self.of_surveys().mails, outcome);
    }

    /// Answers were to be stored.
    pub(crate) fn responded(&self, outcome: &'static str) {
        count(&self.of_surveys().responses, outcome);
    }
}
