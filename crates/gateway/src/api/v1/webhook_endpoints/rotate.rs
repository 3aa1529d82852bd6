//! `POST /v1/webhook_endpoints/{id}/rotate_secret`.
//! Called when a secret is old or has leaked.
//! Never leaves a moment in which neither the old nor the new secret is right.

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::TimeDelta;
use providers::webhook::new_secret;
use secrecy::ExposeSecret as _;
use wire::rest::webhooks::{RotateWebhookSecret, WebhookEndpointWithSecret};

use super::{changed, find, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};
use crate::webhooks::Secrets;

/// How long the old secret goes on working, in s, when nobody says.
const GRACE_S: u64 = 24 * 3600;
/// How long it may.
const GRACE_MAX_S: u64 = 30 * 24 * 3600;

/// Replace the secret of a webhook endpoint. The answer has the new one, once; for a while messages are signed with both.
#[utoipa::path(
    post,
    path = "/v1/webhook_endpoints/{id}/rotate_secret",
    tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id")),
    request_body(content = Option<RotateWebhookSecret>, description = "How long the old secret goes on working"),
    responses(
        (status = 200, description = "The endpoint and its new secret", body = WebhookEndpointWithSecret),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is no such endpoint"),
        (status = 409, description = "It was changed by somebody else meanwhile"),
    )
)]
pub(crate) async fn rotate(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Option<Json<RotateWebhookSecret>>,
) -> Result<Json<WebhookEndpointWithSecret>, ApiError> {
    let grace_s = body.and_then(|Json(body)| body.grace).unwrap_or(GRACE_S);
    if grace_s > GRACE_MAX_S {
        let message = format!("Invalid 'grace': it may be {GRACE_MAX_S} seconds.");
        return Err(ApiError::invalid_value("grace", message));
    }
    let tenant = &by.principal.tenant;
    let mut endpoint = find(&app, tenant, &id).await?;
    let now = app.clock.utc();
    let secret = new_secret().map_err(|_| ApiError::internal())?;
    let until = now + TimeDelta::seconds(i64::try_from(grace_s).unwrap_or(0));
    let secrets = Secrets::read(&endpoint.secrets).rotated(&secret, until);
    endpoint.secrets = secrets.written();
    endpoint.updated_at = now;
    let act = by.actor.act(now, "webhook_endpoint.rotate_secret", &id);
    let sql = &app.store.sql;
    if !sql
        .update_webhook_endpoint(tenant, &endpoint, Some(&act))
        .await?
    {
        return Err(changed());
    }
    Ok(Json(WebhookEndpointWithSecret {
        endpoint: shown(endpoint),
        secret: secret.expose_secret().to_owned(),
    }))
}
