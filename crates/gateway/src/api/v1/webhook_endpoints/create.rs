//! `POST /v1/webhook_endpoints`.
//! Called by whoever wants to be told what happens.
//! Never shows the secret again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use providers::webhook::new_secret;
use secrecy::ExposeSecret as _;
use store::WebhookEndpoint;
use wire::rest::webhooks::{NewWebhookEndpoint, WebhookEndpointWithSecret};

use super::{address, description, events, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};
use crate::webhooks::Secrets;

/// Endpoints that a tenant may have: each multiplies what is sent.
const MOST: u32 = 16;

/// Make a webhook endpoint. The answer has its secret, once.
#[utoipa::path(
    post,
    path = "/v1/webhook_endpoints",
    tag = "webhooks",
    request_body = NewWebhookEndpoint,
    responses(
        (status = 201, description = "The endpoint and its secret", body = WebhookEndpointWithSecret),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 409, description = "There are as many endpoints as a tenant may have"),
    )
)]
pub(crate) async fn create(
    by: Administrator,
    State(app): State<Arc<App>>,
    Json(body): Json<NewWebhookEndpoint>,
) -> Result<(StatusCode, Json<WebhookEndpointWithSecret>), ApiError> {
    let now = app.clock.utc();
    let secret = new_secret().map_err(|_| ApiError::internal())?;
    let endpoint = WebhookEndpoint {
        id: wire::ids::Ids::seeded(app.seed()).next("we"),
        url: address(&app, &body.url)?,
        description: description(&body.description)?,
        events: events(&body.events)?,
        enabled: true,
        problem: None,
        secrets: Secrets::of(&secret).written(),
        created_at: now,
        updated_at: now,
        version: 0,
    };
    let act = by.actor.act(now, "webhook_endpoint.create", &endpoint.id);
    let tenant = &by.principal.tenant;
    let sql = &app.store.sql;
    if !sql
        .create_webhook_endpoint(tenant, &endpoint, MOST, &act)
        .await?
    {
        let message =
            format!("There are {MOST} endpoints, and a tenant may have no more. Delete one first.");
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "too_many_webhook_endpoints",
            message,
        ));
    }
    let made = WebhookEndpointWithSecret {
        endpoint: shown(endpoint),
        secret: secret.expose_secret().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}
