//! Telephone carriers for stories: one asks for the answer document, reads it, opens the media socket it names, plays what it
//! is sent out of a buffer like the real one, and reports what becomes of the call.
//! The telephone stories use it; what it accepts and refuses is what each of the vendors publishes.
//! It never takes a frame that the carrier does not have: the story fails with the carrier's error.

pub(crate) mod document;
pub(crate) mod leg;
pub(crate) mod sign;
mod tongue;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway::config::{CarrierAccount, Config, OwnNumber, Secret};
use reqwest::{Client, Response, StatusCode};

use self::document::Document;
use crate::dialling::EXTERNAL;
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
    Telnyx,
    Plivo,
    Exotel,
    Vonage,
    Genesys,
    /// Twilio's text mode.
    Relay,
}

impl Brand {
    /// The name in paths.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::SignalWire => "signalwire",
            Self::Telnyx => "telnyx",
            Self::Plivo => "plivo",
            Self::Exotel => "exotel",
            Self::Vonage => "vonage",
            Self::Genesys => "genesys",
            Self::Relay => "relay",
        }
    }

    /// Whose account it is.
    pub(crate) const fn provider(self) -> &'static str {
        match self {
            Self::Relay => "twilio",
            other => other.name(),
        }
    }

    /// An id in its form.
    pub(crate) fn id(self, prefix: &str, number: u32) -> String {
        match self {
            Self::Twilio | Self::Relay => format!("{prefix}{number:032x}"),
            Self::Telnyx if prefix == "CA" => format!("v3:{number:064x}"),
            Self::Exotel => format!("{number:032x}"),
            _ => format!("00000000-0000-4000-8000-{number:012x}"),
        }
    }

    /// Whether it takes marks and sends them back.
    pub(crate) const fn has_marks(self) -> bool {
        !matches!(self, Self::Genesys | Self::Relay)
    }

    /// How long a character of the scripted voice lasts, in ms: carriers of large frames hear an answer in some of them, and
    /// where the clock says what was heard a slow machine may take its time.
    pub(crate) const fn ms_per_char(self) -> usize {
        match self {
            Self::Exotel => 30,
            Self::Genesys => 100,
            _ => 10,
        }
    }
}

/// Settings of a server with an account of this carrier and a number.
pub(crate) fn account(config: &mut Config, brand: Brand) {
    let mut account = CarrierAccount {
        account_id: Some(brand.id("AC", 1)),
        auth_token: Some(Secret::new(TOKEN)),
        space_url: Some("example.signalwire.com".to_owned()),
        ..CarrierAccount::default()
    };
    match brand {
        Brand::Telnyx => {
            account.signing_key = Some(Secret::new(sign::telnyx_key()));
            account.stream_token = Some(Secret::new(TOKEN));
        }
        Brand::Vonage => account.signing_key = Some(Secret::new(TOKEN)),
        Brand::Exotel => {
            account.stream_token = Some(Secret::new(format!("{EXOTEL_NAME}:{TOKEN}")));
        }
        Brand::Genesys => {
            account.api_key_id = Some(sign::GENESYS_KEY.to_owned());
            account.signing_key = Some(Secret::new(STANDARD.encode(TOKEN)));
        }
        Brand::Twilio | Brand::SignalWire | Brand::Plivo | Brand::Relay => {}
    }
    let telephony = &mut config.telephony;
    telephony
        .accounts
        .insert(brand.provider().to_owned(), account);
    telephony.numbers.push(OwnNumber {
        number: LINE.to_owned(),
        ..OwnNumber::default()
    });
    telephony.greeting = "Hi, this is an AI assistant.".to_owned();
    config.scripted.speech_ms_per_char = brand.ms_per_char() as u64;
    // stories move the clock, which is not silence of the caller's
    config.telephony.inactivity_s = 600;
}

/// The name in the address that Exotel was given.
pub(crate) const EXOTEL_NAME: &str = "exotel";

/// The seed of the key that goes with a secret, where the carrier signs with a key pair.
fn seed(secret: &str) -> u8 {
    if secret.starts_with("another") { 8 } else { 7 }
}

/// A call of a carrier's.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a World,
    pub(crate) brand: Brand,
    pub(crate) sid: String,
    pub(crate) to: String,
    /// Which of its streams it is.
    pub(crate) stream: u32,
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
            stream: 7,
            client: Client::builder().timeout(PATIENCE).build().unwrap(),
        }
    }

    /// A number as the carrier writes it.
    pub(crate) fn number(&self, number: &str) -> String {
        match self.brand {
            Brand::Plivo | Brand::Vonage => number.trim_start_matches('+').to_owned(),
            // `+1-415-555-0100`
            Brand::Genesys => format!("+1-{}-{}-{}", &number[2..5], &number[5..8], &number[8..]),
            _ => number.to_owned(),
        }
    }

    /// The fields of every report.
    pub(crate) fn fields(&self, status: &str) -> Vec<(String, String)> {
        let (from, to) = (self.number(CALLER), self.number(&self.to));
        let account = self.brand.id("AC", 1);
        let sid = self.sid.as_str();
        let fields: Vec<(&str, &str)> = match self.brand {
            Brand::Plivo => vec![
                ("ALegUUID", sid),
                ("CallUUID", sid),
                ("CallStatus", status),
                ("Direction", "inbound"),
                ("Event", "StartApp"),
                ("From", &from),
                ("To", &to),
            ],
            Brand::Exotel => vec![
                ("CallSid", sid),
                ("CallFrom", &from),
                ("CallTo", &to),
                ("Direction", "incoming"),
                ("CallStatus", status),
            ],
            Brand::Vonage => vec![
                ("uuid", sid),
                (
                    "conversation_uuid",
                    "CON-00000000-0000-4000-8000-000000000001",
                ),
                ("status", status),
                ("direction", "inbound"),
                ("from", &from),
                ("to", &to),
            ],
            _ => vec![
                ("AccountSid", &account),
                ("CallSid", sid),
                ("CallStatus", status),
                ("Direction", "inbound"),
                ("From", &from),
                ("To", &to),
            ],
        };
        let owned = fields.into_iter();
        owned
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Posts what the carrier would, signed.
    pub(crate) async fn post(&self, url: &str, fields: &[(String, String)]) -> Response {
        self.post_under(url, fields, TOKEN).await
    }

    /// The same, signed under another secret.
    pub(crate) async fn post_under(
        &self,
        url: &str,
        fields: &[(String, String)],
        secret: &str,
    ) -> Response {
        if self.brand == Brand::Vonage {
            let object = fields.iter().cloned();
            let object = object.map(|(name, value)| (name, value.into()));
            let json = serde_json::Value::Object(object.collect()).to_string();
            return self.post_json(url, json, secret).await;
        }
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let now_s = self.world.app().clock.unix_s();
        let proof = match self.brand {
            Brand::Telnyx => sign::telnyx(&form, now_s, seed(secret)),
            Brand::Plivo => sign::plivo(url, fields, secret),
            Brand::Exotel => sign::basic(EXOTEL_NAME, secret),
            brand => vec![(sign::header(brand), sign::form(url, fields, secret))],
        };
        let kind = "application/x-www-form-urlencoded";
        self.send(url, (kind, form), proof).await
    }

    /// Posts JSON, signed: Vonage's, and Telnyx' call control.
    pub(crate) async fn post_json(&self, url: &str, json: String, secret: &str) -> Response {
        let now_s = self.world.app().clock.unix_s();
        let proof = match self.brand {
            Brand::Telnyx => sign::telnyx(&json, now_s, seed(secret)),
            _ => sign::vonage(&json, secret, now_s),
        };
        self.send(url, ("application/json", json), proof).await
    }

    /// Posts a body with these headers.
    pub(crate) async fn send(
        &self,
        url: &str,
        (kind, body): (&str, String),
        proof: sign::Headers,
    ) -> Response {
        let url = self.reach(url);
        let mut request = self.client.post(url).header("content-type", kind);
        for (name, value) in proof {
            request = request.header(name, value);
        }
        request.body(body).send().await.unwrap()
    }

    /// The server behind a public address.
    pub(crate) fn reach(&self, url: &str) -> String {
        let inside = self.world.url("");
        let socket = inside.replacen("http", "ws", 1);
        url.replacen(EXTERNAL, &inside, 1)
            .replacen(&EXTERNAL.replacen("http", "ws", 1), &socket, 1)
    }

    /// Where the carrier asks, streams or reports.
    pub(crate) fn route(&self, what: &str) -> String {
        self.world
            .url(&format!("/telephony/{}{what}", self.brand.name()))
    }

    /// Asks what to do with the call.
    pub(crate) async fn answer(&self) -> Document {
        if self.brand == Brand::Genesys {
            // it is given the address by hand, and asks for nothing
            return Document::fixed(self.route("").replacen("http", "ws", 1));
        }
        let response = self
            .post(&self.route("/answer"), &self.fields("ringing"))
            .await;
        assert_eq!(response.status(), StatusCode::OK);
        let json = matches!(self.brand, Brand::Exotel | Brand::Vonage);
        let wanted = if json { "application/json" } else { "text/xml" };
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(kind.starts_with(wanted), "{kind}");
        assert_eq!(
            response.headers()["cache-control"],
            "no-cache, no-store, must-revalidate"
        );
        let text = response.text().await.unwrap();
        if json {
            Document::of_json(&text)
        } else {
            Document::parse(&text)
        }
    }

    /// What the carrier proves itself by when it opens the socket of a document.
    pub(crate) fn proof_of_upgrade(&self, document: &Document, secret: &str) -> sign::Headers {
        match self.brand {
            Brand::Telnyx => vec![("x-telnyx-streaming-auth-token", secret.to_owned())],
            // it proves nothing: the parameters of the start do
            Brand::Plivo => Vec::new(),
            Brand::Exotel => sign::basic(EXOTEL_NAME, secret),
            Brand::Vonage => {
                let own = document.bearer.as_deref().filter(|_| secret == TOKEN);
                vec![("authorization", format!("Bearer {}", own.unwrap_or(secret)))]
            }
            Brand::Genesys => {
                let nonce = format!("{}{:04}", self.sid.replace('-', ""), self.stream);
                self.genesys_proof(document, secret, &nonce)
            }
            brand => vec![(sign::header(brand), sign::upgrade(&document.url, secret))],
        }
    }

    /// The signature of Genesys with a nonce.
    pub(crate) fn genesys_proof(
        &self,
        document: &Document,
        secret: &str,
        nonce: &str,
    ) -> sign::Headers {
        let (organization, session) = (self.brand.id("AC", 1), self.brand.id("MZ", self.stream));
        let now_s = self.world.app().clock.unix_s();
        let ids = (organization.as_str(), session.as_str());
        sign::genesys(&document.url, ids, secret.as_bytes(), (nonce, now_s))
    }

    /// Reports how the call stands, at the address that the document named or at the common one.
    pub(crate) async fn report(&self, url: Option<&str>, status: &str, sequence: u32) -> Response {
        let mut fields = self.fields(status);
        fields.push(("SequenceNumber".to_owned(), sequence.to_string()));
        self.post(url.unwrap_or(&self.route("/status")), &fields)
            .await
    }
}
