//! Ends the conversations of tenants that were suspended or deleted, and brings new limits to those of others, wherever
//! that was done; forgets what deleted tenants left in the live state.
//! Runs in every server.
//! Never cuts a sentence: a conversation ends after the answer that is being spoken, or half a minute later.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use store::TenantStatus;
use tokio::time::MissedTickBehavior;

use crate::App;
use crate::auth::Allowance;

/// Between two looks. With the half a minute that a conversation may go on, all have ended within a minute.
const EVERY: Duration = Duration::from_secs(10);

/// Clocks of two servers may differ by so much, and a key may open a door for a second after its tenant was suspended:
/// what was changed so recently is looked at again.
const OVERLAP: TimeDelta = TimeDelta::minutes(2);

pub(super) async fn run(app: Arc<App>) {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut since = app.clock.utc() - OVERLAP;
    loop {
        tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            _ = turns.tick() => {}
        }
        app.quotas.sweep();
        since = look(&app, since).await;
    }
}

/// Ends what has to end by what was changed at `since` or later; says from when on to look the next time.
async fn look(app: &App, since: DateTime<Utc>) -> DateTime<Utc> {
    let now = app.clock.utc();
    let changed = match app.store.sql.tenants_changed(since).await {
        Ok(changed) => changed,
        Err(error) => {
            let error = crate::auth::chain(&error);
            tracing::warn!(
                error,
                "cannot see which tenants were suspended; trying again"
            );
            return since;
        }
    };
    for tenant in changed {
        if tenant.status == TenantStatus::Active {
            let allowance = Allowance {
                plan: tenant.plan,
                limits: tenant.limits,
            };
            app.quotas.change(&app.config, &tenant.id, &allowance);
            continue;
        }
        let sessions = app.sessions.close(&tenant.id);
        if tenant.status == TenantStatus::Deleted {
            forget(app, &tenant.id).await;
        }
        if sessions > 0 {
            let status = tenant.status.name();
            tracing::info!(
                tenant = tenant.id,
                sessions,
                status,
                "conversations are told to end"
            );
        }
    }
    now - OVERLAP
}

/// Forgets what the tenant's conversations left for clients that might have come back. A conversation that is still ending
/// leaves something again, and is looked for the next time.
pub(crate) async fn forget(app: &App, tenant: &str) {
    match app.store.live.sessions.forget(tenant).await {
        Ok(0) => {}
        Ok(sessions) => tracing::info!(
            tenant,
            sessions,
            "live sessions of a deleted tenant are forgotten"
        ),
        Err(error) => {
            tracing::warn!(tenant, %error, "cannot forget the live sessions of a deleted tenant");
        }
    }
}
