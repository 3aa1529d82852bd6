//! `ElevenLabs`' voices, fed while the reply is written
//! (<https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input>).
//! Constructed by the catalog; opened by the session once per reply, on a connection that waits for it.
//! Never uses a connection for two replies: the protocol ends with the last audio.

mod spoken;

use std::sync::Arc;

use async_trait::async_trait;
use engine::ask::SpeakOptions;
use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use self::spoken::{Line, Spoken};
use super::{live::Live, rate_hz, speed};
use crate::{
    Kind, ProviderError, Vendor, http,
    ports::{Tts, TtsStream, VoiceInfo},
    ws::Connector,
};

/// Header that carries the key (<https://elevenlabs.io/docs/api-reference/authentication>).
const KEY: HeaderName = HeaderName::from_static("xi-api-key");
/// Model for vendors that name none: the fastest (<https://elevenlabs.io/docs/models>).
const MODEL: &str = "eleven_flash_v2_5";
/// Voice for vendors that name none: the one of the documentation's examples.
const VOICE: &str = "JBFqnCBsd6RMkjVDRZzb";
/// Length of a voice's id.
const VOICE_CHARS: usize = 20;
/// Sample rates of PCM that every plan has, in Hz.
const RATES_HZ: [u32; 3] = [8_000, 16_000, 24_000];
/// Seconds without text after which the connection is closed: the most there is, for a reply may wait for a tool.
const INACTIVITY_TIMEOUT: &str = "180";

/// Voices at `ElevenLabs`.
pub struct ElevenLabsTts {
    client: reqwest::Client,
    vendor: Vendor,
    address: Url,
    check: Url,
    key: HeaderValue,
    live: Live<Line>,
}

impl ElevenLabsTts {
    /// The service behind `vendor.base_url`, `https://api.elevenlabs.io/v1` for the hosted one.
    ///
    /// Errors: [`Kind::Unauthorized`] without a usable key, [`Kind::Rejected`] for an address that is not HTTP.
    pub fn new(client: reqwest::Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let key = vendor.secret_header(vendor.required_key()?)?;
        let connector = Connector::new(&vendor, vec![(KEY, key.clone())])?;
        let mut address = vendor.address("/text-to-speech")?;
        let voice = vendor.voice.as_deref().unwrap_or(VOICE);
        if voice.is_empty() || address.path_segments_mut().is_err() {
            let message = "the configured voice is no voice id";
            return Err(vendor.error(Kind::Rejected, message));
        }
        address
            .query_pairs_mut()
            .append_pair("model_id", vendor.model.as_deref().unwrap_or(MODEL))
            .append_pair("inactivity_timeout", INACTIVITY_TIMEOUT)
            .append_pair("sync_alignment", "true");
        Ok(Self {
            client,
            live: Live::new(connector, vendor.limits),
            check: vendor.address("/models")?,
            vendor,
            address,
            key,
        })
    }

    fn voice<'a>(&'a self, asked: &'a str) -> &'a str {
        let is_id = asked.len() == VOICE_CHARS && asked.chars().all(|c| c.is_ascii_alphanumeric());
        match self.vendor.voice.as_deref() {
            _ if is_id => asked,
            own => own.unwrap_or(VOICE),
        }
    }

    fn address(&self, options: &SpeakOptions) -> Url {
        let mut address = self.address.clone();
        if let Ok(mut path) = address.path_segments_mut() {
            path.extend([self.voice(&options.voice), "stream-input"]);
        }
        let rate = rate_hz(options.preferred_rate_hz, &RATES_HZ);
        let format = format!("pcm_{rate}");
        address
            .query_pairs_mut()
            .append_pair("output_format", &format);
        address
    }
}

#[async_trait]
impl Tts for ElevenLabsTts {
    fn name(&self) -> &str {
        &self.vendor.name
    }

    fn model<'a>(&'a self, _voice: &'a str) -> &'a str {
        self.vendor.model.as_deref().unwrap_or(MODEL)
    }

    /// The voice that speaks for every name that is no voice id of `ElevenLabs`; those are spoken as well.
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
        let address = self.address(&options);
        let spoken = Spoken::new(speed(options.speed, 0.7, 1.2));
        Ok(self.live.open(&options, address, rate, spoken))
    }

    fn prepare(&self, options: &SpeakOptions) {
        self.live.prepare(&options.session, self.address(options));
    }

    /// Asks for the list of models (<https://elevenlabs.io/docs/api-reference/models/list>).
    async fn check(&self) -> Result<(), ProviderError> {
        let question = self.client.get(self.check.clone());
        http::check(&self.vendor, question.header(KEY, self.key.clone()), None).await
    }
}
