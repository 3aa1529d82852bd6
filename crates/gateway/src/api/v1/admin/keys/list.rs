//! `GET /v1/admin/keys`.
//! Called by whoever wants to know who has access.
//! Never lists another tenant's, and never shows a secret.

use std::sync::Arc;

use axum::extract::State;
use wire::rest::keys::KeyList;

use super::shown;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// List the API keys.
#[utoipa::path(
    get,
    path = "/v1/admin/keys",
    tag = "admin",
    responses(
        (status = 200, description = "All keys, newest first, revoked ones included", body = KeyList),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
    )
)]
pub(crate) async fn list(
    Administrator(principal): Administrator,
    State(app): State<Arc<App>>,
) -> Result<Json<KeyList>, ApiError> {
    let keys = app.keys.list(&principal.tenant).await?;
    Ok(Json(KeyList {
        object: "list".to_owned(),
        data: keys.into_iter().rev().map(shown).collect(),
    }))
}
