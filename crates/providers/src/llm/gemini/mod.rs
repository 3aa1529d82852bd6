//! The Gemini API (<https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent>).
//! Constructed by the catalog; asked by the session.
//! Never puts the key into an address, where others log it.

mod answer;
mod request;
pub(crate) mod schema;
mod signatures;

use std::sync::Arc;

use async_trait::async_trait;
use engine::ask::LlmRequest;
use reqwest::{RequestBuilder, header::HeaderValue};
use url::Url;

use self::signatures::Signatures;
use super::{
    post,
    reading::Framing,
    warm::{Warmth, connect},
};
use crate::{
    Kind, ProviderError, http,
    ports::{Llm, LlmStream},
    vendor::Vendor,
};

/// The fastest stable model of <https://ai.google.dev/gemini-api/docs/models> (November 2026).
const DEFAULT_MODEL: &str = "gemini-3.5-flash-lite";
/// The header that carries the key (<https://ai.google.dev/gemini-api/docs/api-key>).
const KEY: &str = "x-goog-api-key";

/// A language model of Google.
pub struct GeminiLlm {
    client: reqwest::Client,
    vendor: Vendor,
    models: Url,
    key: HeaderValue,
    signatures: Arc<Signatures>,
    warmth: Warmth,
}

impl GeminiLlm {
    /// The model behind `vendor.base_url` (`https://generativelanguage.googleapis.com/v1beta`), asked
    /// through `client`.
    ///
    /// Errors: [`Kind::Rejected`] for an address that is not HTTP, [`Kind::Unauthorized`] without a key, or
    /// for one that cannot stand in a header.
    pub fn new(client: reqwest::Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let mut models = vendor.address("/models")?;
        models.set_query(Some("pageSize=1"));
        Ok(Self {
            client,
            models,
            key: vendor.secret_header(vendor.required_key()?)?,
            vendor,
            signatures: Arc::default(),
            warmth: Warmth::default(),
        })
    }

    /// A question that costs nothing.
    fn listing(&self) -> RequestBuilder {
        let question = self.client.get(self.models.clone());
        question.header(KEY, self.key.clone())
    }

    /// Where a model is asked. Its name is part of the path and comes from the client.
    fn address(&self, model: &str) -> Result<Url, ProviderError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if model.is_empty() || !model.chars().all(plain) {
            let message = "the model's name has characters that no model's name has";
            return Err(self.vendor.error(Kind::Rejected, message));
        }
        let path = format!("/models/{model}:streamGenerateContent");
        let mut address = self.vendor.address(&path)?;
        address.set_query(Some("alt=sse"));
        Ok(address)
    }
}

#[async_trait]
impl Llm for GeminiLlm {
    fn name(&self) -> &str {
        &self.vendor.name
    }

    fn model(&self) -> &str {
        self.vendor.model.as_deref().unwrap_or(DEFAULT_MODEL)
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let model = request.model.as_deref().or(self.vendor.model.as_deref());
        let model = model.unwrap_or(DEFAULT_MODEL);
        let model = model.strip_prefix("models/").unwrap_or(model);
        let body = request::body(&request, model, &self.signatures);
        let question = self
            .client
            .post(self.address(model)?)
            .header(KEY, self.key.clone());
        self.warmth.used();
        let answer = answer::Content::new(Arc::clone(&self.signatures));
        post(&self.vendor, question, &body, Framing::Sse, answer).await
    }

    /// Opens a connection, unless one waits.
    fn warm(&self, _request: &LlmRequest) {
        if self.warmth.is_cold() {
            connect(&self.vendor, self.listing());
        }
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let question = self.listing();
        http::check(&self.vendor, question, None).await
    }
}
