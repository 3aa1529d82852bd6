//! `AssemblyAI`'s Universal-Streaming, version 3
//! (<https://www.assemblyai.com/docs/api-reference/streaming-api/universal-streaming>).
//! Constructed by the catalog; opened by the session once per utterance, over one connection per session.
//! Never lets `AssemblyAI` decide when an utterance ends: `ForceEndpoint` does.
//!
//! The service bills the time that a connection is open, not the audio: 60 s without an utterance close it.

mod turns;

use async_trait::async_trait;
use engine::ask::SttOptions;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;

use self::turns::Turns;
use super::live::Live;
use crate::{
    ProviderError, Vendor, http,
    ports::{Stt, SttStream},
    ws::Connector,
};

/// Model for English, where the vendor names none.
const ENGLISH: &str = "universal-streaming-english";
/// Model for other languages, and for those that are not known.
const MULTILINGUAL: &str = "universal-streaming-multilingual";

/// Ears at `AssemblyAI`.
pub struct AssemblyAiStt {
    client: reqwest::Client,
    vendor: Vendor,
    /// With everything in it that all sessions share.
    address: Url,
    check: Url,
    key: HeaderValue,
    live: Live<Turns>,
}

impl AssemblyAiStt {
    /// The service behind `vendor.base_url`, `https://streaming.assemblyai.com/v3` for the hosted one.
    ///
    /// Errors: [`crate::Kind::Unauthorized`] without a usable key, [`crate::Kind::Rejected`] for an address that is
    /// not HTTP.
    pub fn new(client: reqwest::Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let key = vendor.secret_header(vendor.required_key()?)?;
        let connector = Connector::new(&vendor, vec![(AUTHORIZATION, key.clone())])?;
        let mut address = vendor.address("/ws")?;
        address
            .query_pairs_mut()
            .append_pair("sample_rate", "16000")
            .append_pair("encoding", "pcm_s16le")
            // formatting comes as a second transcript, for which nobody in a conversation waits
            .append_pair("format_turns", "false")
            // the session judges turns: a confidence that is never reached keeps the model from doing so
            .append_pair("end_of_turn_confidence_threshold", "1.0");
        let mut check = vendor.address("/token")?;
        check
            .query_pairs_mut()
            .append_pair("expires_in_seconds", "60");
        Ok(Self {
            client,
            live: Live::new(connector, vendor.limits),
            vendor,
            address,
            check,
            key,
        })
    }

    /// The prompt is not passed on: `keyterms_prompt` takes names, not sentences.
    fn address(&self, options: &SttOptions) -> Url {
        let english = options.language.as_deref() == Some("en");
        let model = match self.vendor.model.as_deref() {
            Some(model) => model,
            None if english => ENGLISH,
            None => MULTILINGUAL,
        };
        let mut address = self.address.clone();
        address.query_pairs_mut().append_pair("speech_model", model);
        address
    }
}

#[async_trait]
impl Stt for AssemblyAiStt {
    fn name(&self) -> &str {
        &self.vendor.name
    }

    /// All streaming models of a tier cost the same.
    fn model(&self) -> &str {
        self.vendor.model.as_deref().unwrap_or(MULTILINGUAL)
    }

    async fn open(&self, options: SttOptions) -> Result<SttStream, ProviderError> {
        let address = self.address(&options);
        Ok(self.live.open(options, address))
    }

    fn prepare(&self, options: &SttOptions) {
        self.live.prepare(&options.session, self.address(options));
    }

    /// Asks for a temporary token, which costs nothing
    /// (<https://www.assemblyai.com/docs/streaming/authenticate-with-a-temporary-token>).
    async fn check(&self) -> Result<(), ProviderError> {
        let question = self
            .client
            .get(self.check.clone())
            .header(AUTHORIZATION, self.key.clone());
        http::check(&self.vendor, question, None).await
    }
}
