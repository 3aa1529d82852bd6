//! `/v1/webhook_endpoints`: where a tenant is told what happened.
//! Mounted by `api::v1`; takes a key that administers the tenant: what is sent there was said by its callers.
//! Never shows a secret but in the answer that makes it, nor another tenant's endpoint.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod list;
pub(super) mod rotate;
pub(super) mod show;
pub(super) mod update;

use axum::http::StatusCode;
use store::WebhookEndpoint;
use url::Url;
use wire::rest::webhooks::{KINDS, WebhookEndpoint as Shown};

use crate::App;
use crate::http::ApiError;

/// Longest address, in characters.
const URL_MAX: usize = 2000;
/// Longest description, in characters.
const DESCRIPTION_MAX: usize = 200;

fn shown(endpoint: WebhookEndpoint) -> Shown {
    Shown {
        object: "webhook_endpoint",
        events: serde_json::from_str(&endpoint.events).unwrap_or_default(),
        id: endpoint.id,
        url: endpoint.url,
        description: endpoint.description,
        enabled: endpoint.enabled,
        problem: endpoint.problem,
        created_at: endpoint.created_at.timestamp(),
        updated_at: endpoint.updated_at.timestamp(),
    }
}

async fn find(app: &App, tenant: &str, id: &str) -> Result<WebhookEndpoint, ApiError> {
    let found = app.store.sql.find_webhook_endpoint(tenant, id).await?;
    found.ok_or_else(|| missing(id))
}

fn missing(id: &str) -> ApiError {
    let message =
        format!("No webhook endpoint has the id '{id}'. GET /v1/webhook_endpoints lists them.");
    ApiError::new(StatusCode::NOT_FOUND, "webhook_endpoint_not_found", message)
}

/// Somebody else changed it between reading and writing.
fn changed() -> ApiError {
    let message = "The endpoint was changed by somebody else meanwhile. Read it and try again.";
    ApiError::new(StatusCode::CONFLICT, "webhook_endpoint_changed", message)
}

/// The address, if messages may be sent there.
fn address(app: &App, url: &str) -> Result<String, ApiError> {
    let refuse = |why: String| {
        Err(ApiError::invalid_value(
            "url",
            format!("Invalid 'url': {why}."),
        ))
    };
    if url.chars().count() > URL_MAX {
        return refuse(format!("it may have {URL_MAX} characters"));
    }
    let Ok(parsed) = Url::parse(url.trim()) else {
        return refuse("write an address such as https://example.com/hooks".to_owned());
    };
    if let Err(error) = app.outbound.check(&parsed) {
        return refuse(error.to_string());
    }
    Ok(parsed.into())
}

/// The list of kinds, if there are such.
fn events(wanted: &[String]) -> Result<String, ApiError> {
    if let Some(strange) = wanted.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        let known = KINDS.join(", ");
        let message = format!("Invalid 'events': '{strange}' is none of {known}.");
        return Err(ApiError::invalid_value("events", message));
    }
    Ok(serde_json::json!(wanted).to_string())
}

fn description(text: &str) -> Result<String, ApiError> {
    if text.chars().count() > DESCRIPTION_MAX || text.contains('\0') {
        let message =
            format!("Invalid 'description': it may have {DESCRIPTION_MAX} characters and no NUL.");
        return Err(ApiError::invalid_value("description", message));
    }
    Ok(text.to_owned())
}
