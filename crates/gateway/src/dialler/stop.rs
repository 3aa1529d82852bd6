//! Ending a call of ours that nobody has answered: the carrier stops ringing, and the call is over.
//! Called where somebody hangs up, and by whoever dials when that has happened meanwhile.
//! Never ends a call that is talked in: whoever holds its stream says good-bye first.

use engine::call::state::{CallState, HangupReason, Outcome, Party, Step};
use store::{CallNews, NewCallEvent, StoreError, StoredCall};

use super::{CallKey, after};
use crate::App;

/// What an attempt comes to that we take back before anybody answers.
pub(super) const fn unanswered(key_attempt: u32, reason: HangupReason) -> Step {
    let mut step = Step::to(key_attempt, CallState::Ended).because(reason, Party::System);
    step.outcome = Some(Outcome::NoAnswer);
    step
}

/// Has the carrier stop ringing where `call` is being ended; does nothing where it is not, or was answered.
///
/// What cannot be ended now, or is not known to the carrier by a name yet, the sweep looks up.
///
/// # Errors
/// [`StoreError`]; the sweep does what was not done.
pub(crate) async fn stop(app: &App, key: &CallKey, call: &StoredCall) -> Result<(), StoreError> {
    let rings = call.state == CallState::Ending.name()
        && call.direction == "outbound"
        && call.attempt_number == key.attempt
        && call.answered_at.is_none()
        && call.session.is_none();
    let line = app.dialler.line(&call.account).filter(|_| rings);
    let (Some(line), Some(id)) = (line, &call.carrier_call_id) else {
        return Ok(());
    };
    let now = app.clock.utc();
    if let Err(error) = line.carrier.hang_up(id, now).await {
        tracing::warn!(call = key.id, %error, "a call that rings cannot be ended now");
        return Ok(());
    }
    let source_key = format!("{} stopped", key.attempt);
    let mut event = NewCallEvent::new("dialler", "stopped", now);
    event.source_key = Some(&source_key);
    let step = unanswered(key.engine_attempt(), HangupReason::AgentEnd);
    let sql = &app.store.sql;
    sql.tell_call(key.named(), &CallNews::of(step, event), &[])
        .await?;
    after::over(app, key).await
}
