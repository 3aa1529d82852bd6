//! OpenAI Realtime as an upstream, in its general-availability shape
//! (<https://developers.openai.com/api/docs/guides/realtime-websocket>).
//! Constructed by the catalog; opened by the session. Works with any server of this protocol by its base URL.
//! Never lets the server decide about turns: its detection is off, the session commits and asks.

mod answers;
mod conversation;
mod read;
mod write;

use async_trait::async_trait;
use engine::ask::{DuplexItem, DuplexOptions};
use reqwest::{Client, header::AUTHORIZATION};
use url::Url;

use self::{conversation::Conversation, write::Voices};
use super::live::Live;
use crate::{
    ProviderError,
    openai::Server,
    ports::{Duplex, DuplexStream},
    vendor::Vendor,
    ws::Connector,
};

/// The model of the vendor's own examples (<https://developers.openai.com/api/docs/guides/realtime-conversations>,
/// November 2026).
const DEFAULT_MODEL: &str = "gpt-realtime-2.1";

/// A speech-to-speech model of OpenAI.
pub struct OpenAiRealtime {
    server: Server,
    live: Live,
    voices: Voices,
}

impl OpenAiRealtime {
    /// The model behind `vendor.base_url` (`https://api.openai.com/v1`); `client` asks whether it is there.
    ///
    /// Errors: [`crate::Kind::Rejected`] for an address that is not HTTP, [`crate::Kind::Unauthorized`] for OpenAI
    /// itself without a key, or for a key that cannot stand in a header, [`crate::Kind::Unavailable`] when the
    /// platform's certificates cannot be read.
    pub fn new(client: Client, vendor: Vendor) -> Result<Self, ProviderError> {
        let mut headers = Vec::new();
        if let Some(bearer) = vendor.bearer()? {
            headers.push((AUTHORIZATION, bearer));
        }
        let connector = Connector::new(&vendor, headers)?;
        let server = Server::new(client, vendor, "/realtime")?;
        let vendor = &server.vendor;
        if server.is_hosted() {
            vendor.required_key()?;
        }
        let voices = Voices {
            own: vendor.voice.clone(),
            // other servers have voices of their own
            only_hosted: server.is_hosted(),
        };
        let live = Live::new(connector, vendor.limits, address(vendor)?);
        Ok(Self {
            server,
            live,
            voices,
        })
    }
}

fn address(vendor: &Vendor) -> Result<Url, ProviderError> {
    let mut address = vendor.address("/realtime")?;
    let model = vendor.model.as_deref().unwrap_or(DEFAULT_MODEL);
    address.query_pairs_mut().append_pair("model", model);
    Ok(address)
}

#[async_trait]
impl Duplex for OpenAiRealtime {
    fn name(&self) -> &str {
        &self.server.vendor.name
    }

    fn model(&self) -> &str {
        self.server.vendor.model.as_deref().unwrap_or(DEFAULT_MODEL)
    }

    async fn open(
        &self,
        options: DuplexOptions,
        history: Vec<DuplexItem>,
    ) -> Result<DuplexStream, ProviderError> {
        let name = self.server.vendor.name.clone();
        let voices = self.voices.clone();
        Ok(self
            .live
            .open(|_| Conversation::new(name, voices, options, history)))
    }

    async fn check(&self) -> Result<(), ProviderError> {
        self.server.check().await
    }
}
