//! The carrier's side of a call that we end: where a closed socket does not end it, the carrier is told over REST.
//! Called by the telephone edge once a conversation is over.
//! Never cuts off what the carrier is still to say or do for us: an apology, a transfer.

use std::sync::Arc;
use std::time::Duration;

use engine::call::state::{HangupReason, Party};
use providers::carrier::{HungUp, Trouble};
use store::StoredCall;
use wire::telephony::Dialect;

use super::{CallKey, Ending};
use crate::App;
use crate::auth::chain;

/// Pauses before the carrier is asked again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Ends the carrier's side of `key`, in a task of its own, where it was we who ended the call.
pub fn end(app: &Arc<App>, key: &CallKey, ending: &Ending) {
    let ours = match ending.by {
        Party::Agent | Party::System => true,
        // its stream broke, and the caller may still be there
        Party::Carrier => ending.reason == HangupReason::StreamLost,
        Party::Caller => false,
    };
    // the carrier goes on with a call that was passed on
    if !ours || ending.reason == HangupReason::Transfer {
        return;
    }
    let (app, key, reason) = (Arc::clone(app), key.clone(), ending.reason);
    let lifecycle = app.lifecycle.clone();
    lifecycle.spawn(async move {
        let hard = app.lifecycle.hard().clone();
        tokio::select! {
            () = hard.cancelled() => {}
            () = hang_up(&app, &key, reason) => {}
        }
    });
}

/// Whether the carrier asks what follows a stream, and hears an apology there.
pub(crate) fn is_told_afterwards(app: &App, call: &StoredCall, reason: HangupReason) -> bool {
    let by_document = call.direction == "inbound" || call.provider != Dialect::Telnyx.name();
    let asks = Dialect::named(&call.provider).is_some_and(|carrier| {
        matches!(
            carrier,
            Dialect::Twilio | Dialect::SignalWire | Dialect::Telnyx | Dialect::Plivo
        )
    });
    let apology = app.config.telephony.apology.trim();
    asks && by_document && reason == HangupReason::UpstreamError && !apology.is_empty()
}

async fn hang_up(app: &App, key: &CallKey, reason: HangupReason) {
    let call = match app.store.sql.find_call(&key.tenant, &key.id).await {
        Ok(Some(call)) => call,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(call = key.id, error = %chain(&error), "cannot look how a call is ended at the carrier");
            return;
        }
    };
    let (Some(line), Some(id)) = (app.dialler.line(&call.account), &call.carrier_call_id) else {
        return;
    };
    if is_told_afterwards(app, &call, reason) {
        return;
    }
    let carrier = &line.carrier;
    if reason == HangupReason::UpstreamError && carrier.dialect() == Dialect::Vonage {
        let apology = app.config.telephony.apology.trim();
        let said = carrier.say_last(id, apology, app.clock.utc());
        if !apology.is_empty() && said.await.is_ok() {
            return;
        }
    }
    let mut pauses = PAUSES.iter();
    loop {
        let result = match carrier.hang_up(id, app.clock.utc()).await {
            Ok(HungUp::Now) => "ended",
            Ok(HungUp::Before) => "over",
            // closing the socket is how its calls are ended
            Err(error) if error.trouble == Trouble::Unsupported => return,
            Err(error) => {
                if let Some(pause) = pauses.next() {
                    tokio::time::sleep(*pause).await;
                    continue;
                }
                tracing::warn!(call = key.id, %error, "a call cannot be ended at the carrier");
                "failed"
            }
        };
        app.metrics
            .calls()
            .hung_up(carrier.dialect().name(), result);
        return;
    }
}
