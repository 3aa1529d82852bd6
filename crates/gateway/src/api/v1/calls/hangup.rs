//! `POST /v1/calls/{id}/hangup`.
//! Called by whoever wants a call to end; one that was not placed yet is called off.
//! Never ends a call of another tenant.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use engine::call::state::{CallState, HangupReason, Party, Step};
use store::{CallNews, CallingOff, NewCallEvent};
use wire::rest::calls::{Call, HangUp};

use super::{found, shown, unreadable};
use crate::App;
use crate::auth::Caller;
use crate::calls::{CallKey, Ending, Order, leg};
use crate::http::{ApiError, Json};

/// End a call.
#[utoipa::path(
    post,
    path = "/v1/calls/{id}/hangup",
    tag = "calls",
    params(("id" = String, Path, description = "The call's id")),
    request_body = HangUp,
    responses(
        (status = 200, description = "It ends, or it was called off", body = Call),
        (status = 401, description = "No usable key"),
        (status = 404, description = "There is no such call"),
        (status = 409, description = "It is over"),
    )
)]
pub(crate) async fn hangup(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Option<Json<HangUp>>,
) -> Result<Json<Call>, ApiError> {
    let wanted = body.map(|Json(body)| body).unwrap_or_default();
    let (tenant, sql) = (principal.tenant.as_str(), &app.store.sql);
    let call = found(&app, tenant, &id).await?;
    let state = CallState::parse(&call.state).unwrap_or(CallState::Ended);
    if state.is_over() {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "call_is_over",
            "This call is over: there is nothing to end.",
        ));
    }
    let now = app.clock.utc();
    let called_off = if state.is_before_dialing() {
        sql.cancel_call((tenant, &id), &[], now)
            .await
            .map_err(unreadable)?
    } else {
        CallingOff::TooLate(state)
    };
    if called_off != CallingOff::Done {
        // the words come first: a call that runs on another server hears of its end when that looks at it
        let order = Order::HangUp {
            say: wanted.say,
            reason: HangupReason::AgentEnd,
            by: Party::System,
        };
        let runs_here = app.phone.live.order((tenant, &id), order);
        let attempt = u32::try_from(call.attempt_number).unwrap_or(1);
        let step =
            Step::to(attempt, CallState::Ending).because(HangupReason::AgentEnd, Party::System);
        let event = NewCallEvent::new("api", "hangup", now);
        sql.tell_call((tenant, &id), &CallNews::of(step, event), &[])
            .await
            .map_err(unreadable)?;
        if !runs_here && state.rank() < CallState::Live.rank() {
            // it rings: there is no conversation that would end it at the carrier
            let key = CallKey {
                tenant: tenant.to_owned(),
                id: id.clone(),
                attempt: call.attempt_number,
            };
            leg::end(&app, &key, &ended());
        }
    }
    let call = found(&app, tenant, &id).await?;
    Ok(Json(shown(&call)))
}

/// How it ends.
const fn ended() -> Ending {
    Ending {
        reason: HangupReason::AgentEnd,
        by: Party::System,
        outcome: None,
        error: None,
        disclosed_ms: None,
    }
}
