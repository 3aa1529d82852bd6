//! Attempts of which nobody knows what became: whoever dialled has died, an answer or a report was lost.
//! Started by the dialler; every server looks, and the carrier is asked before anything is decided.
//! Never dials: an attempt that cannot be found counts as failed, and the ladder says what follows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use engine::call::state::{CallState, CarrierStatus, HangupReason, Outcome, Party, Step};
use providers::carrier::{Found, Lost};
use store::{CallNews, NewCallEvent, StoreError, StoredCall};

use super::{CallKey, Details, Line, after, correlation, stop};
use crate::App;
use crate::auth::chain;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(15);
/// An attempt of which nothing was heard for so long, beyond the time that it may ring, is lost.
const SILENT: TimeDelta = TimeDelta::seconds(30);
/// Attempts that are looked into at a time.
const AT_ONCE: u32 = 20;

pub(super) async fn run(app: Arc<App>) {
    let mut put = app.dialler.put.subscribe();
    loop {
        put.mark_unchanged();
        if let Err(error) = look(&app).await {
            tracing::warn!(error = %chain(&error), "cannot look for calls of which nothing is heard");
        }
        tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            _ = put.changed() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(app: &Arc<App>) -> Result<(), StoreError> {
    let sql = &app.store.sql;
    let rings = TimeDelta::seconds(app.config.dialling.ring_timeout_s.into());
    let before = app.clock.utc() - rings - SILENT;
    // whoever does not answer is not waited for once more with each of its calls
    let mut silent = BTreeSet::new();
    for (tenant, id) in sql.silent_calls(before, AT_ONCE).await? {
        let known = one(app, (&tenant, &id), &mut silent).await;
        let known = known.unwrap_or_else(|error| {
            tracing::warn!(call = id, error = %chain(&error), "cannot find out what became of a call");
            false
        });
        if !known {
            // the others come first now
            sql.look_later((&tenant, &id), app.clock.utc()).await?;
        }
    }
    Ok(())
}

/// Deals with one call; false where its carrier does not say what became of it.
async fn one(
    app: &App,
    (tenant, id): (&str, &str),
    silent: &mut BTreeSet<String>,
) -> Result<bool, StoreError> {
    let Some(call) = app.store.sql.find_call(tenant, id).await? else {
        return Ok(true);
    };
    let key = CallKey {
        tenant: tenant.to_owned(),
        id: id.to_owned(),
        attempt: call.attempt_number,
    };
    if CallState::parse(&call.state).is_some_and(CallState::is_over) {
        // its end was written down, and whoever did that did not come as far as what follows
        after::over(app, &key).await?;
        return Ok(true);
    }
    if silent.contains(&call.account) {
        return Ok(false);
    }
    let known = resolve(app, &key, &call).await?;
    if !known {
        silent.insert(call.account);
    }
    Ok(known)
}

/// Asks the carrier what became of an attempt; false where it does not say.
async fn resolve(app: &App, key: &CallKey, call: &StoredCall) -> Result<bool, StoreError> {
    let Some(line) = app.dialler.line(&call.account) else {
        gone(app, key, "its carrier account is not configured any more").await?;
        return Ok(true);
    };
    match ask(app, key, call, line).await {
        Ok(Some(found)) => stands(app, key, call, line, &found).await,
        Ok(None) => {
            gone(app, key, "the carrier knows of no such call").await?;
            Ok(true)
        }
        Err(problem) => {
            // it is asked again
            tracing::warn!(
                call = key.id,
                problem,
                "the carrier cannot be asked what became of a call"
            );
            Ok(false)
        }
    }
}

async fn ask(
    app: &App,
    key: &CallKey,
    call: &StoredCall,
    line: &Line,
) -> Result<Option<Found>, String> {
    let now = app.clock.utc();
    let carrier = &line.carrier;
    if let Some(id) = &call.carrier_call_id {
        return carrier
            .look_up(id, now)
            .await
            .map_err(|error| error.to_string());
    }
    let details = Details::of(call);
    let correlation = correlation(key);
    let from = details.from.or_else(|| line.number.clone());
    let lost = Lost {
        to: details.to.as_deref().unwrap_or_default(),
        from: from.as_deref().unwrap_or_default(),
        correlation: &correlation,
        since: call.started_at.unwrap_or(now),
    };
    carrier
        .find(&lost, now)
        .await
        .map_err(|error| error.to_string())
}

/// The carrier knows the call: it stands as the carrier says, and one that rings for too long is ended; false where it cannot be.
async fn stands(
    app: &App,
    key: &CallKey,
    call: &StoredCall,
    line: &Line,
    found: &Found,
) -> Result<bool, StoreError> {
    let now = app.clock.utc();
    let event = NewCallEvent::new("sweep", "found", now);
    let over = found.status.map(|status| status.step(key.engine_attempt()));
    let over = over.filter(|step| step.state == CallState::Ended);
    let step = match over {
        // it was answered and is over, and nobody has heard a word of it
        Some(step) if found.status == Some(CarrierStatus::Completed) => Step {
            outcome: Some(Outcome::Incomplete),
            ended_by: Some((HangupReason::StreamLost, Party::Carrier)),
            ..step
        },
        Some(step) => step,
        None => {
            if let Err(error) = line.carrier.hang_up(&found.call_id, now).await {
                tracing::warn!(call = key.id, %error, "a call that nobody looks after cannot be ended");
                return Ok(false);
            }
            stop::unanswered(key.engine_attempt(), HangupReason::NoAnswer)
        }
    };
    let news = CallNews {
        carrier_call_id: call.carrier_call_id.is_none().then_some(&*found.call_id),
        ..CallNews::of(step, event)
    };
    app.store.sql.tell_call(key.named(), &news, &[]).await?;
    after::over(app, key).await?;
    Ok(true)
}

/// The carrier does not know the call: the attempt has failed.
async fn gone(app: &App, key: &CallKey, problem: &str) -> Result<(), StoreError> {
    let event = NewCallEvent::new("sweep", "lost", app.clock.utc());
    let mut step = Step::to(key.engine_attempt(), CallState::Ended)
        .because(HangupReason::CarrierError, Party::Carrier);
    step.outcome = Some(Outcome::Failed);
    let news = CallNews {
        error: Some(problem),
        ..CallNews::of(step, event)
    };
    app.store.sql.tell_call(key.named(), &news, &[]).await?;
    after::over(app, key).await
}
