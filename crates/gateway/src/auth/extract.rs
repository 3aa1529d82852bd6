//! The extractors of the REST routes: a handler that asks for a [`Caller`] cannot be reached without a key.
//! Used by every file in `api/v1`.
//! Never lets an ephemeral secret in: those only start realtime connections.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use store::{Tenant, TenantStatus};

use super::{AuthError, Credential, Principal, Scope, admit_any, rates};
use crate::App;
use crate::audit::Actor;
use crate::http::trace::RequestId;
use crate::http::{ApiError, client_ip};

/// Whoever called, with a server key that may use the realtime and audio routes.
#[derive(Debug)]
pub struct Caller(pub Principal);

/// Whoever called, with a server key that may read what was used: one that converses, or one that pays.
#[derive(Debug)]
pub struct Payer(pub Principal);

/// Whoever called, with a server key that may read the tenant's bills.
#[derive(Debug)]
pub struct Accountant(pub Principal);

/// Whoever called, with a server key that administers its tenant.
#[derive(Debug)]
pub struct Administrator {
    /// Who.
    pub principal: Principal,
    /// The same for the audit log.
    pub actor: Actor,
}

impl Administrator {
    /// The tenant that is to be worked on: the asking key's own, or the one that an operator names.
    ///
    /// # Errors
    /// 404 `tenant_not_found` for every other, whether it exists or not.
    pub async fn tenant(&self, app: &App, named: Option<&str>) -> Result<String, ApiError> {
        let is_there = |tenant: &Tenant| tenant.status != TenantStatus::Deleted;
        self.tenant_where(app, named, is_there).await
    }

    /// As [`Administrator::tenant`], of deleted ones as well: what is left of them is their log.
    ///
    /// # Errors
    /// 404 `tenant_not_found`.
    pub async fn tenant_or_deleted(
        &self,
        app: &App,
        named: Option<&str>,
    ) -> Result<String, ApiError> {
        self.tenant_where(app, named, |_| true).await
    }

    async fn tenant_where(
        &self,
        app: &App,
        named: Option<&str>,
        fits: impl Fn(&Tenant) -> bool,
    ) -> Result<String, ApiError> {
        let own = &self.principal.tenant;
        let Some(named) = named.filter(|named| named != own) else {
            return Ok(own.clone());
        };
        if self.principal.is_operator()
            && app
                .store
                .sql
                .find_tenant(named)
                .await?
                .is_some_and(|it| fits(&it))
        {
            return Ok(named.to_owned());
        }
        Err(no_such_tenant(named))
    }
}

/// 404 `tenant_not_found`, also for one that is another's business.
pub(crate) fn no_such_tenant(id: &str) -> ApiError {
    let message = format!("No tenant has the id '{id}'.");
    ApiError::new(StatusCode::NOT_FOUND, "tenant_not_found", message)
}

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

impl FromRequestParts<Arc<App>> for Accountant {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let scopes = [Scope::BillingRead];
        principal(parts, app, &scopes).await.map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let principal = principal(parts, app, &[Scope::TenantAdmin]).await?;
        let request_id = parts.extensions.get::<RequestId>();
        let actor = Actor {
            name: format!("{}/{}", principal.tenant, principal.key_id),
            ip: client_ip(app, parts).map(|ip| ip.to_string()),
            request_id: request_id.map(|id| id.0.to_string()),
        };
        Ok(Self { principal, actor })
    }
}

/// Who asks, with a server key that has one of `scopes`.
async fn principal(parts: &Parts, app: &Arc<App>, scopes: &[Scope]) -> Result<Principal, ApiError> {
    let credential =
        Credential::from_request(&parts.headers, &parts.uri).ok_or(AuthError::Missing)?;
    if credential.is_ephemeral() {
        return Err(AuthError::EphemeralRefused.into());
    }
    let who = admit_any(app, &credential, parts, scopes).await?;
    rates::count(app, &who, parts).await?;
    Ok(who)
}
