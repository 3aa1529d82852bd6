//! `/v1/calls`: telephone calls, those that came in and those that went out.
//! Mounted by `api::v1`; a key that may converse sees the calls of its tenant.
//! Never shows a call of another tenant: it is as one that there is not.

pub(super) mod events;
pub(super) mod hangup;
pub(super) mod list;
pub(super) mod recording;
pub(super) mod show;
pub(super) mod transfer;

use axum::http::StatusCode;
use engine::call::state::{CallState, Outcome, legacy_status};
use store::{StoreError, StoredCall};
use wire::rest::calls::Call;

use crate::App;
use crate::auth::chain;
use crate::calls::Details;
use crate::http::ApiError;

/// A call as it is shown.
fn shown(call: &StoredCall) -> Call {
    let details = Details::of(call);
    let state = CallState::parse(&call.state).unwrap_or(CallState::Ended);
    let outcome = call.outcome.as_deref().and_then(Outcome::parse);
    let seconds = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(|at| at.timestamp());
    Call {
        object: "call",
        id: call.id.clone(),
        direction: call.direction.clone(),
        state: call.state.clone(),
        outcome: call.outcome.clone(),
        hangup_reason: call.hangup_reason.clone(),
        hangup_by: call.hangup_by.clone(),
        blocked_by: call.blocked_by.clone(),
        status: legacy_status(state, outcome).to_owned(),
        to: details.to,
        from: details.from,
        agent: call.agent.clone(),
        session_id: call.session.clone(),
        provider: (!call.provider.is_empty()).then(|| call.provider.clone()),
        carrier_call_id: call.carrier_call_id.clone(),
        call_type: call.call_type.clone(),
        objective: details.objective,
        lead_id: call.lead.clone(),
        attempt: u32::try_from(call.attempt_number).unwrap_or(1),
        answered_by: call.answered_by.clone(),
        summary: details.summary,
        cost_micros: call.actual_micros,
        created_at: call.created_at.timestamp(),
        scheduled_at: seconds(call.scheduled_at),
        started_at: seconds(call.started_at),
        answered_at: seconds(call.answered_at),
        ended_at: seconds(call.ended_at),
        metadata: details.metadata,
    }
}

/// The call `id` of `tenant`.
///
/// # Errors
/// 404 `call_not_found`, also for a call of another tenant.
async fn found(app: &App, tenant: &str, id: &str) -> Result<StoredCall, ApiError> {
    let found = app.store.sql.find_call(tenant, id).await;
    found.map_err(unreadable)?.ok_or_else(|| missing(id))
}

fn missing(id: &str) -> ApiError {
    let message = format!("No call has the id '{id}'.");
    ApiError::new(StatusCode::NOT_FOUND, "call_not_found", message)
}

/// The database cannot be asked.
fn unreadable(error: StoreError) -> ApiError {
    if error.is_storage() {
        return error.into();
    }
    tracing::error!(error = %chain(&error), "cannot read calls");
    ApiError::unavailable(
        "service_unavailable",
        "The calls cannot be read. Try again.",
        1,
    )
}
