//! `POST /v1/webhook_deliveries/{id}/retry`.
//! Called when an endpoint works again.
//! Never sends a message under another id than before.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use wire::rest::webhooks::WebhookDeliveryRetried;

use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Try a message again that was given up.
#[utoipa::path(
    post,
    path = "/v1/webhook_deliveries/{id}/retry",
    tag = "webhooks",
    params(("id" = String, Path, description = "The delivery's id")),
    responses(
        (status = 200, description = "It is tried again, from the beginning", body = WebhookDeliveryRetried),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "No message of this id was given up"),
    )
)]
pub(crate) async fn retry(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<WebhookDeliveryRetried>, ApiError> {
    let tenant = &by.principal.tenant;
    let now = app.clock.utc();
    if id.contains('\0') || !app.store.sql.revive_effect(tenant, &id, now).await? {
        let message = format!(
            "No message of the id '{id}' was given up. GET /v1/webhook_deliveries lists those that were."
        );
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "webhook_delivery_not_found",
            message,
        ));
    }
    app.outbox.wake();
    Ok(Json(WebhookDeliveryRetried {
        object: "webhook_delivery.retried",
        id,
    }))
}
