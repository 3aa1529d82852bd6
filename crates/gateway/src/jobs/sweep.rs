//! Removes what is over of the outbox, the inbox, the calls, the voice sessions, the chat rooms and the surveys; ends voice sessions that were lost.
//! Runs in every server, once at start and once a day; two at once find less to do.
//! Never removes more than [`ROWS`] rows in one go: what is left comes a minute later.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use store::{Cuts, StoreError, Swept};

use crate::App;
use crate::auth::chain;
use crate::retention;

/// Rows of one pass: some seconds of the database's time.
const ROWS: u64 = 50_000;
/// How long nobody writes of a voice session beyond the longest that one lasts before it counts as lost.
const LOST_FOR: TimeDelta = TimeDelta::minutes(10);
const DAY: Duration = Duration::from_hours(24);
/// While there is more to remove.
const NEXT: Duration = Duration::from_mins(1);
/// After a failure: the database may be back.
const SOON: Duration = Duration::from_mins(5);

pub(super) async fn run(app: Arc<App>) {
    loop {
        let done = tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            done = sweep(&app) => done,
        };
        let pause = match done {
            Ok(swept) => {
                tracing::info!(
                    outbox = swept.outbox,
                    inbox = swept.inbox,
                    calls = swept.calls,
                    voice = swept.voice,
                    chat_messages = swept.chat_messages,
                    responses = swept.responses,
                    "what is over was removed"
                );
                if swept.left == 0 { NEXT } else { DAY }
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot remove what is over");
                SOON
            }
        };
        tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn sweep(app: &App) -> Result<Swept, StoreError> {
    // a clock that was set a year ahead must not empty the archive
    let now = app.clock.cautious_utc();
    let ago = |days: u32| now - TimeDelta::days(days.into());
    let kept = &app.config.retention;
    let cuts = Cuts {
        outbox_done: ago(kept.outbox_done_days),
        outbox_dead: ago(kept.outbox_dead_days),
        inbox: ago(kept.inbox_days),
        rows: ROWS,
    };
    let retention = retention::of_all(&app.store.sql, &app.config).await?;
    // a session that nobody has written for longer than one lasts was lost with its server
    let lost = now - TimeDelta::seconds(app.config.sessions.max_duration_s as i64) - LOST_FOR;
    for tenant in retention.tenants.keys() {
        app.store.sql.end_lost_voice_sessions(tenant, lost).await?;
    }
    app.store.sql.sweep(&retention, &cuts, now).await
}
