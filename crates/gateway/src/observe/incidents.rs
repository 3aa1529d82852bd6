//! What happens to providers: who is left alone, who took over from whom.
//! Told by the providers' guards through the watch that [`crate::metering::Meter::watch`] gives them.
//! Never counts by session: the same provider serves all of them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use providers::guarded::Incident;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    stage: &'static str,
    provider: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TakeOver {
    stage: &'static str,
    from: String,
    to: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Hedge {
    provider: String,
    winner: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabel {
    part: &'static str,
}

/// The numbers about providers' health.
#[derive(Debug, Clone, Default)]
pub(super) struct Incidents {
    resting: Family<Place, Gauge>,
    failovers: Family<TakeOver, Counter>,
    hedges: Family<Hedge, Counter>,
    degraded: Family<PartLabel, Gauge>,
    degradations: Family<PartLabel, Counter>,
}

impl Incidents {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "provider_resting",
            "1 while a provider that failed too often is left alone",
            self.resting.clone(),
        );
        registry.register(
            "provider_failovers",
            "Times that a provider took over from another",
            self.failovers.clone(),
        );
        registry.register(
            "provider_hedges",
            "Times that a second language model was asked because the first was slow to begin, by who began first",
            self.hedges.clone(),
        );
        registry.register(
            "sessions_degraded",
            "Sessions that do without a part of their pipeline at present",
            self.degraded.clone(),
        );
        registry.register(
            "degradations",
            "Times that a session had to do without a part of its pipeline",
            self.degradations.clone(),
        );
    }

    /// A session does without a part, or has it back.
    pub(super) fn missing(&self, part: &'static str, missing: bool) {
        let label = PartLabel { part };
        if missing {
            self.degraded.get_or_create(&label).inc();
            self.degradations.get_or_create(&label).inc();
        } else {
            self.degraded.get_or_create(&label).dec();
        }
    }

    /// Lets every family show its header.
    pub(super) fn show(&self) {
        drop(self.resting.get_or_create(&Place {
            stage: "",
            provider: String::new(),
        }));
        drop(self.hedges.get_or_create(&Hedge {
            provider: String::new(),
            winner: "",
        }));
        drop(self.degraded.get_or_create(&PartLabel { part: "" }));
        drop(self.degradations.get_or_create(&PartLabel { part: "" }));
        drop(self.failovers.get_or_create(&TakeOver {
            stage: "",
            from: String::new(),
            to: String::new(),
        }));
    }

    pub(super) fn note(&self, incident: &Incident<'_>) {
        let rests = |stage: &'static str, provider: &str, rests: i64| {
            let provider = provider.to_owned();
            let place = self.resting.get_or_create(&Place { stage, provider });
            place.set(rests);
        };
        match *incident {
            Incident::Opened { stage, provider } => {
                rests(stage.name(), provider, 1);
                let stage = stage.name();
                tracing::warn!(provider, stage, "provider fails and is left alone");
            }
            Incident::Closed { stage, provider } => {
                rests(stage.name(), provider, 0);
                tracing::info!(provider, stage = stage.name(), "provider answers again");
            }
            Incident::FailedOver {
                session,
                stage,
                from,
                to,
            } => {
                let stage = stage.name();
                let take_over = TakeOver {
                    stage,
                    from: from.to_owned(),
                    to: to.to_owned(),
                };
                self.failovers.get_or_create(&take_over).inc();
                tracing::warn!(session, from, to, stage, "another provider takes over");
            }
            Incident::Hedged { provider, won } => {
                let label = Hedge {
                    provider: provider.to_owned(),
                    winner: if won { "second" } else { "first" },
                };
                self.hedges.get_or_create(&label).inc();
            }
            // counted where it is priced
            Incident::Used { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use providers::guarded::Stage;

    use super::*;

    #[test]
    fn incidents_are_counted_and_health_is_shown() {
        let incidents = Incidents::default();
        let (stage, provider) = (Stage::Llm, "groq");
        incidents.note(&Incident::Opened { stage, provider });
        let place = Place {
            stage: "llm",
            provider: "groq".to_owned(),
        };
        assert_eq!(incidents.resting.get_or_create(&place).get(), 1);
        incidents.note(&Incident::Closed { stage, provider });
        assert_eq!(incidents.resting.get_or_create(&place).get(), 0);
        let (from, to) = ("groq", "local");
        incidents.note(&Incident::FailedOver {
            session: "sess_1",
            stage,
            from,
            to,
        });
        let take_over = TakeOver {
            stage: "llm",
            from: from.to_owned(),
            to: to.to_owned(),
        };
        assert_eq!(incidents.failovers.get_or_create(&take_over).get(), 1);
    }
}
