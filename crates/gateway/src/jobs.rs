//! Work that nobody waits for: once at start and once a day.
//! Started with the server.
//! Never holds up a start or a stop.

use std::sync::Arc;
use std::time::Duration;

use crate::App;
use crate::auth::chain;

/// Months that there is room for beside the present one.
const MONTHS_AHEAD: u16 = 2;
const DAY: Duration = Duration::from_hours(24);
/// After a failure: the database may be back.
const SOON: Duration = Duration::from_mins(5);

/// Makes room for months to come, wraps data keys with the newest key, and removes what has outlived its time.
pub(crate) async fn keep_conversations(app: Arc<App>) {
    let retention = app.config.conversations.retention();
    loop {
        let work = async {
            let (sql, now) = (&app.store.sql, app.clock.utc());
            let months = sql.make_months(now, MONTHS_AHEAD).await?;
            let keys = sql.renew_data_keys().await?;
            let pruned = sql.prune(&retention, now).await?;
            tracing::info!(
                partitions_made = months,
                keys_renewed = keys,
                sessions_removed = pruned.sessions,
                partitions_dropped = pruned.partitions,
                "conversations are in order"
            );
            Ok::<_, store::StoreError>(())
        };
        let done = tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            done = work => done,
        };
        let pause = match done {
            Ok(()) => DAY,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot put conversations in order");
                SOON
            }
        };
        tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
