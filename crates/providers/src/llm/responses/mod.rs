//! The Responses API of OpenAI (<https://developers.openai.com/api/reference/resources/responses/methods/create>).
//! Constructed by the catalog; asked by the session.
//! Never leaves a conversation with the vendor: each question carries all of it, and nothing is stored.

mod answer;
mod request;

use async_trait::async_trait;
use engine::ask::LlmRequest;

use super::{gpt::Host, post, reading::Framing, warm::Warmth};
use crate::{
    ProviderError,
    openai::Server,
    ports::{Llm, LlmStream},
    vendor::Vendor,
};

/// The fastest model of <https://developers.openai.com/api/docs/guides/latest-model> (November 2026).
const DEFAULT_MODEL: &str = "gpt-6-luna";

/// A language model behind the Responses API.
pub struct ResponsesLlm {
    server: Server,
    host: Host,
    warmth: Warmth,
}

impl ResponsesLlm {
    /// The model behind `vendor.base_url` (`https://api.openai.com/v1`, or another server of the protocol),
    /// asked through `client`.
    ///
    /// Errors: [`crate::Kind::Rejected`] for an address that is not HTTP, [`crate::Kind::Unauthorized`] for
    /// OpenAI's own address without a key, or for a key that cannot stand in a header.
    pub fn new(client: reqwest::Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let server = Server::new(client, vendor, "/responses")?;
        let host = Host::of(&server);
        if host == Host::OpenAi {
            server.vendor.required_key()?;
        }
        Ok(Self {
            server,
            host,
            warmth: Warmth::default(),
        })
    }
}

#[async_trait]
impl Llm for ResponsesLlm {
    fn name(&self) -> &str {
        &self.server.vendor.name
    }

    fn model(&self) -> &str {
        self.server.vendor.model.as_deref().unwrap_or(DEFAULT_MODEL)
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let vendor = &self.server.vendor;
        let model = vendor.model.as_deref().unwrap_or(DEFAULT_MODEL);
        let body = request::body(&request, model, self.host);
        let answer = answer::Response::default();
        self.warmth.used();
        post(vendor, self.server.question(), &body, Framing::Sse, answer).await
    }

    /// Opens a connection, unless one waits.
    fn warm(&self, _request: &LlmRequest) {
        if self.warmth.is_cold() {
            self.server.prepare();
        }
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.server.check().await
    }
}
