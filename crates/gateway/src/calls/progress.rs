//! What carriers report of calls, taken in once and in any order.
//! Called by the routes that carriers report to, and by whoever asks a carrier itself.
//! Never believes that a report is new, and never ends a call that somebody looks after.

use engine::call::state::{CallState, CarrierStatus, Outcome};
use serde_json::json;
use store::{CallNews, NewCallEvent, StoreError, StoredCall, Told};
use wire::telephony::callback::Callback;

use super::CallKey;
use crate::App;
use crate::dialler::{after, announce, machine};

/// Takes in what a carrier reports of `call`; nothing to tell where the report says nothing of where the call is.
///
/// # Errors
/// [`StoreError`] when the database does not take it; the carrier sends it again then.
pub async fn told(
    app: &App,
    call: &CallKey,
    report: &Callback,
) -> Result<Option<Told>, StoreError> {
    let word = report
        .status
        .as_ref()
        .map(wire::telephony::callback::CallStatus::word);
    let meaning = word.and_then(CarrierStatus::parse);
    let kind = kind_of(report);
    let key = source_key(call, report, &kind);
    let content = content_of(report);
    let mut event = NewCallEvent::new("carrier", &kind, app.clock.utc());
    event.source_key = Some(&key);
    event.content = &content;
    let (tenant, id) = call.named();
    let sql = &app.store.sql;
    let Some(meaning) = meaning else {
        sql.add_call_event((tenant, id), event).await?;
        recognised(app, call, report).await?;
        return Ok(None);
    };
    let step = meaning.step(call.engine_attempt());
    let effects = match sql.find_call(tenant, id).await? {
        Some(found) => announce::progress(app, call, &found, step.state, event.at).await?,
        None => Vec::new(),
    };
    let news = CallNews {
        carrier_status: word,
        carrier_call_id: report.call_id.as_deref(),
        ..CallNews::of(step, event)
    };
    let told = sql.tell_call((tenant, id), &news, &effects).await?;
    app.outbox.wake();
    recognised(app, call, report).await?;
    if let Told::Changed(progress) = told
        && progress.state == CallState::Ended
    {
        settle(app, call).await?;
    }
    Ok(Some(told))
}

/// Acts on what the carrier says of who answered.
async fn recognised(app: &App, call: &CallKey, report: &Callback) -> Result<(), StoreError> {
    match &report.answered_by {
        Some(who) => machine::answered(app, call, who).await,
        None => Ok(()),
    }
}

/// The call that a report is about, as the carrier calls it.
///
/// # Errors
/// [`StoreError`].
pub async fn reported(
    app: &App,
    tenant: &str,
    provider: &str,
    carrier_call_id: &str,
) -> Result<Option<StoredCall>, StoreError> {
    let sql = &app.store.sql;
    sql.find_carrier_call(tenant, (provider, carrier_call_id))
        .await
}

/// Deals with a call that is over and that nobody looks after: one that came in and never got as far as a conversation.
/// Whoever holds its conversation deals with it when the last word is written down; an outbound call that nobody took is
/// tried again by the dialler.
async fn settle(app: &App, call: &CallKey) -> Result<(), StoreError> {
    let found = app.store.sql.find_call(&call.tenant, &call.id).await?;
    let Some(found) = found else { return Ok(()) };
    if found.session.is_some() {
        return Ok(());
    }
    let fallback = (found.direction == "inbound").then_some(Outcome::Incomplete);
    after::conclude(app, call, fallback).await.map(drop)
}

/// What happened, in one word.
fn kind_of(report: &Callback) -> String {
    if let Some(status) = &report.status {
        return match CarrierStatus::parse(status.word()) {
            Some(_) => status.word().to_owned(),
            None => "status".to_owned(),
        };
    }
    match (&report.stream, &report.answered_by, &report.session) {
        (Some(stream), ..) => format!("stream_{:?}", stream.state).to_lowercase(),
        (None, Some(_), _) => "answered_by".to_owned(),
        (None, None, Some(_)) => "session_ended".to_owned(),
        (None, None, None) => "report".to_owned(),
    }
}

/// Tells a report from others of its call: carriers send one again until it is taken.
fn source_key(call: &CallKey, report: &Callback, kind: &str) -> String {
    let status = report.status.as_ref().map_or("", |status| status.word());
    let sequence = report.sequence.map(|number| number.to_string());
    let sequence = sequence.unwrap_or_default();
    let stream = report
        .stream
        .as_ref()
        .and_then(|stream| stream.stream_id.as_deref());
    format!(
        "{} {kind} {status} {sequence} {}",
        call.attempt,
        stream.unwrap_or_default()
    )
}

/// More of it, as JSON: nothing that is said, and no numbers of telephones.
fn content_of(report: &Callback) -> String {
    let answered_by = report.answered_by.as_ref().map(|who| format!("{who:?}"));
    let stream_error = report
        .stream
        .as_ref()
        .and_then(|stream| stream.error.clone());
    let all = json!({
        "status": report.status.as_ref().map(wire::telephony::callback::CallStatus::word),
        "cause": report.cause,
        "duration_s": report.duration_s,
        "answered_by": answered_by,
        "stream_error": stream_error,
        "at": report.at,
    });
    let known = all.as_object().into_iter().flatten();
    let known = known.filter(|(_, value)| !value.is_null());
    let known: serde_json::Map<_, _> = known.map(|(k, v)| (k.clone(), v.clone())).collect();
    serde_json::Value::Object(known).to_string()
}
