//! Forgets expired client secrets: they hold the sessions of somebody's callers.
//! Runs in every server.
//! Never looks at one that may still be used.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::App;

/// Between two rounds: how long an expired secret may stay in memory, beside its own lifetime of minutes.
const EVERY: Duration = Duration::from_mins(1);

pub(super) async fn run(app: Arc<App>) {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            _ = turns.tick() => app.store.live.secrets.purge(app.clock.unix_s()),
        }
    }
}
