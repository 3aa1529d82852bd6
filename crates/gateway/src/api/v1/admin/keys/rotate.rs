//! `POST /v1/admin/keys/{id}/rotate`.
//! Called when a key has been in use for long enough, or by too many.
//! Never leaves a moment in which neither the old nor the new key works.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::TimeDelta;
use wire::rest::keys::{CreatedKey, RotateKey};

use super::super::{Whose, to_the_end};
use super::{check_room, created, may_give, missing};
use crate::App;
use crate::auth::{Administrator, Scopes};
use crate::http::{ApiError, Json, Query};

/// How long the old key goes on working unless something else is asked for, in s (a day).
const GRACE_S: u64 = 24 * 3600;
/// The longest time that may be asked for, in s (30 days).
const MAX_GRACE_S: u64 = 30 * 24 * 3600;

/// Replace an API key.
#[utoipa::path(
    post,
    path = "/v1/admin/keys/{id}/rotate",
    tag = "admin",
    params(("id" = String, Path, description = "Public id of the key that is replaced"), Whose),
    request_body(content = RotateKey, description = "How long the old key goes on working"),
    responses(
        (status = 201, description = "The new key, of the same name and scopes; its text is shown this once", body = CreatedKey),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant, or lacks a scope of the one that is replaced"),
        (status = 404, description = "No key of the tenant that works has this id"),
        (status = 409, description = "There are as many keys as a tenant may have"),
    )
)]
pub(crate) async fn rotate(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(asked): Query<Whose>,
    body: Option<Json<RotateKey>>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let wanted = body.map_or_else(RotateKey::default, |Json(body)| body);
    let grace = wanted.grace.unwrap_or(GRACE_S);
    if grace > MAX_GRACE_S {
        let message = format!("A replaced key goes on working for 0 to {MAX_GRACE_S} seconds.");
        return Err(ApiError::invalid_value("grace", message));
    }
    let tenant = by.tenant(&app, asked.tenant.as_deref()).await?;
    let found = app.keys.find(&tenant, &id).await?;
    let old = found.ok_or_else(|| missing(&id))?;
    may_give(&by.principal, Scopes::from_names(&old.scopes))?;
    check_room(&app, &tenant).await?;
    let rotating = {
        let (app, old, actor) = (app.clone(), old.clone(), by.actor.clone());
        async move {
            app.keys
                .rotate(&old, TimeDelta::seconds(grace as i64), &actor)
                .await
        }
    };
    let minted = to_the_end(&app, rotating).await??;
    let minted = minted.ok_or_else(|| missing(&id))?;
    tracing::info!(tenant, by = by.actor.name, key_id = %minted.id, replaces = %old.id, grace_s = grace, "a key was replaced");
    let made = created(&app, &tenant, &minted).await?;
    Ok((StatusCode::CREATED, Json(made)))
}
