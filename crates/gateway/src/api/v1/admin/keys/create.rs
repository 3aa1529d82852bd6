//! `POST /v1/admin/keys`.
//! Called by whoever gives somebody access.
//! Never makes a key that may do more than the one that asked.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::TimeDelta;
use wire::rest::keys::{CreatedKey, NewKey};

use super::super::projects::no_such_project;
use super::{check_room, created, may_give};
use crate::App;
use crate::auth::{self, Administrator, DEFAULT_PROJECT, Scope, Scopes};
use crate::http::{ApiError, Json};
use crate::tenants;

/// Longest life that a key may be given, in s: ten years; longer is for ever, which is said by saying nothing.
const MAX_LIFE_S: u64 = 10 * 365 * 24 * 3600;

/// Make an API key.
#[utoipa::path(
    post,
    path = "/v1/admin/keys",
    tag = "admin",
    request_body = NewKey,
    responses(
        (status = 201, description = "The key; its text is shown this once", body = CreatedKey),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant, or lacks a scope that the new one is to have"),
        (status = 404, description = "There is no such project, or no such tenant"),
        (status = 409, description = "There are as many keys as a tenant may have"),
    )
)]
pub(crate) async fn create(
    by: Administrator,
    State(app): State<Arc<App>>,
    Json(body): Json<NewKey>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let name = tenants::name(&body.name)?;
    let scopes = scopes(&body.scopes)?;
    may_give(&by.principal, scopes)?;
    let expires_at = body.expires_in.map(expiry).transpose()?;
    let tenant = by.tenant(&app, body.tenant.as_deref()).await?;
    let project = body.project.unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
    if app
        .store
        .sql
        .find_project(&tenant, &project)
        .await?
        .is_none()
    {
        return Err(no_such_project(&project));
    }
    check_room(&app, &tenant).await?;
    let new = auth::NewKey {
        tenant,
        project,
        name,
        scopes,
        expires_at: expires_at.map(|life| app.clock.utc() + life),
    };
    let minted = app.keys.create(&new, &by.actor).await?;
    tracing::info!(tenant = new.tenant, by = by.actor.name, key_id = %minted.id, "a key was made");
    let made = created(&app, &new.tenant, &minted).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

fn scopes(names: &[String]) -> Result<Scopes, ApiError> {
    let known = || Scope::ALL.map(Scope::name).join(", ");
    let unknown = names.iter().find(|name| Scope::parse(name).is_none());
    if let Some(name) = unknown {
        let message = format!("There is no scope '{name}'; there are {}.", known());
        return Err(ApiError::invalid_value("scopes", message));
    }
    if names.is_empty() {
        let message = format!(
            "A key without a scope opens nothing; there are {}.",
            known()
        );
        return Err(ApiError::invalid_value("scopes", message));
    }
    Ok(Scopes::from_names(names))
}

fn expiry(seconds: u64) -> Result<TimeDelta, ApiError> {
    if seconds == 0 || seconds > MAX_LIFE_S {
        let message = format!("A key lives for 1 to {MAX_LIFE_S} seconds, or until it is revoked.");
        return Err(ApiError::invalid_value("expires_in", message));
    }
    Ok(TimeDelta::seconds(seconds as i64))
}
