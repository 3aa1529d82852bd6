//! `GET /v1/webhook_deliveries`.
//! Called by whoever looks why nothing arrives.
//! Never lists what is still being tried, nor other work of the outbox.

use std::sync::Arc;

use axum::extract::State;
use wire::rest::webhooks::{WebhookDelivery, WebhookDeliveryList};

use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};
use crate::outbox::DELIVERY;

/// Entries of a list.
const MOST: u32 = 100;

/// List the messages that were given up.
#[utoipa::path(
    get,
    path = "/v1/webhook_deliveries",
    tag = "webhooks",
    responses(
        (status = 200, description = "Up to 100 messages that were not taken and are not tried any more", body = WebhookDeliveryList),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
    )
)]
pub(crate) async fn list(
    by: Administrator,
    State(app): State<Arc<App>>,
) -> Result<Json<WebhookDeliveryList>, ApiError> {
    let dead = app
        .store
        .sql
        .dead_effects(&by.principal.tenant, MOST)
        .await?;
    let deliveries = dead.into_iter().filter(|effect| effect.topic == DELIVERY);
    let data = deliveries.map(|effect| WebhookDelivery {
        object: "webhook_delivery",
        id: effect.id,
        tries: effect.tries,
        problem: effect.problem,
    });
    Ok(Json(WebhookDeliveryList {
        object: "list",
        data: data.collect(),
    }))
}
