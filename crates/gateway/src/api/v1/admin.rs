//! `/v1/admin`: what whoever administers a tenant, or the installation, does without a shell on the server.
//! Mounted by `api::v1`; takes keys with the scope `tenant:admin`.
//! Never reaches beyond the tenant of the key that asks, unless an operator's key asks: one of the tenant `default`.

pub(super) mod audit;
pub(super) mod keys;
pub(super) mod projects;
pub(super) mod tenants;

use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;
use crate::http::ApiError;

/// Whose things are meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api::v1) struct Whose {
    /// Another tenant, for operators.
    tenant: Option<String>,
}

/// Carries a change out in a task of its own: whoever asked may hang up between it and its announcement to the other servers.
async fn to_the_end<T: Send + 'static>(
    app: &App,
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    let done = app.lifecycle.spawn(change).await;
    done.map_err(|_| ApiError::internal())
}

/// An id that somebody chose.
fn id(text: String) -> Result<String, ApiError> {
    if crate::tenants::is_id(&text) {
        return Ok(text);
    }
    Err(ApiError::invalid_value(
        "id",
        "An id has 3 to 50 of the characters a to z, 0 to 9 and -, and begins with a letter.",
    ))
}
