//! `GET /v1/admin/keys`.
//! Called by whoever wants to know who has access.
//! Never lists another tenant's, and never shows a secret.

use std::sync::Arc;

use axum::extract::State;
use wire::rest::keys::KeyList;

use super::super::Whose;
use super::shown;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json, Query};

/// List the API keys.
#[utoipa::path(
    get,
    path = "/v1/admin/keys",
    tag = "admin",
    params(Whose),
    responses(
        (status = 200, description = "All keys, newest first, revoked ones included", body = KeyList),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
    )
)]
pub(crate) async fn list(
    by: Administrator,
    State(app): State<Arc<App>>,
    Query(wanted): Query<Whose>,
) -> Result<Json<KeyList>, ApiError> {
    let tenant = by.tenant(&app, wanted.tenant.as_deref()).await?;
    let keys = app.keys.list(&tenant).await?;
    Ok(Json(KeyList {
        object: "list".to_owned(),
        data: keys.into_iter().rev().map(shown).collect(),
    }))
}
