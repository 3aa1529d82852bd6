//! The numbers of the telephone: streams, calls, sound, protocol.
//! Told by the telephone edge; the four names that LeadFlip's pages promise stand beside ours.
//! Never labelled with a number, a call or anything a carrier may write: carriers and reasons are lists of ours.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use wire::telephony::Counters;

use crate::calls::Ending;

/// Bounds of the length of calls, in s: five minutes are the longest by default.
const LENGTHS: [f64; 9] = [5.0, 10.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 3600.0];
/// Bounds of the time from the end of the caller's speech to the first sound for the carrier, in s.
const ANSWERS: [f64; 9] = [0.1, 0.25, 0.5, 0.7, 1.0, 1.5, 2.5, 5.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    carrier: &'static str,
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct End {
    carrier: &'static str,
    direction: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Trouble {
    carrier: &'static str,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Carrier {
    carrier: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transfer {
    mode: &'static str,
    result: &'static str,
}

/// The numbers of calls.
#[derive(Debug)]
pub struct Calls {
    streams: Family<Way, Gauge<i64, AtomicI64>>,
    began: Family<Way, Counter>,
    ended: Family<End, Counter>,
    length: Family<Carrier, Histogram, fn() -> Histogram>,
    answer: Family<Carrier, Histogram, fn() -> Histogram>,
    distrusted: Family<Trouble, Counter>,
    refused: Family<Trouble, Counter>,
    protocol: Family<Trouble, Counter>,
    stale: Family<Carrier, Counter>,
    barge_ins: Family<Carrier, Counter>,
    frames: Family<Carrier, Counter>,
    gaps: Counter,
    gap_ms: Counter,
    dropped_ms: Counter,
    keys: Family<Direction, Counter>,
    undisclosed: Counter,
    lost: Counter,
    transfers: Family<Transfer, Counter>,
    hangups: Family<Trouble, Counter>,
    recordings: Family<Outcome, Counter>,
    unrecorded: Counter,
    /// As LeadFlip's pages call them.
    connections: Gauge<i64, AtomicI64>,
    processed: Counter,
    average_s: Gauge<f64, AtomicU64>,
    error_rate: Gauge<f64, AtomicU64>,
    total_ms: AtomicU64,
    failed: AtomicU64,
}

impl Default for Calls {
    fn default() -> Self {
        let lengths = (|| Histogram::new(LENGTHS)) as fn() -> Histogram;
        let answers = (|| Histogram::new(ANSWERS)) as fn() -> Histogram;
        Self {
            streams: Family::default(),
            began: Family::default(),
            ended: Family::default(),
            length: Family::new_with_constructor(lengths),
            answer: Family::new_with_constructor(answers),
            distrusted: Family::default(),
            refused: Family::default(),
            protocol: Family::default(),
            stale: Family::default(),
            barge_ins: Family::default(),
            frames: Family::default(),
            gaps: Counter::default(),
            gap_ms: Counter::default(),
            dropped_ms: Counter::default(),
            keys: Family::default(),
            undisclosed: Counter::default(),
            lost: Counter::default(),
            transfers: Family::default(),
            hangups: Family::default(),
            recordings: Family::default(),
            unrecorded: Counter::default(),
            connections: Gauge::default(),
            processed: Counter::default(),
            average_s: Gauge::default(),
            error_rate: Gauge::default(),
            total_ms: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }
}

impl Calls {
    #[expect(clippy::too_many_lines, reason = "one family after the other")]
    pub(super) fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("tel");
        r.register(
            "active_streams",
            "Media streams of carriers that are open, by carrier and direction",
            self.streams.clone(),
        );
        r.register(
            "calls_in",
            "Calls that came in or were placed, by carrier and direction",
            self.began.clone(),
        );
        r.register(
            "calls",
            "Calls that had a conversation and are over, by carrier, direction and the reason of their end",
            self.ended.clone(),
        );
        r.register(
            "call_duration_seconds",
            "How long conversations of calls lasted, by carrier",
            self.length.clone(),
        );
        r.register(
            "first_audio_seconds",
            "From the end of the caller's speech to the first sound that is ready for the carrier",
            self.answer.clone(),
        );
        r.register(
            "signature_failures",
            "Requests of carriers that were not believed, by reason",
            self.distrusted.clone(),
        );
        r.register(
            "refused",
            "Calls and streams that were turned away, by reason",
            self.refused.clone(),
        );
        r.register(
            "protocol_errors",
            "Errors of carriers in what they send or report, by kind",
            self.protocol.clone(),
        );
        r.register(
            "stale_reports",
            "Reports of carriers that came late or twice",
            self.stale.clone(),
        );
        r.register(
            "barge_in",
            "Callers who spoke over the agent, by carrier",
            self.barge_ins.clone(),
        );
        r.register(
            "stream_frames",
            "Frames of sound that carriers sent",
            self.frames.clone(),
        );
        r.register(
            "stream_gap",
            "Gaps in the sound of carriers",
            self.gaps.clone(),
        );
        r.register(
            "stream_gap_ms",
            "Sound of carriers that never came, in ms",
            self.gap_ms.clone(),
        );
        r.register(
            "audio_dropped_ms",
            "Sound that was dropped because it waited too long, in ms",
            self.dropped_ms.clone(),
        );
        r.register(
            "dtmf",
            "Keys of telephones, by direction: in or out",
            self.keys.clone(),
        );
        r.register(
            "undisclosed",
            "Calls in which it was not said within 10 s that a machine speaks",
            self.undisclosed.clone(),
        );
        r.register(
            "orphans",
            "Calls of servers that died, dealt with by this one",
            self.lost.clone(),
        );
        r.register(
            "transfer",
            "Callers who were to be passed on, by how and by what came of it",
            self.transfers.clone(),
        );
        r.register(
            "hangups",
            "Calls that we ended at the carrier, over its REST interface, by what came of it",
            self.hangups.clone(),
        );
        r.register(
            "recordings",
            "Recordings of calls, by what became of them: kept, failed or gone",
            self.recordings.clone(),
        );
        r.register(
            "recording_left_out",
            "Pieces of sound that recordings lack, because they could not be written in time",
            self.unrecorded.clone(),
        );
        r.register(
            "active_connections",
            "Media streams that are open",
            self.connections.clone(),
        );
        r.register(
            "calls_processed",
            "Calls that are over",
            self.processed.clone(),
        );
        r.register(
            "average_call_duration_seconds",
            "Average length of the calls of this process",
            self.average_s.clone(),
        );
        r.register(
            "error_rate",
            "Part of the calls of this process that ended by a failure, 0 to 1",
            self.error_rate.clone(),
        );
    }

    /// Lets the families show their headers.
    pub(super) fn show(&self) {
        let (carrier, direction) = ("", "");
        let way = Way { carrier, direction };
        drop(self.streams.get_or_create(&way));
        drop(self.began.get_or_create(&way));
        let end = End {
            carrier,
            direction,
            reason: "",
        };
        drop(self.ended.get_or_create(&end));
        let one = Carrier { carrier };
        drop(self.length.get_or_create(&one));
        drop(self.answer.get_or_create(&one));
        drop(self.stale.get_or_create(&one));
        drop(self.barge_ins.get_or_create(&one));
        drop(self.frames.get_or_create(&one));
        let trouble = Trouble { carrier, kind: "" };
        drop(self.distrusted.get_or_create(&trouble));
        drop(self.refused.get_or_create(&trouble));
        drop(self.protocol.get_or_create(&trouble));
        drop(self.keys.get_or_create(&Direction { direction }));
        drop(self.hangups.get_or_create(&trouble));
        let transfer = Transfer {
            mode: "",
            result: "",
        };
        drop(self.transfers.get_or_create(&transfer));
        drop(self.recordings.get_or_create(&Outcome { result: "" }));
    }

    /// A request is not believed.
    pub fn distrusted(&self, carrier: &'static str, kind: &'static str) {
        self.distrusted
            .get_or_create(&Trouble { carrier, kind })
            .inc();
    }

    /// A call or a stream is turned away.
    pub fn refused(&self, carrier: &'static str, kind: &'static str) {
        self.refused.get_or_create(&Trouble { carrier, kind }).inc();
    }

    /// A carrier sends or reports something wrong.
    pub fn protocol_error(&self, carrier: &'static str, kind: &'static str) {
        self.protocol
            .get_or_create(&Trouble { carrier, kind })
            .inc();
    }

    /// A report came late or twice.
    pub fn stale_report(&self, carrier: &'static str) {
        self.stale.get_or_create(&Carrier { carrier }).inc();
    }

    /// A call came in, or was placed.
    pub fn began(&self, carrier: &'static str, direction: &'static str) {
        self.began.get_or_create(&Way { carrier, direction }).inc();
    }

    /// A stream opened (+1) or closed (-1).
    pub fn live(&self, carrier: &'static str, direction: &'static str, change: i64) {
        let way = Way { carrier, direction };
        self.streams.get_or_create(&way).inc_by(change);
        self.connections.inc_by(change);
    }

    /// A conversation is over.
    pub fn ended(
        &self,
        (carrier, direction): (&'static str, &'static str),
        ending: &Ending,
        lasted: Duration,
    ) {
        use std::sync::atomic::Ordering::Relaxed;
        let reason = ending.reason.name();
        let end = End {
            carrier,
            direction,
            reason,
        };
        self.ended.get_or_create(&end).inc();
        let lengths = self.length.get_or_create(&Carrier { carrier });
        lengths.observe(lasted.as_secs_f64());
        drop(lengths);
        let calls = self.processed.inc() + 1;
        let ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        let total_ms = self.total_ms.fetch_add(ms, Relaxed) + ms;
        let failed = u64::from(matches!(
            reason,
            "upstream_error" | "carrier_error" | "stream_lost"
        ));
        let failed = self.failed.fetch_add(failed, Relaxed) + failed;
        self.average_s.set(total_ms as f64 / 1000.0 / calls as f64);
        self.error_rate.set(failed as f64 / calls as f64);
    }

    /// What went by on a stream that is over.
    pub fn stream(&self, carrier: &'static str, counters: Counters) {
        self.frames
            .get_or_create(&Carrier { carrier })
            .inc_by(counters.media);
        for (kind, count) in [
            ("missing", counters.missing),
            ("disordered", counters.disordered),
            ("ignored", counters.ignored),
            ("bad_audio", counters.bad_audio),
        ] {
            if count > 0 {
                self.protocol
                    .get_or_create(&Trouble { carrier, kind })
                    .inc_by(count);
            }
        }
    }

    /// So much sound never came.
    pub fn gap(&self, ms: u64) {
        self.gaps.inc();
        self.gap_ms.inc_by(ms);
    }

    /// So much sound was dropped.
    pub fn sound_dropped(&self, ms: u64) {
        self.dropped_ms.inc_by(ms);
    }

    /// A caller spoke over the agent.
    pub fn barged_in(&self, carrier: &'static str) {
        self.barge_ins.get_or_create(&Carrier { carrier }).inc();
    }

    /// The first sound of an answer is ready.
    pub fn answered_after(&self, carrier: &'static str, ms: u64) {
        self.answer
            .get_or_create(&Carrier { carrier })
            .observe(ms as f64 / 1000.0);
    }

    /// A key was pressed, `in` or `out`.
    pub fn key(&self, direction: &'static str) {
        self.keys.get_or_create(&Direction { direction }).inc();
    }

    /// Nobody said that a machine speaks.
    pub fn undisclosed(&self) {
        self.undisclosed.inc();
    }

    /// A caller is passed on, or is not: `begun`, `met`, `taken`, `not_taken`, `failed`, or why the carrier was not asked.
    pub fn transferred(&self, mode: &'static str, result: &'static str) {
        self.transfers
            .get_or_create(&Transfer { mode, result })
            .inc();
    }

    /// The carrier was asked to end a call: `ended`, `over` or `failed`.
    pub fn hung_up(&self, carrier: &'static str, kind: &'static str) {
        self.hangups.get_or_create(&Trouble { carrier, kind }).inc();
    }

    /// What became of a recording: `kept`, `failed` or `gone`.
    pub fn recorded(&self, result: &'static str) {
        self.recordings.get_or_create(&Outcome { result }).inc();
    }

    /// So many pieces of sound are not in a recording.
    pub fn not_recorded(&self, pieces: u64) {
        self.unrecorded.inc_by(pieces);
    }

    /// A call of a server that died was dealt with.
    pub fn orphan(&self) {
        self.lost.inc();
    }
}
