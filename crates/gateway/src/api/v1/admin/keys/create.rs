//! `POST /v1/admin/keys`.
//! Called by whoever gives somebody access.
//! Never makes a key that may do more than the one that asked.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::TimeDelta;
use wire::rest::keys::{CreatedKey, NewKey};

use super::{check_room, created, may_give};
use crate::App;
use crate::auth::{self, Administrator, Scope, Scopes};
use crate::http::{ApiError, Json};

/// Longest name.
const MAX_NAME: usize = 100;
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
        (status = 409, description = "There are as many keys as a tenant may have"),
    )
)]
pub(crate) async fn create(
    Administrator(principal): Administrator,
    State(app): State<Arc<App>>,
    Json(body): Json<NewKey>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let length = body.name.trim().chars().count();
    if length == 0 || length > MAX_NAME || body.name.chars().any(char::is_control) {
        let message = format!("A name has 1 to {MAX_NAME} characters, none of them for control.");
        return Err(ApiError::invalid_value("name", message));
    }
    let scopes = scopes(&body.scopes)?;
    may_give(&principal, scopes)?;
    let expires_at = body.expires_in.map(expiry).transpose()?;
    check_room(&app, &principal.tenant).await?;
    let new = auth::NewKey {
        tenant: principal.tenant.clone(),
        name: body.name.trim().to_owned(),
        scopes,
        expires_at: expires_at.map(|life| app.clock.utc() + life),
    };
    let minted = app.keys.create(&new).await?;
    tracing::info!(tenant = %principal.tenant, by = %principal.key_id, key_id = %minted.id, "a key was made");
    let made = created(&app, &principal, &minted).await?;
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
