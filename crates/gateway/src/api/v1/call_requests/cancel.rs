//! `DELETE /v1/calls/{id}`.
//! Called when a call that waits is not to be placed any more.
//! Never ends a call that was placed: that is a hang-up.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use store::CallingOff;
use wire::rest::calls::Call;

use crate::App;
use crate::auth::{Caller, chain};
use crate::dialler::{CallKey, after, view};
use crate::http::{ApiError, Json};

/// Call off a call that was not placed yet.
#[utoipa::path(
    delete,
    path = "/v1/calls/{id}",
    tag = "calls",
    params(("id" = String, Path, description = "The call's id")),
    responses(
        (status = 200, description = "The call, which is not placed", body = Call),
        (status = 401, description = "No usable key"),
        (status = 404, description = "There is no such call"),
        (status = 409, description = "It was placed, or is over; `POST /v1/calls/{id}/hangup` ends it"),
    )
)]
pub(crate) async fn cancel(
    by: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Call>, ApiError> {
    let tenant = by.0.tenant.as_str();
    let sql = &app.store.sql;
    match sql.cancel_call((tenant, &id), &[], app.clock.utc()).await? {
        CallingOff::Done => {}
        CallingOff::TooLate(state) => {
            let message = format!(
                "The call is {} and cannot be called off. POST /v1/calls/{id}/hangup ends a call that was placed.",
                state.name()
            );
            return Err(ApiError::new(StatusCode::CONFLICT, "call_placed", message));
        }
        CallingOff::Missing => return Err(missing(&id)),
    }
    let Some(call) = sql.find_call(tenant, &id).await? else {
        return Err(missing(&id));
    };
    let key = CallKey {
        tenant: tenant.to_owned(),
        id,
        attempt: call.attempt_number,
    };
    if let Err(error) = after::over(&app, &key).await {
        // it is called off; what follows is found by the dialler's next look
        tracing::warn!(call = key.id, error = %chain(&error), "cannot deal with a call that was called off");
    }
    Ok(Json(view::shown(&call)))
}

fn missing(id: &str) -> ApiError {
    let message = format!("No call has the id '{id}'. GET /v1/calls lists them.");
    ApiError::new(StatusCode::NOT_FOUND, "call_not_found", message)
}
