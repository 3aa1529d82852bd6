//! What follows an attempt that is over: another one, at a time when the person may be called, or the end of the call.
//! Called by everybody who learns that a call is over: reports of carriers, the telephone edge, the dialler, the sweep.
//! Never ends a call twice, never begins an attempt twice, and never tries again what somebody has answered.

use chrono::{DateTime, TimeDelta, Utc};
use engine::call::gate::Rule;
use engine::call::number::E164;
use engine::call::retry::{Attempt, Next};
use engine::call::state::{CallState, HangupReason, Outcome, Party, Step};
use engine::call::zones;
use store::{CallNews, NewCallEvent, NewEffect, StoreError, StoredCall};

use super::{CallKey, Details, announce, chance, summary};
use crate::App;

/// Attempts of one call at most, those included that the carrier took back because it was too fast.
const ATTEMPTS_MAX: i64 = 50;

/// Deals with an attempt that is over: does nothing where it goes on, or another has followed, or all was done before.
///
/// # Errors
/// [`StoreError`]; who calls it again does what was not done.
pub async fn over(app: &App, key: &CallKey) -> Result<(), StoreError> {
    conclude(app, key, None).await.map(drop)
}

/// As [`over`]; `fallback` is what came of the attempt where nobody has noted it. True for whoever has dealt with it.
///
/// # Errors
/// As [`over`].
pub async fn conclude(
    app: &App,
    key: &CallKey,
    fallback: Option<Outcome>,
) -> Result<bool, StoreError> {
    let Some(call) = app.store.sql.find_call(&key.tenant, &key.id).await? else {
        return Ok(false);
    };
    let is_over = CallState::parse(&call.state).is_some_and(CallState::is_over);
    if !is_over || call.finalized_at.is_some() || call.attempt_number != key.attempt {
        return Ok(false);
    }
    let reason = call.hangup_reason.as_deref().and_then(HangupReason::parse);
    let noted = call
        .outcome
        .as_deref()
        .and_then(Outcome::parse)
        .or(fallback);
    // who has called us and hangs up soon has declined nothing
    let placed = call.direction == "outbound";
    let talked_ms = talked_ms(&call).filter(|_| placed);
    let outcome = app
        .dialler
        .ladder
        .outcome(noted, reason, talked_ms)
        .or(noted);
    if placed && call.state == CallState::Ended.name() {
        let next = next_attempt(app, key, &call, (outcome, reason)).await?;
        if let Some((outcome, at)) = next {
            begin_next(app, key, outcome, at).await?;
            return Ok(true);
        }
    }
    finish(app, key, &call, outcome).await
}

/// The same attempt is made anew at `at`, because nobody was rung: the carrier was asked too fast.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn again(
    app: &App,
    key: &CallKey,
    (outcome, reason): (Outcome, HangupReason),
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let now = app.clock.utc();
    let event = NewCallEvent::new("dialler", "too_fast", now);
    let mut step = Step::to(key.engine_attempt(), CallState::Ended).because(reason, Party::Carrier);
    step.outcome = Some(outcome);
    app.store
        .sql
        .tell_call(key.named(), &CallNews::of(step, event), &[])
        .await?;
    if key.attempt >= ATTEMPTS_MAX {
        return over(app, key).await;
    }
    begin_next(app, key, outcome, at).await
}

/// How long was talked, in ms; nothing where nobody answered.
fn talked_ms(call: &StoredCall) -> Option<u64> {
    let talked = call.ended_at? - call.answered_at?;
    u64::try_from(talked.num_milliseconds()).ok()
}

/// When the call is tried again, and after what; nothing when it is not.
async fn next_attempt(
    app: &App,
    key: &CallKey,
    call: &StoredCall,
    (outcome, reason): (Option<Outcome>, Option<HangupReason>),
) -> Result<Option<(Outcome, DateTime<Utc>)>, StoreError> {
    let Some(outcome) = outcome else {
        return Ok(None);
    };
    let now = app.clock.utc();
    let sql = &app.store.sql;
    let today = match &call.callee {
        Some(callee) => {
            let day_ago = now - TimeDelta::hours(24);
            sql.attempts_since(&key.tenant, callee, day_ago).await?
        }
        None => 0,
    };
    let attempts = sql.call_attempts(&key.tenant, &key.id).await?;
    // what the carrier took back because it was too fast rang nobody
    let rang = attempts.iter().filter(|attempt| attempt.rang).count();
    let attempt = Attempt {
        number: u32::try_from(rang.max(1)).unwrap_or(u32::MAX),
        outcome,
        reason,
        to_number_today: today,
    };
    let chance = chance(app);
    let Next::Again { after_ms } = app.dialler.ladder.next(attempt, chance) else {
        return Ok(None);
    };
    let after = TimeDelta::milliseconds(i64::try_from(after_ms).unwrap_or(i64::MAX));
    let details = Details::of(call);
    let number = details.to.as_deref().and_then(|to| E164::parse(to).ok());
    let zone = details
        .time_zone
        .as_deref()
        .and_then(|zone| zone.parse().ok());
    let zones = match (zone, &number) {
        (Some(zone), _) => vec![zone],
        (None, Some(number)) => zones::of(number),
        (None, None) => Vec::new(),
    };
    let rules = &app.dialler.rules;
    let spread = (rules.spread, chance);
    let at = rules
        .window
        .next_opening_spread(&zones, now + after, spread);
    if at.is_none() {
        tracing::info!(
            call = key.id,
            rule = Rule::Window.name(),
            "a call is not tried again"
        );
    }
    Ok(at.map(|at| (outcome, at)))
}

/// The next attempt waits for its time.
async fn begin_next(
    app: &App,
    key: &CallKey,
    outcome: Outcome,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let attempt = key.engine_attempt().saturating_add(1);
    let source_key = format!("{attempt} retry");
    let content = serde_json::json!({ "after": outcome.name() }).to_string();
    let mut event = NewCallEvent::new("dialler", "retry", app.clock.utc());
    event.source_key = Some(&source_key);
    event.content = &content;
    let news = CallNews {
        due_at: Some(at),
        ..CallNews::of(Step::to(attempt, CallState::Scheduled), event)
    };
    app.store.sql.tell_call(key.named(), &news, &[]).await?;
    app.metrics.outgoing().tried_again(outcome.name());
    app.dialler.wake();
    Ok(())
}

/// The call is over for good: it is told, and summed up where somebody answered.
async fn finish(
    app: &App,
    key: &CallKey,
    call: &StoredCall,
    outcome: Option<Outcome>,
) -> Result<bool, StoreError> {
    let now = app.clock.utc();
    let mut ended = call.clone();
    ended.outcome = ended
        .outcome
        .or_else(|| outcome.map(|outcome| outcome.name().to_owned()));
    let mut effects: Vec<NewEffect> = announce::ended(app, key, &ended, now).await?;
    effects.push(summary::effect(key, now));
    let sql = &app.store.sql;
    let attempt = key.at_attempt();
    let first = sql.finalize_call(attempt, outcome, &effects, now).await?;
    app.outbox.wake();
    Ok(first)
}
