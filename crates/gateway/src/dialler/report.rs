//! What a carrier reports of a call that was placed: taken in once and in any order, with all that follows from it.
//! Called by whoever has read a report and believes it.
//! Never goes back, and never ends what goes on.

use engine::call::state::{CallState, CarrierStatus};
use serde_json::json;
use store::{CallNews, NewCallEvent, StoreError, Told};
use wire::telephony::callback::{CallStatus, Callback};

use super::{CallKey, after, announce, machine};
use crate::App;

/// Takes in a report of `key`; nothing to tell where it says nothing of where the call is.
///
/// # Errors
/// [`StoreError`] when the database does not take it; the carrier sends it again then.
pub async fn take(app: &App, key: &CallKey, report: &Callback) -> Result<Option<Told>, StoreError> {
    let told = status(app, key, report).await?;
    if let Some(who) = &report.answered_by {
        machine::answered(app, key, who).await?;
    }
    if matches!(&told, Some(Told::Changed(now)) if now.state == CallState::Ended) {
        after::over(app, key).await?;
    }
    app.outbox.wake();
    Ok(told)
}

async fn status(app: &App, key: &CallKey, report: &Callback) -> Result<Option<Told>, StoreError> {
    let Some(word) = report.status.as_ref().map(CallStatus::word) else {
        return Ok(None);
    };
    let Some(meaning) = CarrierStatus::parse(word) else {
        return Ok(None);
    };
    let sql = &app.store.sql;
    let now = app.clock.utc();
    let step = meaning.step(key.engine_attempt());
    let number = report.sequence.map(|number| number.to_string());
    let source_key = format!("{} {word} {}", key.attempt, number.unwrap_or_default());
    let content = json!({ "cause": report.cause, "duration_s": report.duration_s }).to_string();
    let mut event = NewCallEvent::new("carrier", word, now);
    event.source_key = Some(&source_key);
    event.content = &content;
    let news = CallNews {
        carrier_status: Some(word),
        carrier_call_id: report.call_id.as_deref(),
        ..CallNews::of(step, event)
    };
    let effects = match sql.find_call(&key.tenant, &key.id).await? {
        Some(call) => announce::progress(app, key, &call, step.state, now).await?,
        None => Vec::new(),
    };
    sql.tell_call(key.named(), &news, &effects).await.map(Some)
}
