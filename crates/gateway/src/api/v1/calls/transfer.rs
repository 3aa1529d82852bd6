//! `POST /v1/calls/{id}/transfer`.
//! Called by whoever wants the caller to talk to somebody else.
//! Never passes on a call of another tenant.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use engine::call::state::Party;
use wire::rest::calls::{Call, Transfer, TransferMode};

use super::{found, shown};
use crate::App;
use crate::auth::Caller;
use crate::calls::CallKey;
use crate::calls::transfer::{self, RINGS_S, TransferError, Wish};
use crate::http::{ApiError, Json};

/// Seconds that it may ring.
const RINGS: std::ops::RangeInclusive<u32> = 5..=120;
/// Most characters of what the other person is told.
const SUMMARY_CHARS: usize = 1000;

/// Pass a caller on.
#[utoipa::path(
    post,
    path = "/v1/calls/{id}/transfer",
    tag = "calls",
    params(("id" = String, Path, description = "The call's id")),
    request_body = Transfer,
    responses(
        (status = 200, description = "The carrier has moved the caller", body = Call),
        (status = 202, description = "Whoever is to take over is being called; the caller talks on meanwhile", body = Call),
        (status = 400, description = "Neither a number nor a target of the agent's"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "A rule forbids the number"),
        (status = 404, description = "There is no such call"),
        (status = 409, description = "It does not go on, or is being passed on already"),
        (status = 422, description = "Its carrier, or the account here, cannot do that"),
        (status = 502, description = "The carrier has not done it"),
    )
)]
pub(crate) async fn transfer(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Json(wanted): Json<Transfer>,
) -> Result<(StatusCode, Json<Call>), ApiError> {
    let tenant = principal.tenant.as_str();
    let call = found(&app, tenant, &id).await?;
    let timeout_s = wanted.timeout_s.unwrap_or(RINGS_S);
    if !RINGS.contains(&timeout_s) {
        let message = "'timeout_s' must be 5 to 120 seconds.";
        return Err(ApiError::invalid_value("timeout_s", message));
    }
    let summary = wanted.summary.as_deref().unwrap_or_default();
    if summary.chars().count() > SUMMARY_CHARS {
        let message = "'summary' may have 1,000 characters: it is read out.";
        return Err(ApiError::invalid_value("summary", message));
    }
    let key = CallKey {
        tenant: tenant.to_owned(),
        id: id.clone(),
        attempt: call.attempt_number,
    };
    let wish = Wish {
        to: wanted.to,
        mode: wanted.mode,
        timeout_s,
        summary: wanted.summary,
        by: Party::System,
    };
    transfer::pass_on(&app, &key, &wish)
        .await
        .map_err(refused)?;
    let status = match wish.mode {
        TransferMode::Cold => StatusCode::OK,
        TransferMode::Warm => StatusCode::ACCEPTED,
    };
    let call = found(&app, tenant, &id).await?;
    Ok((status, Json(shown(&call))))
}

fn refused(error: TransferError) -> ApiError {
    let status = match &error {
        TransferError::NotLive | TransferError::UnderWay => StatusCode::CONFLICT,
        TransferError::Target | TransferError::Unknown(_) => StatusCode::BAD_REQUEST,
        TransferError::Forbidden => StatusCode::FORBIDDEN,
        TransferError::Unsupported(_) => StatusCode::UNPROCESSABLE_ENTITY,
        TransferError::Carrier(_) => StatusCode::BAD_GATEWAY,
        TransferError::Store(_) => {
            let TransferError::Store(error) = error else {
                return ApiError::internal();
            };
            return super::unreadable(error);
        }
    };
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let message = format!("{}{}.", first.unwrap_or_default(), letters.as_str());
    let about_number = matches!(status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN);
    ApiError {
        param: about_number.then(|| "to".to_owned()),
        ..ApiError::new(status, error.code(), message)
    }
}
