//! `/v1/admin/keys`: API keys of the tenant.
//! Mounted by `api::v1`.
//! Never hands out more than the asking key may do itself, and never shows a key twice.

pub(in crate::api::v1) mod create;
pub(in crate::api::v1) mod list;
pub(in crate::api::v1) mod revoke;
pub(in crate::api::v1) mod rotate;

use axum::http::StatusCode;
use store::ApiKey;
use wire::rest::keys::{CreatedKey, Key};

use crate::App;
use crate::auth::{AuthError, MAX_KEYS, MintedKey, Principal, Scope, Scopes};
use crate::http::ApiError;

fn shown(key: ApiKey) -> Key {
    Key {
        id: key.id,
        name: key.name,
        project: key.project,
        scopes: key.scopes,
        created_at: key.created_at.timestamp(),
        last_used_at: key.last_used_at.map(|at| at.timestamp()),
        revoked_at: key.revoked_at.map(|at| at.timestamp()),
        expires_at: key.expires_at.map(|at| at.timestamp()),
    }
}

/// A key that was just made, with its text.
pub(super) async fn created(
    app: &App,
    tenant: &str,
    minted: &MintedKey,
) -> Result<CreatedKey, ApiError> {
    let found = app.keys.find(tenant, &minted.id).await?;
    let record = found.ok_or_else(ApiError::internal)?;
    Ok(CreatedKey {
        record: shown(record),
        key: minted.text.reveal().to_owned(),
    })
}

/// A key cannot give what it does not have.
fn may_give(principal: &Principal, scopes: Scopes) -> Result<(), ApiError> {
    let missing = Scope::ALL
        .into_iter()
        .find(|scope| scopes.has(*scope) && !principal.scopes.has(*scope));
    missing.map_or(Ok(()), |scope| Err(AuthError::Scope(scope).into()))
}

fn missing(id: &str) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "key_not_found",
        format!("No key that works has the id '{id}'. GET /v1/admin/keys lists them."),
    )
}

/// Another key is one too many.
async fn check_room(app: &App, tenant: &str) -> Result<(), ApiError> {
    if !app.keys.is_full(tenant).await? {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::CONFLICT,
        "too_many_keys",
        format!(
            "There are {MAX_KEYS} keys, and a tenant may not have more. Revoke those that nobody uses with DELETE /v1/admin/keys/ID."
        ),
    ))
}
