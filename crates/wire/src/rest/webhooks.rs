//! Bodies of `/v1/webhook_endpoints` and `/v1/webhook_deliveries`: where a tenant is told what happened.
//! Used by the gateway's routes and by the document generator.
//! Never holds a secret but in the answer that makes it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every kind of message there is.
pub const KINDS: [&str; 8] = [
    "call.started",
    "call.ringing",
    "call.answered",
    "call.transcript",
    "call.tool",
    "call.ended",
    "call.summary",
    "call.recording",
];

/// An endpoint to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhookEndpoint {
    /// Where messages are sent: an https or http address of up to 2,000 characters. It must be a public one.
    pub url: String,
    /// The kinds of messages that it wants, such as `call.ended`; all of them when absent or empty.
    #[serde(default)]
    pub events: Vec<String>,
    /// What it is for, up to 200 characters.
    #[serde(default)]
    pub description: String,
}

/// What changes of an endpoint; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookEndpointChange {
    /// Where messages are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The kinds of messages that it wants; all of them when empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it is told anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// How the secret of an endpoint is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RotateWebhookSecret {
    /// Seconds for which messages are signed with the old secret as well; a day where this is absent, 30 days at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_592_000)]
    pub grace: Option<u64>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookEndpoint {
    /// `webhook_endpoint`.
    pub object: &'static str,
    /// Its id, `we_…`.
    pub id: String,
    /// Where messages are sent.
    pub url: String,
    /// The kinds of messages that it wants; all of them when empty.
    pub events: Vec<String>,
    /// What it is for.
    pub description: String,
    /// Whether it is told anything.
    pub enabled: bool,
    /// Why it is not, if nobody switched it off: it answered 410.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// The answer to making an endpoint and to replacing its secret; the only places that have the secret.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookEndpointWithSecret {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: WebhookEndpoint,
    /// `whsec_…`: what the header `webhook-signature` is checked with, in the way of Standard Webhooks.
    pub secret: String,
}

impl std::fmt::Debug for WebhookEndpointWithSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookEndpointWithSecret")
            .field("endpoint", &self.endpoint)
            .field("secret", &"(secret)")
            .finish()
    }
}

/// All endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookEndpointList {
    /// `list`.
    pub object: &'static str,
    /// In the order of their ids.
    pub data: Vec<WebhookEndpoint>,
}

/// An endpoint that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookEndpointDeleted {
    /// `webhook_endpoint.deleted`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
    /// True.
    pub deleted: bool,
}

/// A message that was not taken and is not tried any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookDelivery {
    /// `webhook_delivery`.
    pub object: &'static str,
    /// Its id: the message's, a dot, the endpoint's.
    pub id: String,
    /// How often it was tried.
    pub tries: i64,
    /// What went wrong the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Messages that were given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookDeliveryList {
    /// `list`.
    pub object: &'static str,
    /// Up to 100, in the order of their ids.
    pub data: Vec<WebhookDelivery>,
}

/// A message that is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WebhookDeliveryRetried {
    /// `webhook_delivery.retried`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
}
