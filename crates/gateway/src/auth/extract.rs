//! The extractors of the REST routes: a handler that asks for a [`Caller`] cannot be reached without a key.
//! Used by every file in `api/v1`.
//! Never lets an ephemeral secret in: those only start realtime connections.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::{AuthError, Credential, Principal, Scope, admit_any, rates};
use crate::App;
use crate::http::ApiError;

/// Whoever called, with a server key that may use the realtime and audio routes.
#[derive(Debug)]
pub struct Caller(pub Principal);

/// Whoever called, with a server key that may read what was used: one that converses, or one that pays.
#[derive(Debug)]
pub struct Payer(pub Principal);

/// Whoever called, with a server key that administers its tenant.
#[derive(Debug)]
pub struct Administrator(pub Principal);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let scopes = [Scope::RealtimeConnect];
        principal(parts, app, &scopes).await.map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Payer {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let scopes = [Scope::BillingRead, Scope::RealtimeConnect];
        principal(parts, app, &scopes).await.map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let scopes = [Scope::TenantAdmin];
        principal(parts, app, &scopes).await.map(Self)
    }
}

/// Who asks, with a server key that has one of `scopes`.
async fn principal(parts: &Parts, app: &Arc<App>, scopes: &[Scope]) -> Result<Principal, ApiError> {
    let credential =
        Credential::from_request(&parts.headers, &parts.uri).ok_or(AuthError::Missing)?;
    if credential.is_ephemeral() {
        return Err(AuthError::EphemeralRefused.into());
    }
    let who = admit_any(app, &credential, &parts.headers, scopes).await?;
    rates::count(app, &who, parts).await?;
    Ok(who)
}
