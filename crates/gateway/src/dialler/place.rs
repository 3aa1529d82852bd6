//! One call that is due: looked at once more, begun, and dialled.
//! Called by the dialler for each call that it has claimed.
//! Never asks the carrier before the attempt is on record, and never a second time.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use engine::call::gate::{Facts, Gate, Rule, Wish};
use engine::call::number::E164;
use engine::call::state::{CallState, HangupReason, Outcome, Party, Step};
use engine::call::zones;
use providers::carrier::{CarrierError, Machines, NewDial, Trouble};
use serde_json::json;
use store::{
    CallNews, ClaimedCall, Dial, NewCallEvent, StoreError, StoredCall, TenantStatus, Told,
};
use wire::rest::calls::{ConsentKind, VoicemailPolicy};
use wire::telephony::Dialect;

use super::{CallKey, Details, after, announce, chance, correlation, stop};
use crate::App;
use crate::edge::telephony::addresses;
use crate::quota;

/// A call of a tenant that is suspended waits so long.
const SUSPENDED: TimeDelta = TimeDelta::minutes(15);
/// After a carrier that says "too fast" and not when.
const TOO_FAST: TimeDelta = TimeDelta::seconds(5);
/// How often a call is looked at anew when something has changed at the last moment.
const LOOKS: usize = 3;

/// What a call says of itself.
struct Read {
    stored: StoredCall,
    details: Details,
    number: Option<E164>,
}

pub(super) async fn place(
    app: &Arc<App>,
    call: &ClaimedCall,
    owner: &str,
) -> Result<(), StoreError> {
    let sql = &app.store.sql;
    for _ in 0..LOOKS {
        let Some(stored) = sql.find_call(&call.tenant, &call.id).await? else {
            return Ok(());
        };
        let details = Details::of(&stored);
        let number = details.to.as_deref().and_then(|to| E164::parse(to).ok());
        let read = Read {
            stored,
            details,
            number,
        };
        let now = app.clock.utc();
        match judge(app, call, &read, now).await? {
            Gate::Closed(rule) => return block(app, call, rule, now).await,
            Gate::Later(at) => {
                sql.defer_call(call, owner, at, now).await?;
                return Ok(());
            }
            Gate::Open => {}
        }
        let a_day = app.dialler.rules.attempts_a_day;
        match sql.begin_attempt(call, owner, now, a_day).await? {
            Dial::Go => return Box::pin(dial(app, call, &read)).await,
            // somebody else has it, or has dialled it
            Dial::Begun | Dial::NotOurs => return Ok(()),
            // something has changed since it was looked at
            Dial::Forbidden => {}
        }
    }
    let now = app.clock.utc();
    sql.defer_call(call, owner, now + TOO_FAST, now).await?;
    Ok(())
}

/// What the rules say of a call now.
async fn judge(
    app: &App,
    call: &ClaimedCall,
    read: &Read,
    now: DateTime<Utc>,
) -> Result<Gate, StoreError> {
    let sql = &app.store.sql;
    let tenant = sql.find_tenant(&call.tenant).await?;
    match tenant.map(|tenant| tenant.status) {
        Some(TenantStatus::Active) => {}
        Some(TenantStatus::Suspended) => return Ok(Gate::Later(now + SUSPENDED)),
        _ => return Ok(Gate::Closed(Rule::Limit)),
    }
    // nobody is rung for whom there is no conversation
    if let Err(wait) = quota::has_room(app, &call.tenant, &read.stored.project).await? {
        return Ok(Gate::Later(now + wait));
    }
    let Some(number) = &read.number else {
        return Ok(Gate::Closed(Rule::Number));
    };
    let callee = sql.callee(number.as_str()).await?;
    let kind = ConsentKind::AiCall.name();
    let consent = sql.find_consent(&call.tenant, (&callee, kind), now).await?;
    let day_ago = now - TimeDelta::hours(24);
    let zone = read.details.time_zone.as_deref();
    let zones = match zone.and_then(|zone| zone.parse().ok()) {
        Some(zone) => vec![zone],
        None => zones::of(number),
    };
    let refuses = sql.is_do_not_call(&call.tenant, &callee).await?;
    let facts = Facts {
        number,
        zones: &zones,
        wish: match consent {
            _ if refuses => Wish::Never,
            Some(_) => Wish::Agreed,
            None => Wish::Unknown,
        },
        attempts_today: sql
            .attempts_since(&call.tenant, callee.as_str(), day_ago)
            .await?,
    };
    Ok(app.dialler.rules.judge(&facts, now, chance(app)))
}

/// The call is never placed, and says why.
async fn block(
    app: &App,
    call: &ClaimedCall,
    rule: Rule,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let attempt = u32::try_from(call.attempt).unwrap_or(1);
    let content = json!({ "rule": rule.name() }).to_string();
    let mut event = NewCallEvent::new("dialler", "blocked", now);
    event.content = &content;
    let step = Step::to(attempt, CallState::Blocked).because(HangupReason::Blocked, Party::System);
    let news = CallNews {
        blocked_by: Some(rule.name()),
        ..CallNews::of(step, event)
    };
    app.metrics.outgoing().forbidden(rule.name());
    app.store
        .sql
        .tell_call((&call.tenant, &call.id), &news, &[])
        .await?;
    let key = CallKey {
        tenant: call.tenant.clone(),
        id: call.id.clone(),
        attempt: call.attempt,
    };
    after::over(app, &key).await
}

/// Asks the carrier, once.
async fn dial(app: &Arc<App>, call: &ClaimedCall, read: &Read) -> Result<(), StoreError> {
    let key = CallKey {
        tenant: call.tenant.clone(),
        id: call.id.clone(),
        attempt: call.attempt,
    };
    let account = read.stored.account.as_str();
    let (Some(line), Some(to)) = (app.dialler.line(account), &read.number) else {
        return failed(
            app,
            &key,
            HangupReason::CarrierError,
            "no account can place it",
        )
        .await;
    };
    let from = read.details.from.clone().or_else(|| line.number.clone());
    let Some(from) = from else {
        let why = "there is no number to show: set telephony.accounts.NAME.number";
        return failed(app, &key, HangupReason::CarrierError, why).await;
    };
    let Some(base) = app.config.telephony.external_url.as_deref() else {
        let why = "carriers cannot reach this server: set telephony.external_url";
        return failed(app, &key, HangupReason::CarrierError, why).await;
    };
    let base = base.trim_end_matches('/');
    let carrier = line.carrier.dialect();
    let answer_url = match (&line.flow, carrier) {
        (Some(flow), Dialect::Exotel) => flow.clone(),
        _ => addresses::answer(app, base, carrier, &key),
    };
    let status_url = addresses::status(app, base, carrier, &key);
    let stream_url = addresses::stream_of_call(app, base, carrier, &key);
    let leaves_message = matches!(read.details.voicemail, VoicemailPolicy::LeaveMessage { .. });
    let machines = match (app.config.dialling.detects_machines(), leaves_message) {
        (false, _) => Machines::Ignore,
        (true, false) => Machines::Detect,
        (true, true) => Machines::DetectEnd,
    };
    let wanted_s = read.details.max_duration_s.map(u64::from);
    let limit_s = app.config.telephony.lasting_s(wanted_s);
    let correlation = correlation(&key);
    let asked = NewDial {
        to: to.as_str(),
        from: &from,
        answer_url: &answer_url,
        status_url: &status_url,
        machine_url: &status_url,
        stream_url: &stream_url,
        correlation: &correlation,
        ring_s: app.config.dialling.ring_timeout_s,
        // our own limit says good-bye first
        limit_s: u32::try_from(limit_s).unwrap_or(3600) + 30,
        machines,
    };
    match line.carrier.dial(&asked, app.clock.utc()).await {
        Ok(dialed) => Box::pin(dialed_now(app, &key, carrier, &dialed.call_id)).await,
        Err(error) => refused(app, &key, &error).await,
    }
}

/// The carrier has taken the call on.
async fn dialed_now(
    app: &App,
    key: &CallKey,
    carrier: Dialect,
    call_id: &str,
) -> Result<(), StoreError> {
    app.metrics.outgoing().dialed("dialed");
    let now = app.clock.utc();
    let source_key = format!("{} dialed", key.attempt);
    let mut event = NewCallEvent::new("dialler", "dialed", now);
    event.source_key = Some(&source_key);
    let news = CallNews {
        carrier_call_id: Some(call_id),
        ..CallNews::of(Step::to(key.engine_attempt(), CallState::Dialing), event)
    };
    let sql = &app.store.sql;
    let effects = match sql.find_call(&key.tenant, &key.id).await? {
        Some(mut found) => {
            found.carrier_call_id = Some(call_id.to_owned());
            announce::progress(app, key, &found, CallState::Dialing, now).await?
        }
        None => Vec::new(),
    };
    let told = sql.tell_call(key.named(), &news, &effects).await?;
    if matches!(told, Told::Stale(stands) if stands.state != CallState::Dialing) {
        // the carrier has told of what followed before it has answered
        sql.put_effects(&key.tenant, &effects, now).await?;
    }
    if let Some(found) = sql.find_call(&key.tenant, &key.id).await? {
        // somebody has hung up while the carrier was asked
        stop::stop(app, key, &found).await?;
    }
    tracing::info!(
        call = key.id,
        attempt = key.attempt,
        carrier = carrier.name(),
        "a call was dialled"
    );
    Ok(())
}

/// The carrier has not taken the call on, or nobody knows.
async fn refused(app: &App, key: &CallKey, error: &CarrierError) -> Result<(), StoreError> {
    app.metrics.outgoing().dialed(error.trouble.name());
    let sql = &app.store.sql;
    let now = app.clock.utc();
    tracing::warn!(call = key.id, attempt = key.attempt, %error, uncertain = error.may_have_dialed(), "a call was not placed");
    if error.may_have_dialed() {
        // it may be ringing: what became of it is found out before anything else is done
        let content = json!({ "problem": error.message }).to_string();
        let mut event = NewCallEvent::new("dialler", "uncertain", now);
        event.content = &content;
        sql.add_call_event(key.named(), event).await?;
        return Ok(());
    }
    let reason = match error.trouble {
        Trouble::BadNumber => HangupReason::InvalidNumber,
        _ => HangupReason::CarrierError,
    };
    if error.trouble == Trouble::RateLimited {
        sql.nobody_was_rung(key.at_attempt()).await?;
        // no attempt at reaching anybody: it does not count, and is made as soon as the carrier takes calls again
        let told = error
            .retry_after
            .and_then(|wait| TimeDelta::from_std(wait).ok());
        let at = now + told.unwrap_or(TOO_FAST);
        return after::again(app, key, (Outcome::Failed, reason), at).await;
    }
    failed(app, key, reason, &error.to_string()).await
}

/// The attempt came to nothing.
async fn failed(
    app: &App,
    key: &CallKey,
    reason: HangupReason,
    problem: &str,
) -> Result<(), StoreError> {
    let now = app.clock.utc();
    let source_key = format!("{} failed", key.attempt);
    let mut event = NewCallEvent::new("dialler", "failed", now);
    event.source_key = Some(&source_key);
    let mut step = Step::to(key.engine_attempt(), CallState::Ended).because(reason, Party::Carrier);
    step.outcome = Some(Outcome::Failed);
    let news = CallNews {
        error: Some(problem),
        ..CallNews::of(step, event)
    };
    app.store.sql.tell_call(key.named(), &news, &[]).await?;
    after::over(app, key).await
}
