//! What is counted, and the table of it.

use std::time::Duration;

use super::*;
use crate::observe::Outcome;

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

#[test]
fn the_table_lists_every_family_with_its_labels() {
    let table = metrics_markdown();
    assert!(
        table.contains("| `antiphon_turn_stage_seconds` | histogram | stage | Time from"),
        "{table}"
    );
    assert!(
        table.contains("| `antiphon_http_requests` | counter | method, route, status |"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 2 + 58);
}
