//! `DELETE /v1/do_not_call/{number}`.
//! Called when somebody may be called again.
//! Never done by a key that only places calls: whoever asks to be left alone is not put back by a program that wants to call.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::number;
use crate::App;
use crate::auth::Administrator;
use crate::http::ApiError;

/// Let somebody be called again.
#[utoipa::path(
    delete,
    path = "/v1/do_not_call/{number}",
    tag = "calls",
    params(("number" = String, Path, description = "In international form, `+14155550100`")),
    responses(
        (status = 204, description = "They may be called again"),
        (status = 400, description = "It is no number"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "Nothing was against calling them"),
    )
)]
pub(crate) async fn delete(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
) -> Result<StatusCode, ApiError> {
    let number = number(&text)?;
    let sql = &app.store.sql;
    let callee = sql.callee(number.as_str()).await?;
    if !sql
        .remove_do_not_call(&by.principal.tenant, &callee)
        .await?
    {
        return Err(ApiError::not_found(
            "This number is not on the do-not-call list.",
        ));
    }
    Ok(StatusCode::NO_CONTENT)
}
