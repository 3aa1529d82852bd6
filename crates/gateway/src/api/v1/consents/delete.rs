//! `DELETE /v1/consents/{number}/{kind}`.
//! Called when somebody takes back what they have agreed to.
//! Never forgets when that was: what is older is not good any more.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::super::do_not_call::number;
use super::kind;
use crate::App;
use crate::auth::Caller;
use crate::http::ApiError;

/// Take a consent back.
#[utoipa::path(
    delete,
    path = "/v1/consents/{number}/{kind}",
    tag = "calls",
    params(
        ("number" = String, Path, description = "In international form, `+14155550100`"),
        ("kind" = String, Path, description = "`ai_call` or `recording`"),
    ),
    responses(
        (status = 204, description = "It is not in force any more"),
        (status = 400, description = "It is no number"),
        (status = 401, description = "No usable key"),
        (status = 404, description = "None was in force"),
    )
)]
pub(crate) async fn delete(
    by: Caller,
    State(app): State<Arc<App>>,
    Path((text, word)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (number, kind) = (number(&text)?, kind(&word)?);
    let sql = &app.store.sql;
    let callee = sql.callee(number.as_str()).await?;
    let asked = (&callee, kind.name());
    if !sql
        .revoke_consent(&by.0.tenant, asked, app.clock.utc())
        .await?
    {
        return Err(ApiError::not_found("No such consent is in force."));
    }
    Ok(StatusCode::NO_CONTENT)
}
