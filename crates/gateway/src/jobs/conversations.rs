//! Keeps what is stored of conversations and their usage in order: room for months to come, data keys under the newest key, and nothing
//! that has outlived its time.
//! Runs in every server, once at start and once a day.
//! Never holds up a start or a stop.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use store::TenantStatus;

use crate::App;
use crate::auth::chain;
use crate::retention;

/// Tenants that were deleted so long ago have no conversations any more, unless no server ran since.
const DELETED_SINCE: TimeDelta = TimeDelta::days(30);
/// Months that there is room for beside the present one.
const MONTHS_AHEAD: u16 = 2;
const DAY: Duration = Duration::from_hours(24);
/// After a failure: the database may be back.
const SOON: Duration = Duration::from_mins(5);

pub(super) async fn run(app: Arc<App>) {
    loop {
        let work = async {
            let (sql, now) = (&app.store.sql, app.clock.utc());
            let months = sql.make_months(now, MONTHS_AHEAD).await?
                + sql.make_usage_months(now, MONTHS_AHEAD).await?;
            let keys = sql.renew_data_keys().await?;
            // what its last conversations wrote after a tenant was deleted
            for tenant in sql.tenants_changed(now - DELETED_SINCE).await? {
                if tenant.status == TenantStatus::Deleted {
                    sql.delete_sessions(&tenant.id).await?;
                }
            }
            // a clock that was set a year ahead must not empty the archive
            let retention = retention::of_all(sql, &app.config).await?;
            let pruned = sql.prune(&retention, app.clock.cautious_utc()).await?;
            let used = TimeDelta::days(app.config.metering.retention_days.into());
            let usage = sql.prune_usage(app.clock.cautious_utc() - used).await?;
            tracing::info!(
                partitions_made = months,
                keys_renewed = keys,
                sessions_removed = pruned.sessions,
                usage_removed = usage.pieces,
                partitions_dropped = pruned.partitions + usage.partitions,
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
