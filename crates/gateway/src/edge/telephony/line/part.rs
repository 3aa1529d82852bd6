//! The last steps of a call: what its ending is, and how the line is let go.
//! Called by [`super::serve`].
//! Never leaves a session or a socket behind.

use axum::extract::ws::{CloseFrame, Message};
use engine::call::state::{HangupReason, Outcome, Party};
use wire::telephony::{HangUp, Why};

use super::super::opening::{self};
use crate::calls::{Ending, Place};

use super::*;

/// Hangs up, lets the session end, and deals with the call.
pub(super) async fn part(
    line: Box<Line>,
    place: Place,
    ending: Ending,
    session: impl Future<Output = ()>,
) {
    let Line {
        app,
        direction,
        mut codec,
        sink,
        stream,
        to_session,
        from_session,
        book,
        began,
        orders,
        key,
        recorder,
        ..
    } = *line;
    let lasted_ms = app.clock.now().saturating_duration_since(began).as_millis();
    let why = match ending.reason {
        HangupReason::UpstreamError | HangupReason::CarrierError => Why::Error,
        _ => Why::Completed,
    };
    let note = Some(ending.reason.name());
    // both halves are of one socket
    let mut socket = sink.reunite(stream).ok();
    if let Some(socket) = &mut socket {
        opening::take_leave(socket, &mut codec, HangUp { why, note }).await;
        let frame = CloseFrame {
            code: 1000,
            reason: ending.reason.name().into(),
        };
        let closing = socket.send(Message::Close(Some(frame)));
        let _ = tokio::time::timeout(LINGER, closing).await;
    }
    drop((to_session, from_session, orders));
    session.await;
    let carrier = codec.dialect().name();
    let lasted = app.clock.now().saturating_duration_since(began);
    let calls = app.metrics.calls();
    calls.live(carrier, direction, -1);
    calls.ended((carrier, direction), &ending, lasted);
    calls.stream(carrier, codec.counters());
    tracing::info!(
        reason = ending.reason.name(),
        by = ending.by.name(),
        lasted_s = lasted.as_secs(),
        "call ended"
    );
    book.close(ending.clone()).await;
    crate::calls::leg::end(&app, &key, &ending);
    if let Some(recorder) = recorder {
        let end_ms = u64::try_from(lasted_ms).unwrap_or(u64::MAX);
        recorder.finish(&app, end_ms).await;
    }
    drop(place);
    // unread bytes would make a reset of the close, and the carrier would not see it
    if let Some(mut socket) = socket {
        let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = tokio::time::timeout(LINGER, rest).await;
    }
}

/// A call that ends for this reason.
pub(super) fn ending(reason: HangupReason, by: Party) -> Ending {
    let outcome = match reason {
        HangupReason::UpstreamError | HangupReason::CarrierError => Some(Outcome::Error),
        HangupReason::StreamLost | HangupReason::Shutdown => Some(Outcome::Incomplete),
        HangupReason::Transfer => Some(Outcome::Transferred),
        HangupReason::Voicemail => Some(Outcome::Voicemail),
        _ => None,
    };
    Ending {
        reason,
        by,
        outcome,
        error: None,
        disclosed_ms: None,
    }
}

pub(super) fn lost() -> Ending {
    ending(HangupReason::StreamLost, Party::Carrier)
}

pub(super) fn shutdown() -> Ending {
    ending(HangupReason::Shutdown, Party::System)
}
