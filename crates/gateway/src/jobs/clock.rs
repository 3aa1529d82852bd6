//! Says when somebody has set the machine's clock while the server runs.
//! Runs in every server; `/metrics` shows the same number.
//! Never sets anything right: what needs even time does not ask the time of day.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::MissedTickBehavior;

use crate::App;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(10);
/// Less than this is no step: both times are read one after the other, on a machine that may be busy.
const STEP: TimeDelta = TimeDelta::seconds(2);

pub(super) async fn run(app: Arc<App>) {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = TimeDelta::zero();
    loop {
        tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            _ = turns.tick() => {}
        }
        let stepped = app.clock.stepped();
        if (stepped - known).abs() >= STEP {
            tracing::warn!(
                by_s = (stepped - known).num_seconds(),
                "the machine's clock was set, or the machine slept: conversations go on, keys and client secrets end by the new time"
            );
            known = stepped;
        }
    }
}
