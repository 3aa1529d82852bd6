//! Client secrets (`ek_…`): made with a server key, handed to a browser, good for one connection.
//! Made by the `client_secrets` and `sessions` routes, taken by `authenticate`.
//! Never live longer than ten minutes; in Redis they outlive the process that made them.

use serde_json::Value;
use store::live::ClientSecret;
use store::live::secrets::LIFETIME_MAX_S;

use super::{AuthError, Credential, Principal, Scope, key_text};
use crate::App;
use crate::config::Secret;

/// How a client secret begins, as with the hosted service.
pub(super) const PREFIX: &str = "ek_";

/// Base-62 characters after the prefix: 256 bits.
const LENGTH: usize = 43;

/// A client secret that was just made.
#[derive(Debug)]
pub struct MintedSecret {
    /// Its text.
    pub value: Secret,
    /// Unix time after which it starts nothing, in s.
    pub expires_at: i64,
}

/// Makes a client secret of `owner`'s tenant that carries `session` and lives for `ttl_s` seconds, at most
/// [`LIFETIME_MAX_S`]: the answer tells when it really ends.
///
/// # Errors
/// [`AuthError::Store`] when too many are waiting to be used.
pub async fn mint(
    app: &App,
    owner: &Principal,
    session: Value,
    ttl_s: u32,
) -> Result<MintedSecret, AuthError> {
    let value = format!("{PREFIX}{}", key_text::random_text(LENGTH)?);
    let now = app.clock.unix_s();
    let expires_at = now + i64::from(ttl_s.min(LIFETIME_MAX_S));
    let entry = ClientSecret {
        tenant: owner.tenant.clone(),
        project: owner.project.clone(),
        key_id: owner.key_id.clone(),
        session,
        expires_at,
    };
    app.store.live.secrets.put(&value, entry, now).await?;
    Ok(MintedSecret {
        value: Secret::new(value),
        expires_at,
    })
}

/// Uses a client secret up; one whose maker's key was revoked meanwhile opens nothing any more.
pub(super) async fn take(app: &App, credential: &Credential) -> Result<Principal, AuthError> {
    let entry = app
        .store
        .live
        .secrets
        .take(credential.reveal(), app.clock.unix_s())
        .await?
        .ok_or(AuthError::Spent)?;
    let allowance = app.keys.allowance(&entry.key_id).await?;
    Ok(Principal {
        tenant: entry.tenant,
        project: entry.project,
        key_id: entry.key_id,
        scopes: std::iter::once(Scope::RealtimeConnect).collect(),
        allowance,
        stored_session: Some(entry.session),
    })
}
