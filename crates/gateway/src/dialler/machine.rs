//! A machine has answered a call of ours: it is left a message, or the call is ended.
//! Told by reports of carriers.
//! Never leaves a message before the machine listens, and never hangs up on a person because of a doubt.

use engine::call::state::{CallState, HangupReason, Outcome, Party, Step};
use engine::call::voicemail::Verdict;
use providers::carrier::{CarrierError, Trouble};
use store::{CallNews, NewCallEvent, StoreError, StoredCall};
use wire::rest::calls::VoicemailPolicy;
use wire::telephony::callback::AnsweredBy;

use super::{CallKey, Details, after};
use crate::App;

/// What the carrier thinks, as it is stored and shown.
const fn word(who: &AnsweredBy) -> Option<&'static str> {
    Some(match who {
        AnsweredBy::Human => Verdict::Human.name(),
        AnsweredBy::MachineStart | AnsweredBy::Fax => Verdict::Machine.name(),
        AnsweredBy::MachineBeep | AnsweredBy::MachineSilence | AnsweredBy::MachineEnd => {
            Verdict::MachineEndBeep.name()
        }
        AnsweredBy::Unknown => Verdict::Uncertain.name(),
        AnsweredBy::Other(_) => return None,
    })
}

/// Acts on what a carrier says of who answered `key`.
///
/// # Errors
/// [`StoreError`]; the carrier tells it again then.
pub(crate) async fn answered(app: &App, key: &CallKey, who: &AnsweredBy) -> Result<(), StoreError> {
    let Some(word) = word(who) else {
        return Ok(());
    };
    let sql = &app.store.sql;
    if !sql.note_answered_by(key.at_attempt(), word).await? {
        return Ok(());
    }
    app.metrics.outgoing().answered(word);
    let is_fax = matches!(who, AnsweredBy::Fax);
    if !who.is_machine() && !is_fax {
        return Ok(());
    }
    let Some(call) = sql.find_call(&key.tenant, &key.id).await? else {
        return Ok(());
    };
    // who listens himself may be leaving the message already
    let over = CallState::parse(&call.state)
        .is_none_or(|state| state.is_over() || state == CallState::Ending);
    if over || call.direction != "outbound" || call.attempt_number != key.attempt {
        return Ok(());
    }
    match Details::of(&call).voicemail {
        VoicemailPolicy::LeaveMessage { message } if who.may_speak() => {
            leave(app, key, &call, &message).await
        }
        // its greeting is still being played: the carrier says when it is over
        VoicemailPolicy::LeaveMessage { .. } if !is_fax => Ok(()),
        _ => hang_up(app, key, &call).await,
    }
}

/// The carrier speaks the message and hangs up; our stream ends with that.
async fn leave(
    app: &App,
    key: &CallKey,
    call: &StoredCall,
    message: &str,
) -> Result<(), StoreError> {
    note_end(app, key, "message_left").await?;
    let line = app.dialler.line(&call.account);
    let left = match (line, &call.carrier_call_id) {
        (Some(line), Some(id)) => line.carrier.say_last(id, message, app.clock.utc()).await,
        _ => return after::over(app, key).await,
    };
    match left {
        Ok(()) => after::over(app, key).await,
        Err(error) if error.trouble == Trouble::Gone => after::over(app, key).await,
        Err(error) => {
            tracing::warn!(call = key.id, %error, "no message can be left");
            hang_up(app, key, call).await
        }
    }
}

async fn hang_up(app: &App, key: &CallKey, call: &StoredCall) -> Result<(), StoreError> {
    note_end(app, key, "machine").await?;
    if let (Some(line), Some(id)) = (app.dialler.line(&call.account), &call.carrier_call_id) {
        let ended = line.carrier.hang_up(id, app.clock.utc()).await;
        let failed = |error: &CarrierError| error.trouble != Trouble::Unsupported;
        if let Some(error) = ended.err().filter(failed) {
            tracing::warn!(call = key.id, %error, "a call to a machine cannot be ended");
        }
    }
    after::over(app, key).await
}

/// The call ends because of a machine: whoever says so first is believed.
async fn note_end(app: &App, key: &CallKey, kind: &str) -> Result<(), StoreError> {
    let source_key = format!("{} machine", key.attempt);
    let mut event = NewCallEvent::new("dialler", kind, app.clock.utc());
    event.source_key = Some(&source_key);
    let mut step = Step::to(key.engine_attempt(), CallState::Ended)
        .because(HangupReason::Voicemail, Party::System);
    step.outcome = Some(Outcome::Voicemail);
    let news = CallNews::of(step, event);
    app.store.sql.tell_call(key.named(), &news, &[]).await?;
    Ok(())
}
