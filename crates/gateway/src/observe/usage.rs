//! What providers did, in units and in money.
//! Told by [`super::Metrics::emit`].
//! Never names a session or a model: models' names may come from clients.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use engine::meter::Cost;

use crate::metering::Used;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Work {
    stage: &'static str,
    provider: String,
    unit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    stage: &'static str,
    provider: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ran {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Listed {
    outcome: &'static str,
}

/// Bounds of the histogram of tools in s: from a quick look-up to the longest that is allowed.
const TOOL_BOUNDS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// The numbers about use.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    tools: Family<Ran, Histogram, fn() -> Histogram>,
    listings: Family<Listed, Counter>,
    units: Family<Work, Counter>,
    cost: Family<Place, Counter<f64, AtomicU64>>,
    unpriced: Family<Place, Counter>,
}

impl Default for Usage {
    fn default() -> Self {
        let histogram = (|| Histogram::new(TOOL_BOUNDS)) as fn() -> Histogram;
        Self {
            tools: Family::new_with_constructor(histogram),
            listings: Family::default(),
            units: Family::default(),
            cost: Family::default(),
            unpriced: Family::default(),
        }
    }
}

impl Usage {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "provider_units",
            "Work of providers, by stage, provider and unit",
            self.units.clone(),
        );
        registry.register(
            "provider_cost_micro_dollars",
            "Cost of providers' work at the price table's rates, in micro-dollars",
            self.cost.clone(),
        );
        registry.register(
            "tool_seconds",
            "Time that functions took which the server ran, by kind and outcome",
            self.tools.clone(),
        );
        registry.register(
            "mcp_listings",
            "How often MCP servers were asked what they have, by outcome",
            self.listings.clone(),
        );
        registry.register(
            "provider_unpriced",
            "Pieces of work whose price is not known",
            self.unpriced.clone(),
        );
    }

    /// Lets every family show its header.
    pub(super) fn show(&self) {
        drop(self.units.get_or_create(&Work {
            stage: "",
            provider: String::new(),
            unit: "",
        }));
        let place = Place {
            stage: "",
            provider: String::new(),
        };
        drop(self.tools.get_or_create(&Ran {
            kind: "",
            outcome: "",
        }));
        drop(self.listings.get_or_create(&Listed { outcome: "" }));
        drop(self.cost.get_or_create(&place));
        drop(self.unpriced.get_or_create(&place));
    }

    pub(super) fn ran(&self, kind: &'static str, failed: bool, took: Duration) {
        let outcome = if failed { "failed" } else { "returned" };
        let label = Ran { kind, outcome };
        self.tools.get_or_create(&label).observe(took.as_secs_f64());
    }

    pub(super) fn listed(&self, failed: bool) {
        let outcome = if failed { "failed" } else { "listed" };
        self.listings.get_or_create(&Listed { outcome }).inc();
    }

    pub(super) fn note(&self, used: &Used<'_>, cost: Option<Cost>) {
        let units = &used.units;
        let counted = [
            ("audio_ms", units.audio_ms),
            ("characters", units.characters),
            ("speech_ms", units.speech_ms),
            ("input_tokens", units.input_tokens),
            ("cached_tokens", units.cached_tokens),
            ("output_tokens", units.output_tokens),
            ("audio_input_tokens", units.audio_input_tokens),
            ("audio_cached_tokens", units.audio_cached_tokens),
            ("audio_output_tokens", units.audio_output_tokens),
            ("tool_calls", units.tool_calls),
            ("tool_ms", units.tool_ms),
        ];
        for (unit, count) in counted.into_iter().filter(|(_, count)| *count > 0) {
            let label = Work {
                stage: used.stage,
                provider: used.provider.to_owned(),
                unit,
            };
            self.units.get_or_create(&label).inc_by(count);
        }
        let place = Place {
            stage: used.stage,
            provider: used.provider.to_owned(),
        };
        if let Some(cost) = cost {
            let micro_dollars = cost.exact_micro_dollars();
            self.cost.get_or_create(&place).inc_by(micro_dollars);
        } else {
            self.unpriced.get_or_create(&place).inc();
        }
    }
}
