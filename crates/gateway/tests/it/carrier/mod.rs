//! A telephone carrier for stories: asks for the answer document, reads it, opens the media socket it names, plays what it is
//! sent out of a buffer like the real one, and reports what becomes of the call.
//! The telephone stories use it; what it accepts and refuses is what Twilio and `SignalWire` publish.
//! It never takes a frame that they do not have: that is error 31924, and the story fails.

pub(crate) mod document;
pub(crate) mod leg;
pub(crate) mod sign;

use gateway::config::{CarrierAccount, Config, OwnNumber, Secret};
use reqwest::{Client, Response, StatusCode};

use self::document::Document;
use crate::world::{PATIENCE, World};

/// Our number.
pub(crate) const LINE: &str = "+14155550100";
/// Who calls.
pub(crate) const CALLER: &str = "+14155550123";
/// What both sides know.
pub(crate) const TOKEN: &str = "token-of-the-account";

/// Whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brand {
    Twilio,
    SignalWire,
}

impl Brand {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::SignalWire => "signalwire",
        }
    }

    /// An id in its form.
    pub(crate) fn id(self, prefix: &str, number: u32) -> String {
        match self {
            Self::Twilio => format!("{prefix}{number:032x}"),
            Self::SignalWire => format!("00000000-0000-4000-8000-{number:012x}"),
        }
    }
}

/// Settings of a server with an account of this carrier and a number.
pub(crate) fn account(config: &mut Config, brand: Brand) {
    let account = CarrierAccount {
        account_id: Some(brand.id("AC", 1)),
        auth_token: Some(Secret::new(TOKEN)),
        space_url: Some("example.signalwire.com".to_owned()),
        ..CarrierAccount::default()
    };
    let telephony = &mut config.telephony;
    telephony.accounts.insert(brand.name().to_owned(), account);
    telephony.numbers.push(OwnNumber {
        number: LINE.to_owned(),
        ..OwnNumber::default()
    });
    telephony.greeting = "Hi, this is an AI assistant.".to_owned();
    config.scripted.speech_ms_per_char = 10;
}

/// A call of a carrier's.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a World,
    pub(crate) brand: Brand,
    pub(crate) sid: String,
    pub(crate) to: String,
    client: Client,
}

impl<'a> Call<'a> {
    /// Somebody calls `LINE`.
    pub(crate) fn new(world: &'a World, brand: Brand, number: u32) -> Self {
        Self {
            world,
            brand,
            sid: brand.id("CA", number),
            to: LINE.to_owned(),
            client: Client::builder().timeout(PATIENCE).build().unwrap(),
        }
    }

    /// The fields of every report.
    pub(crate) fn fields(&self, status: &str) -> Vec<(String, String)> {
        [
            ("AccountSid", self.brand.id("AC", 1).as_str()),
            ("CallSid", &self.sid),
            ("CallStatus", status),
            ("Direction", "inbound"),
            ("From", CALLER),
            ("To", &self.to),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Posts a signed form.
    pub(crate) async fn post(&self, url: &str, fields: &[(String, String)]) -> Response {
        let signature = sign::form(url, fields, TOKEN);
        let request = self.client.post(url).form(fields);
        let request = request.header(sign::header(self.brand), signature);
        request.send().await.unwrap()
    }

    /// Asks what to do with the call.
    pub(crate) async fn answer(&self) -> Document {
        let url = self
            .world
            .url(&format!("/telephony/{}/answer", self.brand.name()));
        let response = self.post(&url, &self.fields("ringing")).await;
        assert_eq!(response.status(), StatusCode::OK);
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(kind.starts_with("text/xml"), "{kind}");
        assert_eq!(
            response.headers()["cache-control"],
            "no-cache, no-store, must-revalidate"
        );
        Document::parse(&response.text().await.unwrap())
    }

    /// Reports how the call stands, at the address that the document named or at the common one.
    pub(crate) async fn report(&self, url: Option<&str>, status: &str, sequence: u32) -> Response {
        let common = self
            .world
            .url(&format!("/telephony/{}/status", self.brand.name()));
        let mut fields = self.fields(status);
        fields.push(("SequenceNumber".to_owned(), sequence.to_string()));
        self.post(url.unwrap_or(&common), &fields).await
    }
}
