//! `POST /v1/webhook_endpoints/{id}`.
//! Called by whoever changes where messages go, or switches an endpoint off and on.
//! Never loses a change that somebody else has made meanwhile.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::webhooks::{WebhookEndpoint, WebhookEndpointChange};

use super::{address, changed, description, events, find, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Change a webhook endpoint: fields that are sent are replaced.
#[utoipa::path(
    post,
    path = "/v1/webhook_endpoints/{id}",
    tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id")),
    request_body = WebhookEndpointChange,
    responses(
        (status = 200, description = "The endpoint as it is now", body = WebhookEndpoint),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is no such endpoint"),
        (status = 409, description = "It was changed by somebody else meanwhile"),
    )
)]
pub(crate) async fn update(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Json(body): Json<WebhookEndpointChange>,
) -> Result<Json<WebhookEndpoint>, ApiError> {
    let tenant = &by.principal.tenant;
    let mut endpoint = find(&app, tenant, &id).await?;
    if let Some(url) = &body.url {
        endpoint.url = address(&app, url)?;
    }
    if let Some(wanted) = &body.events {
        endpoint.events = events(wanted)?;
    }
    if let Some(text) = &body.description {
        endpoint.description = description(text)?;
    }
    if let Some(enabled) = body.enabled {
        endpoint.enabled = enabled;
        endpoint.problem = None;
    }
    endpoint.updated_at = app.clock.utc();
    let act = by
        .actor
        .act(endpoint.updated_at, "webhook_endpoint.update", &id);
    let sql = &app.store.sql;
    if !sql
        .update_webhook_endpoint(tenant, &endpoint, Some(&act))
        .await?
    {
        return Err(changed());
    }
    Ok(Json(shown(endpoint)))
}
