//! Messages about calls, for the outbox: how a call goes on, how it ended, what it came to.
//! Put in with the change that they tell of.
//! Never gives one happening two names: who tells it again tells it under the same id.

use chrono::{DateTime, Utc};
use engine::call::state::CallState;
use store::{NewEffect, StoreError, StoredCall};
use wire::rest::calls::webhook::{CallHappening, CallMessage, SummaryNews};

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
