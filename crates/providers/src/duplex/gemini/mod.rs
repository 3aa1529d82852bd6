//! Gemini Live as an upstream (<https://ai.google.dev/api/live>).
//! Constructed by the catalog; opened by the session.
//! Never lets the server decide about turns: its detection is off, the session says when speech begins and ends.
//!
//! Where the two protocols differ, and what is done about it:
//! - An answer begins when the caller's activity ends. The end is therefore held back until an answer is wanted;
//!   utterances in between are one activity, and so have one transcript.
//! - Nothing stops an answer but the caller. A cancelled one is dropped as it comes, until the next speech or text
//!   interrupts it.
//! - Nothing that was said can be cut or taken back. How much of an answer was heard is told in words.
//! - Settings cannot change while a connection is open, so changed settings mean another connection. For the same
//!   reason a single answer has the functions and the limits of its session, unless it reads something else than the
//!   conversation: then it has a connection of its own.
//! - A connection lasts about ten minutes. The vendor can resume its own session; the conversation is told anew
//!   instead, as to any other member of the row: what the vendor remembers is more than what the caller heard.

mod answer;
mod conversation;
mod read;
mod setup;
mod turns;
mod voice;

use std::sync::Arc;

use async_trait::async_trait;
use engine::ask::{DuplexItem, DuplexOptions};
use reqwest::{
    Client,
    header::{HeaderName, HeaderValue},
};
use url::Url;

use self::{conversation::Conversation, setup::Model};
use super::live::Live;
use crate::{
    Kind, ProviderError, http,
    ports::{Duplex, DuplexStream},
    vendor::Vendor,
    ws::Connector,
};

/// The default of <https://ai.google.dev/gemini-api/docs/models/gemini-3.8-live> (November 2026).
const DEFAULT_MODEL: &str = "gemini-3.8-live";
/// The header that carries the key (<https://ai.google.dev/gemini-api/docs/api-key>).
const KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// The method's name behind the version, as the address has it.
const METHOD: &str = "GenerativeService.BidiGenerateContent";

/// A speech-to-speech model of Google.
pub struct GeminiLive {
    client: Client,
    vendor: Vendor,
    key: HeaderValue,
    models: Url,
    /// Answers that read something other than the conversation have a connection of their own.
    upstream: Arc<Inner>,
}

/// What it takes to begin a conversation.
struct Inner {
    live: Live,
    model: Model,
    name: Arc<str>,
}

impl GeminiLive {
    /// The model behind `vendor.base_url` (`https://generativelanguage.googleapis.com/v1beta`); `client` asks whether
    /// it is there.
    ///
    /// Errors: [`Kind::Rejected`] for an address that is not HTTP or a name that is no model's,
    /// [`Kind::Unauthorized`] without a key or for one that cannot stand in a header, [`Kind::Unavailable`] when the
    /// platform's certificates cannot be read.
    pub fn new(client: Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let key = vendor.secret_header(vendor.required_key()?)?;
        let mut models = vendor.address("/models")?;
        models.set_query(Some("pageSize=1"));
        let connector = Connector::new(&vendor, vec![(KEY, key.clone())])?;
        let model = vendor.model.as_deref().unwrap_or(DEFAULT_MODEL);
        let upstream = Inner {
            live: Live::new(connector, vendor.limits, address(&vendor)?),
            model: Model::new(model, vendor.voice.clone()),
            name: Arc::clone(&vendor.name),
        };
        Ok(Self {
            client,
            key,
            models,
            vendor,
            upstream: Arc::new(upstream),
        })
    }
}

/// `…/v1beta` becomes `…/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent`.
fn address(vendor: &Vendor) -> Result<Url, ProviderError> {
    let mut address = vendor.address("")?;
    let path = address.path().trim_end_matches('/');
    let (before, version) = path.rsplit_once('/').unwrap_or_default();
    if version.is_empty() {
        let message = "the base url must end with the version, such as /v1beta";
        return Err(vendor.error(Kind::Rejected, message));
    }
    let path = format!("{before}/ws/google.ai.generativelanguage.{version}.{METHOD}");
    address.set_path(&path);
    Ok(address)
}

impl Inner {
    fn begin(self: &Arc<Self>, options: DuplexOptions, history: Vec<DuplexItem>) -> DuplexStream {
        self.live
            .open(|events| Conversation::new(Arc::clone(self), options, history, events))
    }
}

#[async_trait]
impl Duplex for GeminiLive {
    fn name(&self) -> &str {
        &self.vendor.name
    }

    fn model(&self) -> &str {
        self.vendor.model.as_deref().unwrap_or(DEFAULT_MODEL)
    }

    async fn open(
        &self,
        options: DuplexOptions,
        history: Vec<DuplexItem>,
    ) -> Result<DuplexStream, ProviderError> {
        Ok(self.upstream.begin(options, history))
    }

    async fn check(&self) -> Result<(), ProviderError> {
        let question = self.client.get(self.models.clone());
        let question = question.header(KEY, self.key.clone());
        http::check(&self.vendor, question, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_becomes_part_of_the_method() {
        for (base, expected) in [
            (
                "https://generativelanguage.googleapis.com/v1beta",
                "https://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
            ),
            (
                "http://127.0.0.1:1/proxy/v1alpha/",
                "http://127.0.0.1:1/proxy/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContent",
            ),
        ] {
            let vendor = Vendor::new("acme", base.parse().unwrap());
            assert_eq!(address(&vendor).unwrap().as_str(), expected);
        }
        let vendor = Vendor::new("acme", "http://127.0.0.1:1".parse().unwrap());
        assert_eq!(address(&vendor).unwrap_err().kind, Kind::Rejected);
    }
}
