//! Messages about calls, for the outbox: how a call goes on, how it ended, what it came to.
//! Put in with the change that they tell of.
//! Never gives one happening two names: who tells it again tells it under the same id.

use chrono::{DateTime, Utc};
use engine::call::state::CallState;
use serde::Serialize;
use store::{CallTurn, NewCallEvent, NewEffect, StoreError, StoredCall};
use wire::rest::calls::webhook::{
    self, CallHappening, CallMessage, CallTool, RecordingNews, SummaryNews,
};

use super::CallKey;
use super::view::shown;
use crate::App;
use crate::outbox;

/// What tells that an attempt has come to `state`; nothing for states that nobody is told of.
///
/// # Errors
/// [`StoreError`] when it cannot be sealed.
pub(crate) async fn progress(
    app: &App,
    key: &CallKey,
    call: &StoredCall,
    state: CallState,
    now: DateTime<Utc>,
) -> Result<Vec<NewEffect>, StoreError> {
    let mut call = call.clone();
    state.name().clone_into(&mut call.state);
    let body = Box::new(shown(&call));
    let (word, event) = match state {
        CallState::Dialing => ("started", CallHappening::Started(body)),
        CallState::Ringing => ("ringing", CallHappening::Ringing(body)),
        CallState::Live => ("answered", CallHappening::Answered(body)),
        _ => return Ok(Vec::new()),
    };
    let name = format!("{}_{word}", key.attempt);
    one(app, key, &name, event, now).await
}

/// What tells that somebody calls: there is a call, and it rings.
///
/// # Errors
/// [`StoreError`] when it cannot be sealed.
pub(crate) async fn arrived(
    app: &App,
    key: &CallKey,
    call: &StoredCall,
    now: DateTime<Utc>,
) -> Result<Vec<NewEffect>, StoreError> {
    let started = CallHappening::Started(Box::new(shown(call)));
    let name = format!("{}_started", key.attempt);
    let mut effects = one(app, key, &name, started, now).await?;
    effects.extend(progress(app, key, call, CallState::Ringing, now).await?);
    Ok(effects)
}

/// What tells that a call is over, and no attempt follows.
///
/// # Errors
/// [`StoreError`] when it cannot be sealed.
pub(crate) async fn ended(
    app: &App,
    key: &CallKey,
    call: &StoredCall,
    now: DateTime<Utc>,
) -> Result<Vec<NewEffect>, StoreError> {
    let event = CallHappening::Ended(Box::new(shown(call)));
    one(app, key, "ended", event, now).await
}

/// What tells what a call came to.
///
/// # Errors
/// [`StoreError`] when it cannot be sealed.
pub(crate) async fn summary(
    app: &App,
    key: &CallKey,
    news: SummaryNews,
    now: DateTime<Utc>,
) -> Result<Vec<NewEffect>, StoreError> {
    one(app, key, "summary", CallHappening::Summary(news), now).await
}

/// Tells that somebody has said something: those who watch the call, and webhooks.
///
/// # Errors
/// [`StoreError`]; who tells it again tells it once.
pub(crate) async fn turn(app: &App, key: &CallKey, turn: &CallTurn<'_>) -> Result<(), StoreError> {
    let said = webhook::CallTurn {
        seq: turn.seq,
        role: turn.speaker.name().to_owned(),
        text: turn.text.to_owned(),
        started_ms: turn.started_ms,
        ended_ms: turn.ended_ms,
        interrupted: turn.interrupted,
    };
    let name = format!("{}_turn_{}", key.attempt, turn.seq);
    let kind = ("transcript", name.as_str());
    happened(app, key, kind, &said, CallHappening::Transcript).await
}

/// Tells that a tool was used; `id` tells this use from others.
///
/// # Errors
/// As [`turn`].
pub(crate) async fn tool(
    app: &App,
    key: &CallKey,
    id: &str,
    used: &CallTool,
) -> Result<(), StoreError> {
    let name = format!("{}_tool_{id}", key.attempt);
    happened(app, key, ("tool", &name), used, CallHappening::Tool).await
}

/// Tells that there is a recording.
///
/// # Errors
/// As [`turn`].
pub(crate) async fn recording(
    app: &App,
    key: &CallKey,
    made: &RecordingNews,
) -> Result<(), StoreError> {
    let name = format!("{}_{}", key.attempt, made.recording_id);
    let kind = ("recording", name.as_str());
    happened(app, key, kind, made, CallHappening::Recording).await
}

/// Something has happened within a call: it is written down for those who watch the call, and told once.
async fn happened<T: Serialize + Clone>(
    app: &App,
    key: &CallKey,
    (kind, name): (&str, &str),
    what: &T,
    event: impl FnOnce(T) -> CallHappening,
) -> Result<(), StoreError> {
    let now = app.clock.utc();
    let sql = &app.store.sql;
    let content = serde_json::to_string(what).unwrap_or_default();
    let mut noted = NewCallEvent::new("edge", kind, now);
    noted.source_key = Some(name);
    noted.content = &content;
    sql.add_call_event(key.named(), noted).await?;
    let effects = one(app, key, name, event(what.clone()), now).await?;
    sql.put_effects(&key.tenant, &effects, now).await?;
    app.outbox.wake();
    Ok(())
}

async fn one(
    app: &App,
    key: &CallKey,
    name: &str,
    event: CallHappening,
    now: DateTime<Utc>,
) -> Result<Vec<NewEffect>, StoreError> {
    let message = CallMessage {
        id: format!("evt_{}_{name}", key.id),
        created_at: now.timestamp(),
        call_id: key.id.clone(),
        event,
    };
    Ok(vec![
        outbox::announcement(app, &key.tenant, &message, now).await?,
    ])
}
