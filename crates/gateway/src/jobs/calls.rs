//! Deals with calls whose server died: nobody has looked after them for a minute.
//! Runs in every server; of two that look at the same call, one deals with it.
//! Never ends a call that somebody looks after: whoever does touches it every five seconds.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use engine::call::state::{CallState, HangupReason, Outcome, Party, Step};
use store::{CallNews, NewCallEvent, StoreError};
use tokio::time::MissedTickBehavior;

use crate::App;
use crate::auth::chain;
use crate::calls::CallKey;
use crate::calls::book::LOST_AFTER;
use crate::dialler::after;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(15);
/// An outbound call that nobody has answered, and whose carrier nobody has asked for so long after it has rung out, is lost.
const UNASKED: TimeDelta = TimeDelta::minutes(15);
/// Calls dealt with in one look; more are a matter of the next.
const AT_ONCE: u32 = 200;

pub(super) async fn run(app: Arc<App>) {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            _ = turns.tick() => {}
        }
        if let Err(error) = sweep(&app).await {
            tracing::warn!(error = %chain(&error), "cannot look for calls that nobody looks after");
        }
    }
}

/// Deals with the calls that nobody looks after any more; says how many those were.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn sweep(app: &App) -> Result<usize, StoreError> {
    let sql = &app.store.sql;
    let now = app.clock.utc();
    let before = now - TimeDelta::from_std(LOST_AFTER).unwrap_or_default();
    let mut dealt_with = 0;
    for (tenant, id) in sql.orphaned_calls(before, AT_ONCE).await? {
        match end(app, (&tenant, &id), before).await {
            Ok(true) => {
                dealt_with += 1;
                app.metrics.calls().orphan();
                tracing::warn!(call = id, "a call of a server that died is dealt with");
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(call = id, error = %chain(&error), "cannot deal with a call that nobody looks after");
                // the others come first now
                sql.look_later((&tenant, &id), now).await?;
            }
        }
    }
    Ok(dealt_with)
}

/// Ends one call that nobody has looked after since `before`; true for whoever has dealt with it.
async fn end(
    app: &App,
    (tenant, id): (&str, &str),
    before: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let sql = &app.store.sql;
    let Some(call) = sql.find_call(tenant, id).await? else {
        return Ok(false);
    };
    // somebody may have looked at it since
    if call.seen_at.is_none_or(|seen| seen >= before) {
        return Ok(false);
    }
    // an outbound call that was not answered is for the dialler to look up and try again; where no server dials any more,
    // nobody would
    let answered = call.session.is_some() || call.answered_at.is_some();
    let rings = TimeDelta::seconds(app.config.dialling.ring_timeout_s.into());
    let long_ago = app.clock.utc() - rings - UNASKED;
    let given_up = call.seen_at.is_some_and(|seen| seen < long_ago);
    if call.direction == "outbound" && !answered && !given_up {
        return Ok(false);
    }
    let attempt = u32::try_from(call.attempt_number).unwrap_or(1);
    let step = Step::to(attempt, CallState::Ended).because(HangupReason::StreamLost, Party::System);
    let mut event = NewCallEvent::new("sweep", "orphaned", app.clock.utc());
    let source_key = format!("{attempt} orphaned");
    event.source_key = Some(&source_key);
    sql.tell_call((tenant, id), &CallNews::of(step, event), &[])
        .await?;
    let key = CallKey {
        tenant: tenant.to_owned(),
        id: id.to_owned(),
        attempt: call.attempt_number,
    };
    after::conclude(app, &key, Some(Outcome::Incomplete)).await
}
