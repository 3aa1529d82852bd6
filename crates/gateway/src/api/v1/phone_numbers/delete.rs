//! `DELETE /v1/phone_numbers/{number}`.
//! Called when a number is not ours any more; calls that run go on.
//! Never touches another tenant's.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::{number, unreadable};
use crate::App;
use crate::auth::Administrator;
use crate::http::ApiError;

/// Forget a telephone number.
#[utoipa::path(
    delete,
    path = "/v1/phone_numbers/{number}",
    tag = "calls",
    params(("number" = String, Path, description = "In international form: `+14155550100`")),
    responses(
        (status = 204, description = "Nobody answers calls to it any more"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "The tenant has no such number"),
    )
)]
pub(crate) async fn delete(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(text): Path<String>,
) -> Result<StatusCode, ApiError> {
    let number = number(&text)?;
    let tenant = &by.principal.tenant;
    let gone = app.store.sql.delete_line(tenant, number.as_str()).await;
    if gone.map_err(unreadable)? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "number_not_found",
            "You have no such number.",
        ))
    }
}
