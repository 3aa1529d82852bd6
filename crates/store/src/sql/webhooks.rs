//! Endpoints of webhooks: where a tenant wants to be told what happened, and what such messages are signed with.
//! Written by the gateway's REST routes; read when something is to be told.
//! Never shows a secret in `Debug`, and never loses a change that somebody else has made meanwhile.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::audit::Act;
use super::calls::spot;
use super::{Scope, Sql};
use crate::{NUL, StoreError};

/// An endpoint.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct WebhookEndpoint {
    /// Names it among the tenant's, `we_…`.
    pub id: String,
    /// Where messages are sent.
    pub url: String,
    /// What it is for, as its owner says.
    pub description: String,
    /// The kinds of messages that it wants, as a JSON list; all of them when it is empty.
    pub events: String,
    /// Whether it is told anything.
    pub enabled: bool,
    /// Why it is not, if that was not its owner's wish.
    pub problem: Option<String>,
    /// What messages are signed with, as JSON. Stored sealed.
    pub secrets: Vec<u8>,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts its changes.
    pub version: i64,
}

impl std::fmt::Debug for WebhookEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookEndpoint")
            .field("id", &self.id)
            .field("events", &self.events)
            .field("enabled", &self.enabled)
            .field("problem", &self.problem)
            .finish_non_exhaustive()
    }
}

const TABLE: &str = "webhook_endpoints";

impl Sql {
    /// Stores a new endpoint, unless the tenant has `limit` of them; false then.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`]; [`StoreError::Nul`] for a text with
    /// that character.
    pub async fn create_webhook_endpoint(
        &self,
        tenant: &str,
        new: &WebhookEndpoint,
        limit: u32,
        act: &Act,
    ) -> Result<bool, StoreError> {
        let secrets = self.sealed_endpoint(tenant, new).await?;
        // one at a time for a tenant, so that two at once do not both take the last place
        let scope = Scope::Alone(tenant, TABLE);
        work!(self, Write, scope, "store a webhook endpoint", |on| {
            let done = sqlx::query(
                "INSERT INTO webhook_endpoints \
                 (tenant, id, url, description, events, enabled, problem, secrets, created_at, updated_at, version) \
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 \
                 WHERE (SELECT COUNT(*) FROM webhook_endpoints WHERE tenant = $1) < $12 \
                 ON CONFLICT DO NOTHING",
            )
            .bind(tenant)
            .bind(&new.id)
            .bind(&new.url)
            .bind(&new.description)
            .bind(&new.events)
            .bind(new.enabled)
            .bind(&new.problem)
            .bind(&secrets)
            .bind(new.created_at)
            .bind(new.updated_at)
            .bind(new.version)
            .bind(i64::from(limit))
            .execute(&mut *on)
            .await?;
            let is_done = done.rows_affected() == 1;
            if is_done {
                record!(on, tenant, act);
            }
            Ok(is_done)
        })
    }

    /// Stores an endpoint as it is now, if nobody has changed it since it was read; its version goes up by one. `act` is
    /// written down where somebody asked for the change.
    ///
    /// # Errors
    /// As [`Self::create_webhook_endpoint`].
    pub async fn update_webhook_endpoint(
        &self,
        tenant: &str,
        changed: &WebhookEndpoint,
        act: Option<&Act>,
    ) -> Result<bool, StoreError> {
        let secrets = self.sealed_endpoint(tenant, changed).await?;
        let action = "change a webhook endpoint";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            let done = sqlx::query(
                "UPDATE webhook_endpoints SET url = $3, description = $4, events = $5, enabled = $6, problem = $7, \
                 secrets = $8, updated_at = $9, version = $10 + 1 \
                 WHERE tenant = $1 AND id = $2 AND version = $10",
            )
            .bind(tenant)
            .bind(&changed.id)
            .bind(&changed.url)
            .bind(&changed.description)
            .bind(&changed.events)
            .bind(changed.enabled)
            .bind(&changed.problem)
            .bind(&secrets)
            .bind(changed.updated_at)
            .bind(changed.version)
            .execute(&mut *on)
            .await?;
            let is_done = done.rows_affected() == 1;
            if let Some(act) = act.filter(|_| is_done) {
                record!(on, tenant, act);
            }
            Ok(is_done)
        })
    }

    /// All endpoints of a tenant, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn webhook_endpoints(
        &self,
        tenant: &str,
    ) -> Result<Vec<WebhookEndpoint>, StoreError> {
        let action = "list webhook endpoints";
        let mut found: Vec<WebhookEndpoint> =
            work!(self, Read, Scope::Tenant(tenant), action, |on| {
                sqlx::query_as("SELECT * FROM webhook_endpoints WHERE tenant = $1 ORDER BY id")
                    .bind(tenant)
                    .fetch_all(on)
                    .await
            })?;
        for endpoint in &mut found {
            self.open_endpoint(tenant, endpoint).await?;
        }
        Ok(found)
    }

    /// One endpoint of a tenant.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn find_webhook_endpoint(
        &self,
        tenant: &str,
        id: &str,
    ) -> Result<Option<WebhookEndpoint>, StoreError> {
        if id.contains(NUL) {
            return Ok(None);
        }
        let action = "find a webhook endpoint";
        let found: Option<WebhookEndpoint> =
            work!(self, Read, Scope::Tenant(tenant), action, |on| {
                sqlx::query_as("SELECT * FROM webhook_endpoints WHERE tenant = $1 AND id = $2")
                    .bind(tenant)
                    .bind(id)
                    .fetch_optional(on)
                    .await
            })?;
        let Some(mut endpoint) = found else {
            return Ok(None);
        };
        self.open_endpoint(tenant, &mut endpoint).await?;
        Ok(Some(endpoint))
    }

    /// Forgets an endpoint; false when there is none.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn delete_webhook_endpoint(
        &self,
        tenant: &str,
        id: &str,
        act: &Act,
    ) -> Result<bool, StoreError> {
        if id.contains(NUL) {
            return Ok(false);
        }
        let action = "forget a webhook endpoint";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            let done = sqlx::query("DELETE FROM webhook_endpoints WHERE tenant = $1 AND id = $2")
                .bind(tenant)
                .bind(id)
                .execute(&mut *on)
                .await?;
            let is_done = done.rows_affected() == 1;
            if is_done {
                record!(on, tenant, act);
            }
            Ok(is_done)
        })
    }

    async fn sealed_endpoint(
        &self,
        tenant: &str,
        endpoint: &WebhookEndpoint,
    ) -> Result<Vec<u8>, StoreError> {
        let texts = [&endpoint.url, &endpoint.description, &endpoint.events];
        if texts.iter().any(|text| text.contains(NUL)) {
            return Err(StoreError::Nul);
        }
        // JSON, so it is text
        let secrets = String::from_utf8_lossy(&endpoint.secrets);
        self.seal(spot(tenant, TABLE, &[&endpoint.id]), &secrets)
            .await
    }

    async fn open_endpoint(
        &self,
        tenant: &str,
        endpoint: &mut WebhookEndpoint,
    ) -> Result<(), StoreError> {
        let stored = std::mem::take(&mut endpoint.secrets);
        let row = [endpoint.id.as_str()];
        endpoint.secrets = self.unseal(spot(tenant, TABLE, &row), stored).await?;
        Ok(())
    }
}
