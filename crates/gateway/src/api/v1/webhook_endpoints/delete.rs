//! `DELETE /v1/webhook_endpoints/{id}`.
//! Called when nobody is to be told there any more; what waits for it is not sent.
//! Never says whether another tenant has such an endpoint.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::webhooks::WebhookEndpointDeleted;

use super::missing;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Remove a webhook endpoint.
#[utoipa::path(
    delete,
    path = "/v1/webhook_endpoints/{id}",
    tag = "webhooks",
    params(("id" = String, Path, description = "The endpoint's id")),
    responses(
        (status = 200, description = "It is gone", body = WebhookEndpointDeleted),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "There is no such endpoint"),
    )
)]
pub(crate) async fn delete(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<WebhookEndpointDeleted>, ApiError> {
    let act = by
        .actor
        .act(app.clock.utc(), "webhook_endpoint.delete", &id);
    let tenant = &by.principal.tenant;
    if !app
        .store
        .sql
        .delete_webhook_endpoint(tenant, &id, &act)
        .await?
    {
        return Err(missing(&id));
    }
    Ok(Json(WebhookEndpointDeleted {
        object: "webhook_endpoint.deleted",
        id,
        deleted: true,
    }))
}
