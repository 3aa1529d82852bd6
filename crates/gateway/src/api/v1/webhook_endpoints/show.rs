//! `GET /v1/webhook_endpoints/{id}`.
//! Called by whoever sets webhooks up.
//! Never shows the secret.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::webhooks::WebhookEndpoint;

use super::{find, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Show a webhook endpoint.
#[utoipa::path(
    get,
    path = "/v1/webhook_endpoints/{id}",
    tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id")),
    responses(
        (status = 200, description = "The endpoint", body = WebhookEndpoint),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is no such endpoint"),
    )
)]
pub(crate) async fn show(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<WebhookEndpoint>, ApiError> {
    let endpoint = find(&app, &by.principal.tenant, &id).await?;
    Ok(Json(shown(endpoint)))
}
