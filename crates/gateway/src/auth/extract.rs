//! The extractor of the REST routes: a handler that asks for a [`Caller`] cannot be reached without a key.
//! Used by every file in `api/v1`.
//! Never lets an ephemeral secret in: those only start realtime connections.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;

use super::{AuthError, Credential, Principal, Scope, authenticate};
use crate::App;
use crate::http::ApiError;

/// Whoever called, with a server key that may use the realtime and audio routes.
#[derive(Debug)]
pub struct Caller(pub Principal);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let credential =
            Credential::from_request(&parts.headers, &parts.uri).ok_or(AuthError::Missing)?;
        if credential.is_ephemeral() {
            return Err(AuthError::EphemeralRefused.into());
        }
        if from_foreign_page(parts, &app.config.http.allowed_origins) {
            return Err(AuthError::ForeignOrigin.into());
        }
        let principal = authenticate(app, &credential).await?;
        if !principal.scopes.has(Scope::RealtimeConnect) {
            return Err(AuthError::Scope(Scope::RealtimeConnect).into());
        }
        tracing::Span::current().record("key_id", principal.key_id.as_str());
        Ok(Self(principal))
    }
}

/// Whether a web page of another origin sent this: its visitors could read the server key.
fn from_foreign_page(parts: &Parts, allowed: &[String]) -> bool {
    let text = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let Some(origin) = text(ORIGIN) else {
        return false;
    };
    let own = origin
        .split_once("://")
        .is_some_and(|(_, authority)| Some(authority) == text(HOST));
    !own && !allowed.iter().any(|allowed| allowed == origin)
}
