//! Deepgram's streaming transcription (<https://developers.deepgram.com/reference/speech-to-text/listen-streaming>).
//! Constructed by the catalog; opened by the session once per utterance, over one connection per session.
//! Never lets Deepgram decide when an utterance ends: `Finalize` does
//! (<https://developers.deepgram.com/docs/finalize>).

mod words;

use async_trait::async_trait;
use engine::ask::SttOptions;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;

use self::words::Words;
use super::live::Live;
use crate::{
    ProviderError, Vendor, http,
    ports::{Stt, SttStream},
    ws::Connector,
};

/// Model for vendors that name none (<https://developers.deepgram.com/docs/models-languages-overview>).
const MODEL: &str = "nova-3";

/// Ears at Deepgram.
pub struct DeepgramStt {
    client: reqwest::Client,
    vendor: Vendor,
    /// With everything in it that all sessions share.
    address: Url,
    check: Url,
    key: HeaderValue,
    live: Live<Words>,
}

impl DeepgramStt {
    /// The service behind `vendor.base_url`, `https://api.deepgram.com/v1` for the hosted one.
    ///
    /// Errors: [`crate::Kind::Unauthorized`] without a usable key, [`crate::Kind::Rejected`] for an address that is
    /// not HTTP.
    pub fn new(client: reqwest::Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let key = vendor.secret_header(&format!("Token {}", vendor.required_key()?))?;
        let connector = Connector::new(&vendor, vec![(AUTHORIZATION, key.clone())])?;
        let mut address = vendor.address("/listen")?;
        address
            .query_pairs_mut()
            .append_pair("model", vendor.model.as_deref().unwrap_or(MODEL))
            .append_pair("encoding", "linear16")
            .append_pair("sample_rate", "16000")
            .append_pair("channels", "1")
            .append_pair("interim_results", "true")
            .append_pair("smart_format", "true");
        Ok(Self {
            client,
            live: Live::new(connector, vendor.limits),
            check: vendor.address("/auth/token")?,
            vendor,
            address,
            key,
        })
    }

    /// The prompt is not passed on: `keyterm` takes names, not sentences.
    fn address(&self, options: &SttOptions) -> Url {
        let mut address = self.address.clone();
        let model = self.vendor.model.as_deref().unwrap_or(MODEL);
        // without a language the service hears English; its newest models can tell by themselves
        // (https://developers.deepgram.com/docs/multilingual-code-switching)
        let unknown = model.starts_with("nova-3").then_some("multi");
        if let Some(language) = options.language.as_deref().or(unknown) {
            address.query_pairs_mut().append_pair("language", language);
        }
        address
    }
}

#[async_trait]
impl Stt for DeepgramStt {
    fn name(&self) -> &str {
        &self.vendor.name
    }

    fn model(&self) -> &str {
        self.vendor.model.as_deref().unwrap_or(MODEL)
    }

    async fn open(&self, options: SttOptions) -> Result<SttStream, ProviderError> {
        let address = self.address(&options);
        Ok(self.live.open(options, address))
    }

    fn prepare(&self, options: &SttOptions) {
        self.live.prepare(&options.session, self.address(options));
    }

    /// Asks whom the key belongs to (<https://developers.deepgram.com/docs/authenticating>).
    async fn check(&self) -> Result<(), ProviderError> {
        let question = self
            .client
            .get(self.check.clone())
            .header(AUTHORIZATION, self.key.clone());
        http::check(&self.vendor, question, None).await
    }
}
