//! `DELETE /v1/admin/keys/{id}`.
//! Called when somebody is to have no access any more; every node refuses the key within a second.
//! Never ends a conversation that runs.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::keys::KeyRevoked;

use super::super::{Whose, to_the_end};
use super::missing;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json, Query};

/// Revoke an API key.
#[utoipa::path(
    delete,
    path = "/v1/admin/keys/{id}",
    tag = "admin",
    params(("id" = String, Path, description = "The key's public id"), Whose),
    responses(
        (status = 200, description = "It opens nothing any more", body = KeyRevoked),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "No key of the tenant that works has this id"),
    )
)]
pub(crate) async fn revoke(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(wanted): Query<Whose>,
) -> Result<Json<KeyRevoked>, ApiError> {
    let tenant = by.tenant(&app, wanted.tenant.as_deref()).await?;
    let revoking = {
        let (app, tenant, id, actor) = (app.clone(), tenant.clone(), id.clone(), by.actor.clone());
        async move { app.keys.revoke(&tenant, &id, &actor).await }
    };
    if !to_the_end(&app, revoking).await?? {
        return Err(missing(&id));
    }
    tracing::info!(tenant, by = by.actor.name, key_id = %id, "a key was revoked");
    Ok(Json(KeyRevoked {
        object: "api_key.revoked",
        id,
        revoked: true,
    }))
}
