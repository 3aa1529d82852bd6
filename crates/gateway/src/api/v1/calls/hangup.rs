//! `POST /v1/calls/{id}/hangup`.
//! Called by whoever wants a call to end; one that was not placed yet is called off.
//! Never ends a call of another tenant.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use engine::call::state::{CallState, HangupReason, Party, Step};
use store::{CallNews, CallingOff, NewCallEvent, StoreError};
use wire::rest::calls::{Call, HangUp};

use super::{found, shown, unreadable};
use crate::App;
use crate::auth::{Caller, chain};
use crate::calls::{CallKey, Order};
use crate::dialler::{after, stop};
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
    let key = CallKey {
        tenant: tenant.to_owned(),
        id: id.clone(),
        attempt: call.attempt_number,
    };
    if called_off == CallingOff::Done {
        follow(&key, after::over(&app, &key).await);
    } else {
        // the words come first: a call that runs on another server hears of its end when that looks at it
        let order = Order::HangUp {
            say: wanted.say,
            reason: HangupReason::AgentEnd,
            by: Party::System,
        };
        let here = app.phone.live.order((tenant, &id), order);
        let attempt = u32::try_from(call.attempt_number).unwrap_or(1);
        let step =
            Step::to(attempt, CallState::Ending).because(HangupReason::AgentEnd, Party::System);
        let event = NewCallEvent::new("api", "hangup", now);
        sql.tell_call((tenant, &id), &CallNews::of(step, event), &[])
            .await
            .map_err(unreadable)?;
        if !here {
            let ending = found(&app, tenant, &id).await?;
            let task = Arc::clone(&app);
            // whoever asks may go away before the carrier has answered
            let stopped = app.lifecycle.spawn(async move {
                let stopped = stop::stop(&task, &key, &ending).await;
                follow(&key, stopped);
            });
            let _ = stopped.await;
        }
    }
    let call = found(&app, tenant, &id).await?;
    Ok(Json(shown(&call)))
}

/// What could not be done is found by the dialler's next look.
fn follow(key: &CallKey, done: Result<(), StoreError>) {
    if let Err(error) = done {
        tracing::warn!(call = key.id, error = %chain(&error), "cannot deal with a call that was ended");
    }
}
