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
use store::{StoreError, StoredCall};

use crate::App;
use crate::auth::chain;
use crate::dialler::view::shown;
use crate::http::ApiError;

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
