//! Deepgram's Aura voices (<https://developers.deepgram.com/reference/text-to-speech/speak-streaming>).
//! Constructed by the catalog; opened by the session once per reply, over one connection per session.
//! Never lets Deepgram wait for more text: every piece is flushed, as far as the limit on flushes allows.

mod aura;

use std::sync::Arc;

use async_trait::async_trait;
use engine::ask::SpeakOptions;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;

use self::aura::{Aura, Line};
use super::{live::Live, rate_hz, speed};
use crate::{
    ProviderError, Vendor, http,
    ports::{Tts, TtsStream, VoiceInfo},
    ws::Connector,
};

/// Voice for vendors that name none (<https://developers.deepgram.com/docs/tts-models>).
const VOICE: &str = "aura-2-thalia-en";
/// Sample rates of `linear16`, in Hz (<https://developers.deepgram.com/docs/tts-media-output-settings>).
const RATES_HZ: [u32; 5] = [8_000, 16_000, 24_000, 32_000, 48_000];

/// Voices at Deepgram.
pub struct DeepgramTts {
    client: reqwest::Client,
    vendor: Vendor,
    address: Url,
    check: Url,
    key: HeaderValue,
    live: Live<Line>,
}

impl DeepgramTts {
    /// The service behind `vendor.base_url`, `https://api.deepgram.com/v1` for the hosted one.
    ///
    /// Errors: [`crate::Kind::Unauthorized`] without a usable key, [`crate::Kind::Rejected`] for an address that is
    /// not HTTP.
    pub fn new(client: reqwest::Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let key = vendor.secret_header(&format!("Token {}", vendor.required_key()?))?;
        let connector = Connector::new(&vendor, vec![(AUTHORIZATION, key.clone())])?;
        Ok(Self {
            client,
            live: Live::new(connector, vendor.limits),
            address: vendor.address("/speak")?,
            check: vendor.address("/auth/token")?,
            vendor,
            key,
        })
    }

    /// The voice is the model.
    fn voice<'a>(&'a self, asked: &'a str) -> &'a str {
        let own = self
            .vendor
            .voice
            .as_deref()
            .or(self.vendor.model.as_deref());
        if asked.starts_with("aura-") {
            asked
        } else {
            own.unwrap_or(VOICE)
        }
    }

    fn address(&self, options: &SpeakOptions) -> Url {
        let voice = self.voice(&options.voice);
        let rate = rate_hz(options.preferred_rate_hz, &RATES_HZ);
        let mut address = self.address.clone();
        address
            .query_pairs_mut()
            .append_pair("model", voice)
            .append_pair("encoding", "linear16")
            .append_pair("sample_rate", &rate.to_string());
        // Aura 1 does not know it (https://developers.deepgram.com/docs/tts-voice-controls)
        if let Some(speed) = speed(options.speed, 0.7, 1.5)
            && voice.starts_with("aura-2-")
        {
            let speed = speed.to_string();
            address.query_pairs_mut().append_pair("speed", &speed);
        }
        address
    }
}

#[async_trait]
impl Tts for DeepgramTts {
    fn name(&self) -> &str {
        &self.vendor.name
    }

    fn model<'a>(&'a self, voice: &'a str) -> &'a str {
        self.voice(voice)
    }

    /// The voice that speaks for every name that is none of Deepgram's; those are spoken as well.
    fn voices(&self) -> Vec<VoiceInfo> {
        let name = self.voice("");
        let language = name.rsplit('-').next().unwrap_or("en");
        vec![VoiceInfo {
            name: name.to_owned(),
            language: language.to_owned(),
        }]
    }

    fn voice_names(&self) -> Option<Arc<[String]>> {
        None
    }

    async fn open(&self, options: SpeakOptions) -> Result<TtsStream, ProviderError> {
        let rate = rate_hz(options.preferred_rate_hz, &RATES_HZ);
        let address = self.address(&options);
        Ok(self.live.open(&options, address, rate, Aura::default()))
    }

    fn prepare(&self, options: &SpeakOptions) {
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
