//! Any server that speaks the chat-completions protocol: Ollama, vLLM, llama.cpp, Groq, OpenAI.
//! Constructed by the catalog from a base URL; asked by the session.
//! Never retries: the session knows whether an answer is still wanted.

mod chunk;
mod failure;
mod request;
mod stream;

use std::time::Duration;

use async_trait::async_trait;
use engine::ask::LlmRequest;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument as _;
use url::Url;

use self::request::TokenLimit;
use crate::{
    Kind, ProviderError,
    ports::{EVENT_BUFFER, Llm, LlmStream},
};

/// Catalog name.
pub const NAME: &str = "openai";

/// How long the server may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the question to the first event of the answer.
    pub first_event: Duration,
    /// Between two events, and between the last token and the end of the stream's bytes.
    pub between_events: Duration,
}

impl Default for Limits {
    /// 15 s each: nobody waits longer in a conversation.
    fn default() -> Self {
        Self {
            first_event: Duration::from_secs(15),
            between_events: Duration::from_secs(15),
        }
    }
}

/// Where the server is and who asks.
#[derive(Debug, Clone)]
pub struct OpenAiConfig {
    /// Address up to and including the version, for example `http://127.0.0.1:11434/v1`.
    pub base_url: Url,
    /// Model for requests that name none.
    pub model: String,
    /// Bearer token.
    pub api_key: Option<SecretString>,
    /// How long the server may be silent.
    pub limits: Limits,
}

/// A language model behind HTTP.
pub struct OpenAiLlm {
    client: reqwest::Client,
    address: Url,
    model: String,
    authorization: Option<HeaderValue>,
    token_limit: TokenLimit,
    limits: Limits,
}

impl OpenAiLlm {
    /// A model behind `config.base_url`, asked through `client`.
    ///
    /// Errors: [`Kind::Rejected`] for an address that is not HTTP, [`Kind::Unauthorized`] for a key
    /// that cannot stand in a header.
    pub fn new(client: reqwest::Client, config: OpenAiConfig) -> Result<Self, ProviderError> {
        if !matches!(config.base_url.scheme(), "http" | "https") {
            let message = format!(
                "the base url must begin with http, not {}",
                config.base_url.scheme()
            );
            return Err(ProviderError::new(NAME, Kind::Rejected, message));
        }
        let mut address = config.base_url;
        let path = format!("{}/chat/completions", address.path().trim_end_matches('/'));
        address.set_path(&path);
        let authorization = config
            .api_key
            .filter(|key| !key.expose_secret().is_empty())
            .map(|key| bearer(&key))
            .transpose()?;
        let token_limit = match address.host_str() {
            Some("api.openai.com") => TokenLimit::MaxCompletionTokens,
            _ => TokenLimit::MaxTokens,
        };
        Ok(Self {
            client,
            address,
            model: config.model,
            authorization,
            token_limit,
            limits: config.limits,
        })
    }

    async fn send(&self, request: &LlmRequest) -> Result<reqwest::Response, ProviderError> {
        let body = request::body(request, &self.model, self.token_limit).to_string();
        let mut builder = self
            .client
            .post(self.address.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream")
            .body(body);
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        let response = builder
            .send()
            .await
            .map_err(|error| failure::of_transport(&error))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(failure::of_answer(response).await)
        }
    }
}

#[async_trait]
impl Llm for OpenAiLlm {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let deadline = Instant::now() + self.limits.first_event;
        let response = tokio::time::timeout_at(deadline, self.send(&request))
            .await
            .map_err(|_| failure::silent("the server did not answer", self.limits.first_event))??;
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let reading = stream::Reading {
            deadline,
            limits: self.limits,
            events: outbox,
        };
        tokio::spawn(reading.run(response.bytes_stream()).in_current_span());
        Ok(LlmStream { events })
    }
}

fn bearer(key: &SecretString) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret().trim()))
        .map_err(|_| {
            ProviderError::new(
                NAME,
                Kind::Unauthorized,
                "the api key has characters that no header may have",
            )
        })?;
    value.set_sensitive(true);
    Ok(value)
}
