//! The REST interfaces of telephone carriers: place a call, end it, pass it on, press keys in it, ask what became of it.
//! Made by the gateway from an account of the configuration; used by its dialler and by whoever ends or passes on a call.
//! Never tries a call twice: whether the first try rang nobody knows, and [`CarrierError::may_have_dialed`] says so.
//!
//! One file a carrier; [`Carrier`] picks it. All of them end in the same few types, so that nobody else knows which carrier
//! it is. What a carrier's interface does not have is [`Trouble::Unsupported`].
//!
//! | carrier | interface |
//! |---|---|
//! | Twilio, `SignalWire` | <https://www.twilio.com/docs/voice/api/call-resource>, and the same at the space's address |
//! | Telnyx | <https://developers.telnyx.com/api/call-control/dial-call> |
//! | Plivo | <https://www.plivo.com/docs/voice/api/call> |
//! | Exotel | <https://developer.exotel.com/api/make-a-call-api> |
//! | Vonage | <https://developer.vonage.com/en/api/voice> |

mod error;
mod exotel;
mod plivo;
mod rest;
mod telnyx;
mod twilio;
mod vonage;

use std::time::Duration;

use chrono::{DateTime, Utc};
use engine::call::state::CarrierStatus;
use reqwest::Client;
use secrecy::SecretString;
use url::Url;
use wire::telephony::Dialect;

pub use self::error::{CarrierError, Trouble};

/// An account with a carrier, as the configuration describes it.
#[derive(Clone)]
pub struct Account {
    /// The carrier.
    pub carrier: Dialect,
    /// What the carrier calls the account; of Telnyx the connection, of Vonage the application.
    pub id: String,
    /// The secret that goes with it; of Vonage the application's private key in PEM.
    pub secret: SecretString,
    /// Name and secret of an API key that is used in place of the account's own secret (Twilio, Exotel).
    pub api_key: Option<(String, SecretString)>,
    /// Host of a `SignalWire` space.
    pub space: Option<String>,
    /// Address of the interface in place of the carrier's own, as far as its version.
    pub base_url: Option<Url>,
    /// How long an answer may take.
    pub limit: Duration,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("carrier", &self.carrier)
            .field("id", &self.id)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// How long a carrier may take to answer when nobody says otherwise. Placing a call is answered before it rings.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// What makes an account unusable for calls of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// This carrier's calls are placed elsewhere.
    #[error("{0} has no interface that places calls")]
    NoInterface(Dialect),
    /// A `SignalWire` space that is none.
    #[error("space_url must be the host of a SignalWire space, such as example.signalwire.com")]
    Space,
    /// A base address that is no address of the web.
    #[error("base_url must begin with http:// or https://")]
    Base,
}

/// Whether the carrier listens for answering machines, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Machines {
    /// It does not.
    #[default]
    Ignore,
    /// It says as soon as it knows; the call goes on meanwhile.
    Detect,
    /// It waits for the end of a machine's greeting, for somebody who wants to leave a message.
    DetectEnd,
}

/// A call to be placed. Shown without its numbers and addresses.
#[derive(Clone, Copy)]
pub struct NewDial<'a> {
    /// Whom, in E.164.
    pub to: &'a str,
    /// The number that is shown, in E.164.
    pub from: &'a str,
    /// Whom the carrier asks what to do once somebody answered; of Exotel the address of a flow.
    pub answer_url: &'a str,
    /// Where the carrier tells how the call goes.
    pub status_url: &'a str,
    /// Where the carrier tells who answered.
    pub machine_url: &'a str,
    /// Our media socket, for carriers that are told at once and ask nothing (Telnyx).
    pub stream_url: &'a str,
    /// What names this attempt: the carrier gives it back where it can, and tells a repeated request by it where it can.
    pub correlation: &'a str,
    /// How long it may ring, in s.
    pub ring_s: u32,
    /// How long the call may last, in s.
    pub limit_s: u32,
    /// Whether machines are listened for.
    pub machines: Machines,
}

impl std::fmt::Debug for NewDial<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewDial")
            .field("correlation", &self.correlation)
            .field("ring_s", &self.ring_s)
            .field("limit_s", &self.limit_s)
            .field("machines", &self.machines)
            .finish_non_exhaustive()
    }
}

/// A call that the carrier has taken on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialed {
    /// What the carrier calls it; of Plivo the request, until the call has an id.
    pub call_id: String,
}

/// What became of a call that was to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HungUp {
    /// It ends now.
    Now,
    /// It had ended, or the carrier does not know it any more.
    Before,
}

/// Whom a lost attempt is looked for by.
#[derive(Clone, Copy)]
pub struct Lost<'a> {
    /// Whom it was to call.
    pub to: &'a str,
    /// The number that was shown.
    pub from: &'a str,
    /// As given to [`Carrier::dial`].
    pub correlation: &'a str,
    /// When it was begun.
    pub since: DateTime<Utc>,
}

/// What the carrier knows of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it calls it.
    pub call_id: String,
    /// How it stands, if that is a word that we know.
    pub status: Option<CarrierStatus>,
}

/// An account that can be used.
#[derive(Debug, Clone)]
pub struct Carrier {
    http: Client,
    account: Account,
    base: Url,
}

impl Carrier {
    /// Uses `account` through `http`, which must not follow redirects.
    ///
    /// # Errors
    /// [`AccountError`] says what is missing.
    pub fn new(account: Account, http: Client) -> Result<Self, AccountError> {
        let base = match (&account.base_url, account.carrier) {
            (Some(base), _) => base.clone(),
            (None, Dialect::Twilio | Dialect::Relay) => own("https://api.twilio.com/2010-04-01")?,
            (None, Dialect::SignalWire) => {
                let space = account.space.as_deref().ok_or(AccountError::Space)?;
                let host = space.strip_prefix("https://").unwrap_or(space);
                let host = host.trim_end_matches('/');
                if host.is_empty() || host.contains(['/', '@', '?', '#']) {
                    return Err(AccountError::Space);
                }
                Url::parse(&format!("https://{host}/api/laml/2010-04-01"))
                    .map_err(|_| AccountError::Space)?
            }
            (None, Dialect::Telnyx) => own("https://api.telnyx.com/v2")?,
            (None, Dialect::Plivo) => own("https://api.plivo.com/v1")?,
            (None, Dialect::Exotel) => own("https://api.exotel.com/v1")?,
            (None, Dialect::Vonage) => own("https://api.nexmo.com/v1")?,
            (None, Dialect::AudioHook) => {
                return Err(AccountError::NoInterface(account.carrier));
            }
        };
        if account.carrier == Dialect::AudioHook {
            return Err(AccountError::NoInterface(account.carrier));
        }
        if !matches!(base.scheme(), "http" | "https") {
            return Err(AccountError::Base);
        }
        Ok(Self {
            http,
            account,
            base,
        })
    }

    /// Which carrier it is.
    pub const fn dialect(&self) -> Dialect {
        self.account.carrier
    }

    /// Asks the carrier to place a call. It is asked once.
    ///
    /// # Errors
    /// [`CarrierError`]; ask it whether the call may be ringing all the same.
    pub async fn dial(
        &self,
        call: &NewDial<'_>,
        now: DateTime<Utc>,
    ) -> Result<Dialed, CarrierError> {
        match self.account.carrier {
            Dialect::Telnyx => telnyx::dial(self, call).await,
            Dialect::Plivo => plivo::dial(self, call).await,
            Dialect::Exotel => exotel::dial(self, call).await,
            Dialect::Vonage => vonage::dial(self, call, now).await,
            _ => twilio::dial(self, call).await,
        }
    }

    /// Ends a call, whether it rings or is answered. A call that the carrier does not know has ended.
    ///
    /// # Errors
    /// [`CarrierError`]; it may be tried again.
    pub async fn hang_up(&self, call_id: &str, now: DateTime<Utc>) -> Result<HungUp, CarrierError> {
        match self.account.carrier {
            Dialect::Telnyx => telnyx::hang_up(self, call_id).await,
            Dialect::Plivo => plivo::hang_up(self, call_id).await,
            Dialect::Exotel => Err(self.unsupported("end a call; close its socket")),
            Dialect::Vonage => vonage::hang_up(self, call_id, now).await,
            _ => twilio::hang_up(self, call_id).await,
        }
    }

    /// Makes a call that goes on fetch another answer document from `url`, with POST.
    ///
    /// # Errors
    /// [`CarrierError`]; [`Trouble::Gone`] when the call has ended.
    pub async fn redirect(
        &self,
        call_id: &str,
        url: &str,
        now: DateTime<Utc>,
    ) -> Result<(), CarrierError> {
        match self.account.carrier {
            Dialect::Telnyx => Err(self.unsupported("redirect a call; transfer it")),
            Dialect::Plivo => plivo::redirect(self, call_id, url).await,
            Dialect::Exotel => Err(self.unsupported("redirect a call")),
            Dialect::Vonage => vonage::redirect(self, call_id, url, now).await,
            _ => twilio::redirect(self, call_id, url).await,
        }
    }

    /// Speaks `words` into a call that goes on, and ends it.
    ///
    /// # Errors
    /// [`CarrierError`]; [`Trouble::Unsupported`] where the interface does not do it in one.
    pub async fn say_last(
        &self,
        call_id: &str,
        words: &str,
        now: DateTime<Utc>,
    ) -> Result<(), CarrierError> {
        match self.account.carrier {
            Dialect::Telnyx | Dialect::Plivo | Dialect::Exotel => {
                Err(self.unsupported("speak a last word; redirect the call to a document"))
            }
            Dialect::Vonage => vonage::say_last(self, call_id, words, now).await,
            _ => twilio::say_last(self, call_id, words).await,
        }
    }

    /// Connects a call with the number `to`, showing `from`, where the carrier does that without a document.
    ///
    /// # Errors
    /// [`CarrierError`]; [`Trouble::Unsupported`] where a redirect to a document does it.
    pub async fn transfer(
        &self,
        call_id: &str,
        (to, from): (&str, &str),
        ring_s: u32,
    ) -> Result<(), CarrierError> {
        match self.account.carrier {
            Dialect::Telnyx => telnyx::transfer(self, call_id, (to, from), ring_s).await,
            _ => Err(self.unsupported("transfer a call; redirect it to a document that dials")),
        }
    }

    /// Presses keys in a call: `0`-`9`, `*`, `#`, `A`-`D`.
    ///
    /// # Errors
    /// [`CarrierError`]; [`Trouble::Unsupported`] where keys go over the media stream, or by a document.
    pub async fn press(
        &self,
        call_id: &str,
        keys: &str,
        now: DateTime<Utc>,
    ) -> Result<(), CarrierError> {
        match self.account.carrier {
            Dialect::Telnyx => telnyx::press(self, call_id, keys).await,
            Dialect::Plivo => plivo::press(self, call_id, keys).await,
            Dialect::Vonage => vonage::press(self, call_id, keys, now).await,
            _ => Err(self.unsupported("press keys; redirect the call to a document that does")),
        }
    }

    /// How a call stands; nothing when the carrier does not know it.
    ///
    /// # Errors
    /// [`CarrierError`]; it may be tried again.
    pub async fn look_up(
        &self,
        call_id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Found>, CarrierError> {
        match self.account.carrier {
            Dialect::Telnyx => telnyx::look_up(self, call_id).await,
            Dialect::Plivo => plivo::look_up(self, call_id).await,
            Dialect::Exotel => exotel::look_up(self, call_id).await,
            Dialect::Vonage => vonage::look_up(self, call_id, now).await,
            _ => twilio::look_up(self, call_id).await,
        }
    }

    /// The call that an attempt led to whose answer was lost; nothing when the carrier has none such. A call between the same
    /// numbers at the same time is taken for it: nobody is rung twice because of a doubt.
    ///
    /// # Errors
    /// [`CarrierError`]; it may be tried again.
    pub async fn find(
        &self,
        lost: &Lost<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<Found>, CarrierError> {
        match self.account.carrier {
            Dialect::Telnyx => telnyx::find(self, lost).await,
            Dialect::Plivo => plivo::find(self, lost).await,
            Dialect::Exotel => exotel::find(self, lost).await,
            Dialect::Vonage => vonage::find(self, lost, now).await,
            _ => twilio::find(self, lost).await,
        }
    }

    fn unsupported(&self, what: &str) -> CarrierError {
        let message = format!("its interface cannot {what}");
        CarrierError::new(self.account.carrier, Trouble::Unsupported, message)
    }
}

fn own(base: &str) -> Result<Url, AccountError> {
    Url::parse(base).map_err(|_| AccountError::Base)
}

/// Whether two telephone numbers are one, however their plus and their marks are written.
fn same_number(one: &str, other: &str) -> bool {
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    let (one, other) = (digits(one), digits(other));
    !one.is_empty() && one == other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(carrier: Dialect) -> Account {
        Account {
            carrier,
            id: "AC1".to_owned(),
            secret: SecretString::from("hunter2"),
            api_key: None,
            space: None,
            base_url: None,
            limit: ANSWER_LIMIT,
        }
    }

    #[test]
    fn an_account_says_what_it_lacks_and_shows_no_secret() {
        let new = |account| {
            Carrier::new(account, crate::http::client().unwrap()).map(|carrier| carrier.base)
        };
        assert_eq!(
            new(account(Dialect::AudioHook)),
            Err(AccountError::NoInterface(Dialect::AudioHook))
        );
        assert_eq!(new(account(Dialect::SignalWire)), Err(AccountError::Space));
        let mut space = account(Dialect::SignalWire);
        for (given, expected) in [
            ("example.signalwire.com", true),
            ("https://example.signalwire.com/", true),
            ("evil@example.org", false),
            ("", false),
        ] {
            space.space = Some(given.to_owned());
            let base = new(space.clone());
            assert_eq!(base.is_ok(), expected, "{given}");
            if let Ok(base) = base {
                let expected = "https://example.signalwire.com/api/laml/2010-04-01";
                assert_eq!(base.as_str(), expected);
            }
        }
        let mut strange = account(Dialect::Twilio);
        strange.base_url = Some(Url::parse("ftp://example.org").unwrap());
        assert_eq!(new(strange), Err(AccountError::Base));
        let shown = format!("{:?}", account(Dialect::Twilio));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn numbers_are_compared_by_their_digits() {
        assert!(same_number("+1 (415) 555-0100", "14155550100"));
        assert!(!same_number("+14155550100", "+14155550101"));
        assert!(!same_number("", "sip:"));
    }
}
