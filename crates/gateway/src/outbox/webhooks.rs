//! Webhooks: a message is put in once, becomes one delivery for each endpoint that wants it, and each is sent until it is
//! taken or given up.
//! Put in by whoever has something to tell, through [`message_effect`].
//! Never sends a message under two ids, and never lets one endpoint's trouble keep another waiting.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use providers::webhook::{self, DeliveryError, Message};
use serde::{Deserialize, Serialize};
use store::{Effect, NewEffect, Retries, StoreError, WebhookEndpoint};
use url::Url;
use wire::rest::calls::webhook::{CallHappening, CallMessage};

use super::{Failed, Next, Work};
use crate::App;
use crate::webhooks::Secrets;

/// The topic of messages.
const MESSAGE: &str = "webhook";
/// The topic of their deliveries.
pub(crate) const DELIVERY: &str = "webhook.delivery";
/// How long a receiver may take: what it does with a message it does afterwards.
const RECEIVER_LIMIT: Duration = Duration::from_secs(15);

/// What is put in for a message.
#[derive(Debug, Serialize, Deserialize)]
struct Put {
    /// Its kind, such as `call.ended`.
    kind: String,
    /// Its body as it is sent.
    body: String,
}

/// What is put in for one delivery.
#[derive(Debug, Serialize, Deserialize)]
struct Posted {
    /// The message's id.
    message: String,
    /// To which endpoint.
    endpoint: String,
    /// Its body as it is sent.
    body: String,
}

/// What tells `tenant`'s endpoints of something: put it in with the change that it tells of, then wake the outbox. `id` names
/// the message for good; `body` is its JSON. It lies sealed when there are keys.
///
/// # Errors
/// [`StoreError`] when it cannot be sealed.
pub async fn message_effect(
    app: &App,
    tenant: &str,
    (id, kind): (&str, &str),
    body: String,
    now: DateTime<Utc>,
) -> Result<NewEffect, StoreError> {
    let kind = kind.to_owned();
    let effect = NewEffect {
        id: id.to_owned(),
        topic: MESSAGE.to_owned(),
        payload: written(&Put { kind, body }),
        due_at: now,
    };
    app.store.sql.sealed_effect(tenant, effect).await
}

/// As [`message_effect`], of something that happened to a call.
///
/// # Errors
/// [`StoreError`] when it cannot be sealed.
pub async fn announcement(
    app: &App,
    tenant: &str,
    message: &CallMessage,
    now: DateTime<Utc>,
) -> Result<NewEffect, StoreError> {
    let kind = kind_of(&message.event);
    message_effect(app, tenant, (&message.id, kind), written(message), now).await
}

const fn kind_of(event: &CallHappening) -> &'static str {
    match event {
        CallHappening::Started(_) => "call.started",
        CallHappening::Ringing(_) => "call.ringing",
        CallHappening::Answered(_) => "call.answered",
        CallHappening::Transcript(_) => "call.transcript",
        CallHappening::Tool(_) => "call.tool",
        CallHappening::Ended(_) => "call.ended",
        CallHappening::Summary(_) => "call.summary",
        CallHappening::Recording(_) => "call.recording",
    }
}

fn written<T: Serialize>(value: &T) -> String {
    // none of ours has a map with keys that are no text
    serde_json::to_string(value).unwrap_or_default()
}

fn read<T: for<'a> Deserialize<'a>>(payload: &str) -> Result<T, Failed> {
    serde_json::from_str(payload).map_err(|_| Failed::never("what was put in cannot be read"))
}

/// Makes one delivery of a message for each endpoint that wants it.
pub(super) struct FanOut;

#[async_trait]
impl Work for FanOut {
    fn topic(&self) -> &'static str {
        MESSAGE
    }

    fn retries(&self) -> Retries {
        Retries {
            first: TimeDelta::seconds(2),
            longest: TimeDelta::minutes(10),
            tries: 50,
        }
    }

    async fn run(&self, app: &Arc<App>, effect: &Effect) -> Result<(), Failed> {
        let sql = &app.store.sql;
        let put: Put = read(&sql.effect_payload(effect).await?)?;
        let endpoints = sql.webhook_endpoints(&effect.tenant).await?;
        let now = app.clock.utc();
        let mut deliveries = Vec::new();
        for endpoint in endpoints
            .iter()
            .filter(|endpoint| wants(endpoint, &put.kind))
        {
            let posted = Posted {
                message: effect.id.clone(),
                endpoint: endpoint.id.clone(),
                body: put.body.clone(),
            };
            let delivery = NewEffect {
                id: format!("{}.{}", effect.id, endpoint.id),
                topic: DELIVERY.to_owned(),
                payload: written(&posted),
                due_at: now,
            };
            deliveries.push(sql.sealed_effect(&effect.tenant, delivery).await?);
        }
        // what was put in by somebody who did not come back is there, and is not put in again
        sql.put_effects(&effect.tenant, &deliveries, now).await?;
        if !deliveries.is_empty() {
            app.outbox.wake();
        }
        Ok(())
    }
}

fn wants(endpoint: &WebhookEndpoint, kind: &str) -> bool {
    let wanted: Vec<String> = serde_json::from_str(&endpoint.events).unwrap_or_default();
    endpoint.enabled && (wanted.is_empty() || wanted.iter().any(|wanted| wanted == kind))
}

/// Sends one message to one endpoint.
pub(super) struct Delivery;

#[async_trait]
impl Work for Delivery {
    fn topic(&self) -> &'static str {
        DELIVERY
    }

    /// After 5 s, 10 s, 20 s and so on up to 12 h: for about two days.
    fn retries(&self) -> Retries {
        Retries {
            first: TimeDelta::seconds(5),
            longest: TimeDelta::hours(12),
            tries: 17,
        }
    }

    fn at_once(&self) -> u32 {
        16
    }

    async fn run(&self, app: &Arc<App>, effect: &Effect) -> Result<(), Failed> {
        let sql = &app.store.sql;
        let tenant = effect.tenant.as_str();
        let posted: Posted = read(&sql.effect_payload(effect).await?)?;
        let found = sql.find_webhook_endpoint(tenant, &posted.endpoint).await?;
        let Some(endpoint) = found else {
            // its owner has taken it away
            return Ok(());
        };
        if !endpoint.enabled {
            return Err(Failed::never("the endpoint is switched off"));
        }
        let url = Url::parse(&endpoint.url);
        let url = url.map_err(|_| Failed::never("the endpoint's address is none"))?;
        let now = app.clock.utc();
        let secrets = Secrets::read(&endpoint.secrets).in_force(now);
        if secrets.is_empty() {
            return Err(Failed::never("the endpoint has no secret to sign with"));
        }
        let message = Message {
            id: &posted.message,
            unix_s: now.timestamp(),
            body: &posted.body,
        };
        let sent = webhook::deliver(&app.outbound, &url, message, &secrets, RECEIVER_LIMIT).await;
        let Err(error) = sent else {
            return Ok(());
        };
        if error.is_farewell() {
            switch_off(app, tenant, endpoint).await?;
            return Err(Failed::never(error.to_string()));
        }
        Err(failure(&error, app.clock.utc()))
    }
}

fn failure(error: &DeliveryError, now: DateTime<Utc>) -> Failed {
    let wait = error.retry_after();
    let wait = wait.and_then(|wait| TimeDelta::from_std(wait).ok());
    Failed {
        problem: error.to_string(),
        next: wait.map_or(Next::Again, |wait| Next::NotBefore(now + wait)),
    }
}

/// A receiver that answers 410 wants nothing more.
async fn switch_off(
    app: &App,
    tenant: &str,
    mut endpoint: WebhookEndpoint,
) -> Result<(), StoreError> {
    endpoint.enabled = false;
    endpoint.problem = Some("it answered 410 Gone".to_owned());
    endpoint.updated_at = app.clock.utc();
    // whoever changes it meanwhile knows better
    let sql = &app.store.sql;
    sql.update_webhook_endpoint(tenant, &endpoint, None)
        .await
        .map(drop)
}
