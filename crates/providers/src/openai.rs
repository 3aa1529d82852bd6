//! What all servers of OpenAI's audio protocol have alike: how they are asked, and how they are checked.
//! Used by the vendors that hear and speak over it.
//! Never asks for anything that costs.

use std::sync::Arc;

use reqwest::{
    Client, RequestBuilder, StatusCode,
    header::{AUTHORIZATION, HeaderValue},
};
use tracing::Instrument as _;
use url::Url;

use crate::{ProviderError, Vendor, http};

/// A server, behind a key if it has one.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
    pub(crate) vendor: Arc<Vendor>,
    address: Url,
    models: Url,
    authorization: Option<HeaderValue>,
}

impl Server {
    /// The server behind `vendor.base_url`, to be asked at `path`.
    ///
    /// Errors: [`crate::Kind::Rejected`] for an address that is not HTTP, [`crate::Kind::Unauthorized`] for a key
    /// that cannot stand in a header.
    pub(crate) fn new(client: Client, vendor: Vendor, path: &str) -> Result<Self, ProviderError> {
        Ok(Self {
            client,
            address: vendor.address(path)?,
            models: vendor.address("/models")?,
            authorization: vendor.bearer()?,
            vendor: Arc::new(vendor),
        })
    }

    /// Whether this is OpenAI itself.
    pub(crate) fn is_hosted(&self) -> bool {
        self.address.host_str() == Some("api.openai.com")
    }

    /// A question without its body.
    pub(crate) fn question(&self) -> RequestBuilder {
        self.authorized(self.client.post(self.address.clone()))
    }

    /// Asks for the list of models (<https://platform.openai.com/docs/api-reference/models/list>).
    ///
    /// Errors: as [`http::check`].
    pub(crate) async fn check(&self) -> Result<(), ProviderError> {
        let question = self.authorized(self.client.get(self.models.clone()));
        // a server of nothing but speech need not list models; that it answers is what was asked
        http::check(&self.vendor, question, Some(StatusCode::NOT_FOUND)).await
    }

    /// Opens a connection in a task of its own; the first question finds it in the pool.
    pub(crate) fn prepare(&self) {
        let server = self.clone();
        let asking = async move {
            if let Err(error) = server.check().await {
                tracing::debug!(%error, "no connection prepared");
            }
        };
        tokio::spawn(asking.in_current_span());
    }

    fn authorized(&self, question: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(authorization) => question.header(AUTHORIZATION, authorization.clone()),
            None => question,
        }
    }
}
