//! Numbers for Prometheus.
//! Changed only through [`Metrics::emit`] and the two gauges below; shown by `/metrics`.
//! Never labelled with anything unbounded: no session ids, no paths, no names from clients.

mod table;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use chrono::TimeDelta;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use engine::session::Part;
use providers::guarded::Incident;
use store::JournalState;

use super::calls::Calls;
use super::events::Event;
use super::incidents::Incidents;
use super::kept::Kept;
use super::keys::{Keys, Layer};
use super::limits::Limits;
use super::lines::log;
use super::outgoing::Outgoing;
use super::rooms::ChatNumbers;
use super::surveys::Surveys;
use super::usage::Usage;
use super::work::Work;

pub use table::metrics_markdown;

/// Bounds of the turn-stage histogram in s: dense where the targets are (DESIGN §4: 250 to 450 ms).
const STAGE_BOUNDS: [f64; 16] = [
    0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0,
];

/// Bounds of the request histogram in s.
const REQUEST_BOUNDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabel {
    provider: String,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TimedRouteLabel {
    route: String,
}

#[derive(Debug, Default)]
struct Families {
    sessions_active: Gauge<i64, AtomicI64>,
    sessions: Family<OutcomeLabel, Counter>,
    audio_dropped: Counter,
    slow_clients: Counter,
    provider_failures: Family<ProviderLabel, Counter>,
    keys_refused: Family<ReasonLabel, Counter>,
    requests: Family<RouteLabel, Counter>,
    connections_refused: Counter,
    connections_open: Gauge<i64, AtomicI64>,
    pipeline_ready: Gauge<i64, AtomicI64>,
    redis_away: Gauge<i64, AtomicI64>,
    queue_depth: Family<QueueLabel, Gauge<i64, AtomicI64>>,
    calls: Calls,
    incidents: Incidents,
    kept: Kept,
    keys: Keys,
    limits: Limits,
    surveys: Surveys,
    rooms: ChatNumbers,
    usage: Usage,
    work: Work,
    outgoing: Outgoing,
}

/// The metrics of one server; cheap to clone, and of the size of a pointer: every session holds several.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Numbers>);

#[derive(Debug)]
struct Numbers {
    registry: Registry,
    families: Families,
    stages: Family<StageLabel, Histogram, fn() -> Histogram>,
    request_time: Family<TimedRouteLabel, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let families = Families::default();
        let stages =
            Family::new_with_constructor((|| Histogram::new(STAGE_BOUNDS)) as fn() -> Histogram);
        let request_time =
            Family::new_with_constructor((|| Histogram::new(REQUEST_BOUNDS)) as fn() -> Histogram);
        let mut registry = Registry::with_prefix("antiphon");
        register(&mut registry, &families);
        registry.register(
            "turn_stage_seconds",
            "Time from the end of the caller's speech to each stage of the reply",
            stages.clone(),
        );
        registry.register(
            "http_request_seconds",
            "Time to the head of the answer, by route",
            request_time.clone(),
        );
        Self(Arc::new(Numbers {
            registry,
            families,
            stages,
            request_time,
        }))
    }
}

fn register(registry: &mut Registry, families: &Families) {
    let r = registry;
    r.register(
        "sessions_active",
        "Conversations running",
        families.sessions_active.clone(),
    );
    r.register(
        "sessions",
        "Conversations ended, by outcome",
        families.sessions.clone(),
    );
    r.register(
        "audio_frames_dropped",
        "Audio frames dropped because a queue was full",
        families.audio_dropped.clone(),
    );
    r.register(
        "slow_clients_closed",
        "Clients disconnected because they did not read",
        families.slow_clients.clone(),
    );
    r.register(
        "provider_failures",
        "Failures of providers, by code",
        families.provider_failures.clone(),
    );
    r.register(
        "keys_refused",
        "Keys that opened nothing, by reason",
        families.keys_refused.clone(),
    );
    r.register(
        "http_requests",
        "Requests answered, by method, route and status",
        families.requests.clone(),
    );
    r.register(
        "connections_refused",
        "Connections refused because too many were open",
        families.connections_refused.clone(),
    );
    r.register(
        "connections_open",
        "Connections open",
        families.connections_open.clone(),
    );
    r.register(
        "pipeline_ready",
        "1 once the models are loaded",
        families.pipeline_ready.clone(),
    );
    r.register(
        "queue_depth",
        "Work waiting, by queue",
        families.queue_depth.clone(),
    );
    r.register(
        "redis_away",
        "1 while Redis is configured and does not answer",
        families.redis_away.clone(),
    );
    families.calls.register(r);
    families.incidents.register(r);
    families.kept.register(r);
    families.surveys.register(r);
    families.keys.register(r);
    families.limits.register(r);
    families.rooms.register(r);
    families.usage.register(r);
    families.work.register(r);
    families.outgoing.register(r);
}

impl Metrics {
    /// Records what happened to a provider.
    pub(crate) fn incident(&self, incident: &Incident<'_>) {
        self.0.families.incidents.note(incident);
    }

    /// The numbers about work for workers.
    pub(crate) fn work(&self) -> &Work {
        &self.0.families.work
    }

    /// The numbers about chat rooms.
    pub(crate) fn chat(&self) -> &ChatNumbers {
        &self.0.families.rooms
    }

    /// The numbers of the telephone.
    pub fn calls(&self) -> &Calls {
        &self.0.families.calls
    }

    /// The numbers of what goes out.
    pub(crate) fn outgoing(&self) -> &Outgoing {
        &self.0.families.outgoing
    }

    /// Records one happening: its numbers here, its line in the log.
    pub fn emit(&self, event: &Event<'_>) {
        self.count(event);
        log(event);
    }

    fn count(&self, event: &Event<'_>) {
        let families = &self.0.families;
        match event {
            Event::SessionStarted { .. } => {
                families.sessions_active.inc();
            }
            Event::SessionEnded { outcome, .. } => {
                families.sessions_active.dec();
                families
                    .sessions
                    .get_or_create(&OutcomeLabel {
                        outcome: outcome.name(),
                    })
                    .inc();
            }
            Event::TurnStage { stage, after, .. } => {
                let stage = stage.name();
                let times = self.0.stages.get_or_create(&StageLabel { stage });
                times.observe(after.as_secs_f64());
            }
            Event::AudioDropped { frames, .. } => {
                families.audio_dropped.inc_by(*frames);
            }
            Event::SlowClientClosed { .. } => {
                families.slow_clients.inc();
            }
            Event::ProviderFailed { provider, code, .. } => {
                let label = ProviderLabel {
                    provider: (*provider).to_owned(),
                    code: (*code).to_owned(),
                };
                families.provider_failures.get_or_create(&label).inc();
            }
            Event::RateLimited { level, .. } => families.limits.refused(level),
            Event::LimitReached { level, measure, .. } => families.limits.reached(level, measure),
            Event::QuotaNear { .. } => families.limits.nearly_used_up(),
            Event::KeyRefused { reason, .. } => {
                families
                    .keys_refused
                    .get_or_create(&ReasonLabel { reason })
                    .inc();
            }
            Event::RequestServed {
                method,
                route,
                status,
                took,
            } => {
                let route = (*route).to_owned();
                let label = TimedRouteLabel {
                    route: route.clone(),
                };
                let times = self.0.request_time.get_or_create(&label);
                times.observe(took.as_secs_f64());
                let label = RouteLabel {
                    method: (*method).to_owned(),
                    route,
                    status: *status,
                };
                families.requests.get_or_create(&label).inc();
            }
            Event::ConnectionRefused => {
                families.connections_refused.inc();
            }
            Event::PartMissing { part, missing, .. } => {
                families.incidents.missing(part_name(*part), *missing);
            }
            Event::ToolRan {
                kind, cause, took, ..
            } => families.usage.ran(kind, cause.is_some(), *took),
            Event::ToolsListed { cause, .. } => families.usage.listed(cause.is_some()),
            Event::Used { used, cost } => families.usage.note(used, *cost),
            Event::PipelineReady { .. } => {
                families.pipeline_ready.set(1);
            }
            Event::PipelineFailed { .. } => {
                families.pipeline_ready.set(0);
            }
        }
    }

    /// Notes how the journal of conversations is, and how far the machine's clock was set.
    pub(crate) fn machine(&self, journal: Option<&JournalState>, stepped: TimeDelta) {
        self.0.families.kept.note(journal, stepped);
    }

    /// Notes whether Redis is away.
    pub(crate) fn redis_away(&self, away: bool) {
        self.0.families.redis_away.set(away.into());
    }

    /// Notes who knew what the `key` or its `tenant` is.
    pub(crate) fn found(&self, of: &'static str, layer: Layer) {
        self.0.families.keys.found(of, layer);
    }

    pub(super) fn of_surveys(&self) -> &Surveys {
        &self.0.families.surveys
    }

    /// Counts a decision of this server alone.
    pub(crate) fn decided_locally(&self) {
        self.0.families.limits.decided_locally();
    }

    /// Sets how much work waits in `queue`.
    pub fn queue_depth(&self, queue: &'static str, depth: usize) {
        let depth = i64::try_from(depth).unwrap_or(i64::MAX);
        self.0
            .families
            .queue_depth
            .get_or_create(&QueueLabel { queue })
            .set(depth);
    }

    /// A connection opened (+1) or closed (-1).
    pub(crate) fn connections(&self, change: i64) {
        self.0.families.connections_open.inc_by(change);
    }

    /// Conversations running.
    pub fn active_sessions(&self) -> i64 {
        self.0.families.sessions_active.get()
    }

    /// Everything in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // writing to a String does not fail
        let _ = text::encode(&mut out, &self.0.registry);
        out
    }
}

pub(super) const fn part_name(part: Part) -> &'static str {
    match part {
        Part::Ears => "stt",
        Part::Language => "llm",
        Part::Voice => "tts",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::events::{Outcome, Stage};
    use super::*;

    #[test]
    fn an_event_is_counted_once() {
        let metrics = Metrics::default();
        metrics.emit(&Event::SessionStarted {
            session: "sess_1",
            tenant: "default",
        });
        assert_eq!(metrics.active_sessions(), 1);
        metrics.emit(&Event::TurnStage {
            session: "sess_1",
            stage: Stage::FirstAudio,
            after: Duration::from_millis(310),
        });
        metrics.emit(&Event::SessionEnded {
            session: "sess_1",
            outcome: Outcome::ClientClosed,
            lasted: Duration::from_secs(3),
            micro_dollars: None,
        });
        metrics.emit(&Event::AudioDropped {
            session: "sess_1",
            frames: 4,
        });
        let text = metrics.text();
        for line in [
            "antiphon_sessions_active 0",
            "antiphon_sessions_total{outcome=\"client_closed\"} 1",
            "antiphon_turn_stage_seconds_count{stage=\"first_audio\"} 1",
            "antiphon_turn_stage_seconds_bucket{le=\"0.3\",stage=\"first_audio\"} 0",
            "antiphon_turn_stage_seconds_bucket{le=\"0.4\",stage=\"first_audio\"} 1",
            "antiphon_audio_frames_dropped_total 4",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is missing in\n{text}"
            );
        }
    }
}
