//! The own protocol of Ollama (<https://docs.ollama.com/api/chat>).
//! Constructed by the catalog; asked by the session.
//! Never loads a model that was not asked for, and keeps the one that was in memory while people talk.

mod answer;
mod request;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use engine::ask::LlmRequest;
use reqwest::{
    RequestBuilder,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use tracing::Instrument as _;
use url::Url;

use super::{post, reading::Framing};
use crate::{
    ProviderError, http,
    ports::{Llm, LlmStream},
    vendor::Vendor,
};

/// The model of the examples at <https://docs.ollama.com/api/chat> (November 2026).
const DEFAULT_MODEL: &str = "gemma4";
/// A model that is not in memory is waited for so long, when nobody has asked anything yet.
const LOADING: Duration = Duration::from_mins(2);

/// A language model behind an Ollama server.
pub struct OllamaLlm {
    client: reqwest::Client,
    vendor: Vendor,
    chat: Url,
    tags: Url,
    /// Ollama's hosted models ask for a key, a server of one's own does not.
    authorization: Option<HeaderValue>,
    /// Whether a model is being loaded ahead.
    loading: Arc<AtomicBool>,
}

impl OllamaLlm {
    /// The model behind `vendor.base_url` (`http://127.0.0.1:11434`; an address that ends in `/v1` or `/api`
    /// means the same server), asked through `client`.
    ///
    /// Errors: [`crate::Kind::Rejected`] for an address that is not HTTP, [`crate::Kind::Unauthorized`] for a
    /// key that cannot stand in a header.
    pub fn new(client: reqwest::Client, mut vendor: Vendor) -> Result<Self, ProviderError> {
        let path = vendor.base_url.path().trim_end_matches('/');
        let path = path
            .strip_suffix("/v1")
            .or_else(|| path.strip_suffix("/api"))
            .unwrap_or(path)
            .to_owned();
        vendor.base_url.set_path(&path);
        Ok(Self {
            client,
            authorization: vendor.bearer()?,
            chat: vendor.address("/api/chat")?,
            tags: vendor.address("/api/tags")?,
            vendor,
            loading: Arc::default(),
        })
    }

    fn model<'a>(&'a self, request: &'a LlmRequest) -> &'a str {
        let model = request.model.as_deref().or(self.vendor.model.as_deref());
        model.unwrap_or(DEFAULT_MODEL)
    }

    fn authorized(&self, question: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(authorization) => question.header(AUTHORIZATION, authorization.clone()),
            None => question,
        }
    }
}

#[async_trait]
impl Llm for OllamaLlm {
    fn name(&self) -> &str {
        &self.vendor.name
    }

    fn model(&self) -> &str {
        self.vendor.model.as_deref().unwrap_or(DEFAULT_MODEL)
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let body = request::body(&request, self.model(&request));
        let question = self.authorized(self.client.post(self.chat.clone()));
        let answer = answer::Message::default();
        post(&self.vendor, question, &body, Framing::Lines, answer).await
    }

    /// Has the model loaded into memory, which may take longer than anybody waits for an answer.
    fn warm(&self, request: &LlmRequest) {
        if self.loading.swap(true, Ordering::Relaxed) {
            return;
        }
        let body = request::preload(self.model(request)).to_string();
        let question = self
            .authorized(self.client.post(self.chat.clone()))
            .header(CONTENT_TYPE, "application/json")
            .timeout(LOADING)
            .body(body);
        let (name, loading) = (self.vendor.name.clone(), Arc::clone(&self.loading));
        let load = async move {
            let loaded = async {
                let mut answer = question.send().await?.error_for_status()?;
                while answer.chunk().await?.is_some() {}
                Ok::<_, reqwest::Error>(())
            };
            if let Err(error) = loaded.await {
                let error = crate::failure::of_transport(&name, &error);
                tracing::debug!(%error, "a model could not be loaded ahead");
            }
            loading.store(false, Ordering::Relaxed);
        };
        tokio::spawn(load.in_current_span());
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let question = self.authorized(self.client.get(self.tags.clone()));
        http::check(&self.vendor, question, None).await
    }
}
