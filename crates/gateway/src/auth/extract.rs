//! The extractor of the REST routes: a handler that asks for a [`Caller`] cannot be reached without a key.
//! Used by every file in `api/v1`.
//! Never lets an ephemeral secret in: those only start realtime connections.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::{AuthError, Credential, Principal, admit};
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
        Ok(Self(admit(app, &credential, &parts.headers).await?))
    }
}
