//! Any server that speaks the chat-completions protocol: Ollama, vLLM, llama.cpp, Groq, `OpenRouter`, OpenAI.
//! Constructed by the catalog from a base URL; asked by the session.
//! Never retries: the session knows whether an answer is still wanted.

mod chunk;
mod request;

use async_trait::async_trait;
use engine::ask::LlmRequest;

#[cfg(test)]
pub(super) use self::chunk::Assembly;
use super::{gpt::Host, post, reading::Framing, warm::Warmth};
use crate::{
    ProviderError,
    openai::Server,
    ports::{Llm, LlmStream},
    vendor::Vendor,
};

/// What a server of one model is asked for where the configuration names none.
const UNNAMED: &str = "default";

/// A language model behind HTTP.
pub struct OpenAiLlm {
    server: Server,
    host: Host,
    warmth: Warmth,
}

impl OpenAiLlm {
    /// The model behind `vendor.base_url`, asked through `client`.
    ///
    /// Errors: [`crate::Kind::Rejected`] for an address that is not HTTP, [`crate::Kind::Unauthorized`] for a key
    /// that cannot stand in a header.
    pub fn new(client: reqwest::Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let server = Server::new(client, vendor, "/chat/completions")?;
        Ok(Self {
            host: Host::of(&server),
            server,
            warmth: Warmth::default(),
        })
    }
}

#[async_trait]
impl Llm for OpenAiLlm {
    fn name(&self) -> &str {
        &self.server.vendor.name
    }

    fn model(&self) -> &str {
        self.server.vendor.model.as_deref().unwrap_or(UNNAMED)
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let vendor = &self.server.vendor;
        let model = vendor.model.as_deref().unwrap_or(UNNAMED);
        let body = request::body(&request, model, self.host);
        let answer = chunk::Assembly::default();
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
