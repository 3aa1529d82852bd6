//! Numbers about work for workers: what waits, what runs, how full a worker is, how jobs end.
//! Told by the workers, and by every `/metrics` that can see the queues.
//! Never labelled with a job or a session.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use store::live::WorkKind;
use store::live::work::Standing;

/// How a job ended at a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkOutcome {
    /// It was answered to its end, or refused with a reason.
    Done,
    /// Nobody wanted it any more, or another worker has it.
    Dropped,
    /// It failed, and will be tried again.
    Retried,
    /// It failed for the last time.
    DeadLetter,
    /// Redis did not answer: another worker will find it.
    Lost,
}

impl WorkOutcome {
    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Dropped => "dropped",
            Self::Retried => "retried",
            Self::DeadLetter => "dead_letter",
            Self::Lost => "lost",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    kind: &'static str,
    outcome: &'static str,
}

type Ratio = Gauge<f64, AtomicU64>;

/// The numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Work {
    waiting: Family<KindLabel, Gauge>,
    running: Family<KindLabel, Gauge>,
    oldest: Family<KindLabel, Ratio>,
    letters: Family<KindLabel, Gauge>,
    busy: Family<KindLabel, Gauge>,
    places: Family<KindLabel, Gauge>,
    utilization: Family<KindLabel, Ratio>,
    takeovers: Family<KindLabel, Counter>,
    jobs: Family<EndLabel, Counter>,
}

const fn label(kind: WorkKind) -> KindLabel {
    KindLabel { kind: kind.name() }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Work {
    pub(super) fn register(&self, registry: &mut Registry) {
        let r = registry;
        r.register(
            "work_waiting",
            "Jobs that no worker has taken, of all gateways",
            self.waiting.clone(),
        );
        r.register(
            "work_running",
            "Jobs that workers hold, of all workers",
            self.running.clone(),
        );
        r.register(
            "work_oldest_waiting_seconds",
            "How long the oldest job that no worker has taken has waited",
            self.oldest.clone(),
        );
        r.register(
            "work_dead_letters",
            "Jobs that were given up after their last try",
            self.letters.clone(),
        );
        r.register(
            "worker_busy",
            "Jobs that this worker is doing",
            self.busy.clone(),
        );
        r.register(
            "worker_places",
            "Jobs that this worker does at the same time at most",
            self.places.clone(),
        );
        r.register(
            "worker_utilization",
            "Share of this worker's places that are busy, 0 to 1",
            self.utilization.clone(),
        );
        r.register(
            "worker_takeovers",
            "Jobs that this worker took over from another, or tried again",
            self.takeovers.clone(),
        );
        r.register(
            "worker_jobs",
            "Jobs that ended at this worker, by outcome",
            self.jobs.clone(),
        );
    }

    /// Lets every family show its header.
    pub(super) fn show(&self) {
        let none = KindLabel { kind: "" };
        drop(self.waiting.get_or_create(&none));
        drop(self.running.get_or_create(&none));
        drop(self.oldest.get_or_create(&none));
        drop(self.letters.get_or_create(&none));
        drop(self.busy.get_or_create(&none));
        drop(self.places.get_or_create(&none));
        drop(self.utilization.get_or_create(&none));
        drop(self.takeovers.get_or_create(&none));
        drop(self.jobs.get_or_create(&EndLabel {
            kind: "",
            outcome: "",
        }));
    }

    /// How a queue is.
    pub(crate) fn standing(&self, kind: WorkKind, standing: &Standing) {
        let label = label(kind);
        let oldest = standing.oldest_ms as f64 / 1000.0;
        self.waiting
            .get_or_create(&label)
            .set(gauge(standing.waiting));
        self.running
            .get_or_create(&label)
            .set(gauge(standing.running));
        self.oldest.get_or_create(&label).set(oldest);
        self.letters
            .get_or_create(&label)
            .set(gauge(standing.letters));
    }

    /// How full this worker is.
    pub(crate) fn places(&self, kind: WorkKind, busy: usize, places: usize) {
        let label = label(kind);
        self.busy.get_or_create(&label).set(gauge(busy as u64));
        self.places.get_or_create(&label).set(gauge(places as u64));
        self.utilization
            .get_or_create(&label)
            .set(busy as f64 / places.max(1) as f64);
    }

    /// A job was taken over, or is tried again.
    pub(crate) fn taken_over(&self, kind: WorkKind) {
        self.takeovers.get_or_create(&label(kind)).inc();
    }

    /// A job ended here.
    pub(crate) fn ended(&self, kind: WorkKind, outcome: WorkOutcome) {
        let label = EndLabel {
            kind: kind.name(),
            outcome: outcome.name(),
        };
        self.jobs.get_or_create(&label).inc();
    }
}
