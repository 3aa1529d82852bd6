//! Cartesia's voices (<https://docs.cartesia.ai/api-reference/tts/websocket>).
//! Constructed by the catalog; opened by the session once per reply, over one connection per session.
//! Never lets Cartesia wait for more text: a piece is a clause already.

mod context;

use std::sync::Arc;

use async_trait::async_trait;
use engine::ask::SpeakOptions;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::json;
use url::Url;

use self::context::{Context, Line};
use super::{live::Live, rate_hz, speed};
use crate::{
    ProviderError, Vendor, http,
    ports::{Tts, TtsStream, VoiceInfo},
    ws::Connector,
};

/// Header that carries the key (<https://docs.cartesia.ai/use-the-api/api-conventions>).
const KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Header that names the contract.
const VERSION: HeaderName = HeaderName::from_static("cartesia-version");
/// The contract that this file keeps.
const CONTRACT: HeaderValue = HeaderValue::from_static("2025-04-16");
/// Model for vendors that name none (<https://docs.cartesia.ai/build-with-cartesia/tts-models/latest>).
const MODEL: &str = "sonic-3";
/// Voice for vendors that name none: the one of the documentation's examples.
const VOICE: &str = "a0e99841-438c-4a64-b679-ae501e7d6091";
/// Length of a voice's id, a UUID.
const VOICE_CHARS: usize = 36;
/// Sample rates of PCM, in Hz.
const RATES_HZ: [u32; 6] = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000];

/// Voices at Cartesia.
pub struct CartesiaTts {
    client: reqwest::Client,
    vendor: Vendor,
    address: Url,
    check: Url,
    key: HeaderValue,
    live: Live<Line>,
}

impl CartesiaTts {
    /// The service behind `vendor.base_url`, `https://api.cartesia.ai` for the hosted one.
    ///
    /// Errors: [`crate::Kind::Unauthorized`] without a usable key, [`crate::Kind::Rejected`] for an address that is
    /// not HTTP.
    pub fn new(client: reqwest::Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let key = vendor.secret_header(vendor.required_key()?)?;
        let headers = vec![(KEY, key.clone()), (VERSION, CONTRACT)];
        let mut check = vendor.address("/voices")?;
        check.query_pairs_mut().append_pair("limit", "1");
        Ok(Self {
            client,
            live: Live::new(Connector::new(&vendor, headers)?, vendor.limits),
            address: vendor.address("/tts/websocket")?,
            check,
            vendor,
            key,
        })
    }

    fn voice<'a>(&'a self, asked: &'a str) -> &'a str {
        let part = |c: char| c.is_ascii_hexdigit() || c == '-';
        match self.vendor.voice.as_deref() {
            _ if asked.len() == VOICE_CHARS && asked.chars().all(part) => asked,
            own => own.unwrap_or(VOICE),
        }
    }
}

#[async_trait]
impl Tts for CartesiaTts {
    fn name(&self) -> &str {
        &self.vendor.name
    }

    fn model<'a>(&'a self, _voice: &'a str) -> &'a str {
        self.vendor.model.as_deref().unwrap_or(MODEL)
    }

    /// The voice that speaks for every name that is no voice id of Cartesia; those are spoken as well.
    fn voices(&self) -> Vec<VoiceInfo> {
        vec![VoiceInfo {
            name: self.voice("").to_owned(),
            language: "en".to_owned(),
        }]
    }

    fn voice_names(&self) -> Option<Arc<[String]>> {
        None
    }

    async fn open(&self, options: SpeakOptions) -> Result<TtsStream, ProviderError> {
        let rate = rate_hz(options.preferred_rate_hz, &RATES_HZ);
        let model = self.vendor.model.as_deref().unwrap_or(MODEL);
        let mut request = json!({
            "model_id": model,
            "voice": { "mode": "id", "id": self.voice(&options.voice) },
            "output_format": { "container": "raw", "encoding": "pcm_s16le", "sample_rate": rate },
            // the session cuts text into what can be spoken: nothing is gained by waiting for more
            "max_buffer_delay_ms": 0,
        });
        // earlier models have words for it instead
        if let Some(speed) = speed(options.speed, 0.6, 1.5)
            && model.starts_with("sonic-3")
        {
            request["generation_config"] = json!({ "speed": speed });
        }
        let context = Context::new(request);
        Ok(self
            .live
            .open(&options, self.address.clone(), rate, context))
    }

    fn prepare(&self, options: &SpeakOptions) {
        self.live.prepare(&options.session, self.address.clone());
    }

    /// Asks for one voice (<https://docs.cartesia.ai/api-reference/voices/list>).
    async fn check(&self) -> Result<(), ProviderError> {
        let question = self
            .client
            .get(self.check.clone())
            .header(KEY, self.key.clone())
            .header(VERSION, CONTRACT);
        http::check(&self.vendor, question, None).await
    }
}
