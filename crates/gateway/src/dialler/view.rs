//! A call as the REST interface and webhooks show it.
//! Used by the routes of `/v1/calls` and by messages about calls.
//! Never shows what others than the call's own tenant may read: whoever asks has found it among theirs.

use chrono::{DateTime, Utc};
use engine::call::state::{CallState, Outcome, legacy_status};
use store::StoredCall;
use wire::rest::calls::Call;

use super::Details;

/// `stored` as it is shown.
pub fn shown(stored: &StoredCall) -> Call {
    let details = Details::of(stored);
    let state = CallState::parse(&stored.state);
    let outcome = stored.outcome.as_deref().and_then(Outcome::parse);
    let seconds = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp());
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Call {
        object: "call",
        id: stored.id.clone(),
        direction: stored.direction.clone(),
        state: stored.state.clone(),
        outcome: stored.outcome.clone(),
        hangup_reason: stored.hangup_reason.clone(),
        hangup_by: stored.hangup_by.clone(),
        blocked_by: stored.blocked_by.clone(),
        status: state
            .map_or(stored.state.as_str(), |state| legacy_status(state, outcome))
            .to_owned(),
        to: details.to,
        from: details.from,
        agent: stored.agent.clone(),
        session_id: stored.session.clone(),
        provider: given(&stored.provider),
        carrier_call_id: stored.carrier_call_id.clone(),
        call_type: stored.call_type.clone(),
        objective: details.objective,
        lead_id: stored.lead.clone(),
        attempt: u32::try_from(stored.attempt_number).unwrap_or(1),
        answered_by: stored.answered_by.clone(),
        summary: details.summary,
        cost_micros: stored.actual_micros,
        created_at: stored.created_at.timestamp(),
        // of a call that was placed, when it was to be
        scheduled_at: seconds(stored.due_at.or(stored.scheduled_at)),
        started_at: seconds(stored.started_at),
        answered_at: seconds(stored.answered_at),
        ended_at: seconds(stored.ended_at),
        metadata: details.metadata,
    }
}
