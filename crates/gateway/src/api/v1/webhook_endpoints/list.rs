//! `GET /v1/webhook_endpoints`.
//! Called by whoever sets webhooks up.
//! Never lists another tenant's.

use std::sync::Arc;

use axum::extract::State;
use wire::rest::webhooks::WebhookEndpointList;

use super::shown;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// List the webhook endpoints.
#[utoipa::path(
    get,
    path = "/v1/webhook_endpoints",
    tag = "webhooks",
    responses(
        (status = 200, description = "All endpoints, without their secrets", body = WebhookEndpointList),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
    )
)]
pub(crate) async fn list(
    by: Administrator,
    State(app): State<Arc<App>>,
) -> Result<Json<WebhookEndpointList>, ApiError> {
    let endpoints = app
        .store
        .sql
        .webhook_endpoints(&by.principal.tenant)
        .await?;
    Ok(Json(WebhookEndpointList {
        object: "list",
        data: endpoints.into_iter().map(shown).collect(),
    }))
}
