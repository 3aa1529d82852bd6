//! The Messages API of Anthropic (<https://platform.claude.com/docs/en/api/messages>).
//! Constructed by the catalog; asked by the session.
//! Never retries: the session knows whether an answer is still wanted.

mod answer;
mod family;
mod request;

use async_trait::async_trait;
use engine::ask::LlmRequest;
use reqwest::{RequestBuilder, header::HeaderValue};
use url::Url;

use super::{
    post,
    reading::Framing,
    warm::{Warmth, connect},
};
use crate::{
    ProviderError, http,
    ports::{Llm, LlmStream},
    vendor::Vendor,
};

/// The fastest model of <https://platform.claude.com/docs/en/about-claude/models/overview> (November 2026).
const DEFAULT_MODEL: &str = "claude-haiku-5-5";
/// Version of the protocol (<https://platform.claude.com/docs/en/api/versioning>).
const VERSION: &str = "2023-06-01";

/// A language model of Anthropic, or of a server that speaks its protocol.
pub struct AnthropicLlm {
    client: reqwest::Client,
    vendor: Vendor,
    address: Url,
    models: Url,
    key: HeaderValue,
    warmth: Warmth,
}

impl AnthropicLlm {
    /// The model behind `vendor.base_url` (`https://api.anthropic.com/v1`), asked through `client`.
    ///
    /// Errors: [`crate::Kind::Rejected`] for an address that is not HTTP, [`crate::Kind::Unauthorized`] without
    /// a key, or for one that cannot stand in a header.
    pub fn new(client: reqwest::Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let mut models = vendor.address("/models")?;
        models.set_query(Some("limit=1"));
        Ok(Self {
            client,
            address: vendor.address("/messages")?,
            models,
            key: vendor.secret_header(vendor.required_key()?)?,
            vendor,
            warmth: Warmth::default(),
        })
    }

    fn authorized(&self, question: RequestBuilder) -> RequestBuilder {
        question
            .header("x-api-key", self.key.clone())
            .header("anthropic-version", VERSION)
    }
}

#[async_trait]
impl Llm for AnthropicLlm {
    fn name(&self) -> &str {
        &self.vendor.name
    }

    fn model(&self) -> &str {
        self.vendor.model.as_deref().unwrap_or(DEFAULT_MODEL)
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let model = self.vendor.model.as_deref().unwrap_or(DEFAULT_MODEL);
        let body = request::body(&request, model);
        let question = self.authorized(self.client.post(self.address.clone()));
        let answer = answer::Message::default();
        self.warmth.used();
        post(&self.vendor, question, &body, Framing::Sse, answer).await
    }

    /// Opens a connection, unless one waits.
    fn warm(&self, _request: &LlmRequest) {
        if self.warmth.is_cold() {
            let question = self.authorized(self.client.get(self.models.clone()));
            connect(&self.vendor, question);
        }
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let question = self.authorized(self.client.get(self.models.clone()));
        http::check(&self.vendor, question, None).await
    }
}
