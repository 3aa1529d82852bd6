//! `[telephony]`: which carriers may call, whose each number is, and what is said in every call.
//! Read by the telephone edge and by the dialler; documented from these comments.
//! Never shows a token and never asks a carrier whether it takes one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use engine::call::limits::Limits;
use engine::call::number::E164;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;
use wire::telephony::Dialect;

use super::check::{Problem, within};
use super::{Config, Secret};
use crate::auth::DEFAULT_TENANT;

/// `[telephony]`: calls over media streams of telephone carriers. Accounts with carriers are sections of their own,
/// `[telephony.accounts.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telephony {
    /// Our accounts with carriers, by names of your choice: they are `[telephony.accounts.NAME]`.
    pub accounts: BTreeMap<String, CarrierAccount>,
    /// Calls at the same time on this server; a further one is answered with the busy signal. 0 turns the telephone off:
    /// there are no routes for carriers then.
    pub max_calls: usize,
    /// The address that carriers reach this server at, such as `https://voice.example`: signatures are checked against it and
    /// answer documents point to it. From the request's `Host`, and of trusted proxies `X-Forwarded-*`, when unset; also
    /// `NEXT_PUBLIC_APP_URL`.
    pub external_url: Option<String>,
    /// The address that answer documents send media streams to (`wss`); `external_url` and the carrier's path when unset.
    /// Also `WEBSOCKET_SERVER_URL`.
    pub stream_url: Option<String>,
    /// Whether carriers without a signature are believed, for trying things out: anybody who reaches this server can make calls
    /// then. Accepted only while every address of this server is on loopback.
    pub allow_unsigned: bool,
    /// Numbers of ours, as a list of tables `[[telephony.numbers]]` with `number`, and `agent` or `pipeline`, `tenant`, `project`
    /// and `account` where they are not the default. `PUT /v1/phone_numbers/NUMBER` knows further ones.
    pub numbers: Vec<OwnNumber>,
    /// Longest call, in s, 30 to 3600; the model is told 30 s before, and good-bye is said 10 s before.
    pub max_call_s: u64,
    /// Without a word from either side for so long, in s, the other side is asked whether they are there; 5 to 600.
    pub inactivity_s: u64,
    /// How often that is asked before the call is ended, 0 to 10.
    pub inactivity_prompts: u32,
    /// How long a carrier may take from the socket to the start of its stream, in ms, 100 to 60000.
    pub start_timeout_ms: u64,
    /// Said first in every call, where the agent has no greeting of its own; when empty, the agent begins in its own words.
    pub greeting: String,
    /// Said behind the greeting unless the greeting has said it: that it is a machine that speaks, which law wants within the
    /// first 10 s. Nothing when empty.
    pub disclosure: String,
    /// Said 30 s before a call has lasted as long as it may; nothing when empty.
    pub time_warning: String,
    /// Said when a call has lasted as long as it may, and when the server stops; nothing when empty.
    pub goodbye: String,
    /// Said to a caller while somebody else is being called who is to take over; nothing when empty.
    pub transfer_notice: String,
    /// Said to somebody who has been silent for long; nothing when empty.
    pub inactivity_prompt: String,
    /// Said, in the carrier's own voice, when a conversation cannot begin or has failed, and when a caller was passed on to a number
    /// that nobody answers; nothing when empty. Exotel and Genesys have no voice of their own.
    pub apology: String,
}

impl Default for Telephony {
    fn default() -> Self {
        Self {
            accounts: BTreeMap::new(),
            max_calls: 500,
            external_url: None,
            stream_url: None,
            allow_unsigned: false,
            numbers: Vec::new(),
            max_call_s: 300,
            inactivity_s: 30,
            inactivity_prompts: 1,
            start_timeout_ms: 10_000,
            greeting: "Hello, you are talking to an AI assistant. How can I help you?".to_owned(),
            disclosure: "I am an AI assistant.".to_owned(),
            time_warning: "We have half a minute left.".to_owned(),
            goodbye: "I have to end this call now. Good-bye.".to_owned(),
            transfer_notice: "One moment, please. I am calling somebody who can help you."
                .to_owned(),
            inactivity_prompt: "Are you still there?".to_owned(),
            apology: "I am sorry, I cannot take your call right now. Please call again later."
                .to_owned(),
        }
    }
}

impl Telephony {
    /// Whether there is a telephone at all.
    pub const fn enabled(&self) -> bool {
        self.max_calls > 0
    }

    /// How long a call lasts at most, in s, that asks for `wanted_s`: never longer than the configuration says.
    pub fn lasting_s(&self, wanted_s: Option<u64>) -> u64 {
        let wanted_s = wanted_s.filter(|wanted| *wanted > 0);
        wanted_s.map_or(self.max_call_s, |wanted| wanted.min(self.max_call_s))
    }

    /// How long calls last here, for calls that ask for `max_call_s` seconds, or as long as the configuration says.
    pub fn limits(&self, max_call_s: Option<u64>) -> Limits {
        let lasting_s = self.lasting_s(max_call_s);
        Limits {
            silence_ms: self.inactivity_s * 1000,
            prompts: self.inactivity_prompts,
            ..Limits::lasting(lasting_s * 1000)
        }
    }

    /// The accounts with this carrier, and their names.
    pub fn accounts_with(&self, carrier: Dialect) -> impl Iterator<Item = (&str, &CarrierAccount)> {
        self.accounts
            .iter()
            .filter(move |(name, account)| account.dialect(name) == Some(carrier))
            .map(|(name, account)| (name.as_str(), account))
    }

    /// The number of this name, where the configuration has it.
    pub fn number(&self, number: &str) -> Option<&OwnNumber> {
        self.numbers.iter().find(|own| own.number == number)
    }

    /// Whether an account shows this number where a call names none: then it is the operator's.
    pub fn is_shown(&self, number: &str) -> bool {
        let mut shown = self.accounts.values().filter_map(|account| {
            let number = account.number.as_deref()?;
            E164::parse(number).ok()
        });
        shown.any(|own| own.as_str() == number)
    }
}

/// `[telephony.accounts.NAME]`: an account with a carrier. A NAME that is a carrier's (twilio, signalwire, telnyx, plivo, exotel,
/// vonage, genesys) needs no `carrier`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CarrierAccount {
    /// `twilio`, `signalwire`, `telnyx`, `plivo`, `exotel`, `vonage` or `genesys`; the account's name when unset.
    pub carrier: Option<String>,
    /// What the carrier calls the account: Twilio's account SID, `SignalWire`'s project id, Plivo's auth id, Vonage's application id,
    /// Exotel's account SID, the connection id of Telnyx. Also `TWILIO_ACCOUNT_SID` and `SIGNALWIRE_PROJECT_ID`, for the accounts
    /// of these names.
    pub account_id: Option<String>,
    /// The secret that goes with it: Twilio's and Plivo's auth token, `SignalWire`'s API token, the API key of Telnyx, the private key
    /// of Vonage's application, Exotel's API token. Also `TWILIO_AUTH_TOKEN` and `SIGNALWIRE_API_TOKEN`.
    #[schema(value_type = Option<String>, format = "password")]
    pub auth_token: Option<Secret>,
    /// Name of a further key: of an API key of Twilio's or Exotel's (the account and its token are used when unset), or the API key
    /// that Genesys sends.
    pub api_key_id: Option<String>,
    /// The secret of that API key.
    #[schema(value_type = Option<String>, format = "password")]
    pub api_secret: Option<Secret>,
    /// What the carrier signs its requests with, where that is not the auth token: `SignalWire`'s signing key, the public key of
    /// Telnyx, Vonage's signature secret, the client secret of Genesys (base64).
    #[schema(value_type = Option<String>, format = "password")]
    pub signing_key: Option<Secret>,
    /// What the carrier sends as it is when it opens a stream: `authBearerToken` of `SignalWire`, `stream_auth_token` of Telnyx,
    /// `NAME:PASSWORD` in the address that Exotel was given.
    #[schema(value_type = Option<String>, format = "password")]
    pub stream_token: Option<Secret>,
    /// Host of a `SignalWire` space, such as `example.signalwire.com`; also `SIGNALWIRE_SPACE_URL`.
    pub space_url: Option<String>,
    /// Address of the carrier's REST interface up to its version, in place of the carrier's own.
    pub base_url: Option<String>,
    /// Address of the Exotel flow that calls of ours are connected with, which ends in `/exoml/start_voice/APP`.
    pub flow_url: Option<String>,
    /// Calls that the carrier lets us place within a second, 1 to 1000.
    pub calls_per_second: u32,
    /// Our number that is shown to whoever is called, where a call names none: `+14155550100`. Also `TWILIO_PHONE_NUMBER` and
    /// `SIGNALWIRE_PHONE_NUMBER`.
    pub number: Option<String>,
    /// Tenants besides `default` that may give numbers of this account to their agents with `PUT /v1/phone_numbers/NUMBER`,
    /// and show them in calls of theirs.
    pub tenants: Vec<String>,
}

impl Default for CarrierAccount {
    fn default() -> Self {
        Self {
            carrier: None,
            account_id: None,
            auth_token: None,
            api_key_id: None,
            api_secret: None,
            signing_key: None,
            stream_token: None,
            space_url: None,
            base_url: None,
            flow_url: None,
            calls_per_second: 1,
            number: None,
            tenants: Vec::new(),
        }
    }
}

impl CarrierAccount {
    /// The carrier of the account called `name`, if it is one that we know.
    pub fn dialect(&self, name: &str) -> Option<Dialect> {
        Dialect::named(self.carrier.as_deref().unwrap_or(name))
            .filter(|dialect| *dialect != Dialect::Relay)
    }

    /// Whether `tenant` may use numbers of it that the configuration does not name.
    pub fn serves(&self, tenant: &str) -> bool {
        tenant == DEFAULT_TENANT || self.tenants.iter().any(|own| own == tenant)
    }
}

impl OwnNumber {
    /// Whose it is.
    pub fn tenant(&self) -> &str {
        let own = self.tenant.as_deref().filter(|own| !own.is_empty());
        own.unwrap_or(DEFAULT_TENANT)
    }
}

/// One of `[[telephony.numbers]]`: a number of ours and who answers it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnNumber {
    /// In international form: `+14155550100`.
    pub number: String,
    /// Name of the agent that answers.
    pub agent: Option<String>,
    /// The pipeline that answers where there is no agent; the default one when unset.
    pub pipeline: Option<String>,
    /// Whose it is; `default` when unset.
    pub tenant: Option<String>,
    /// In which project; the tenant's own when unset.
    pub project: Option<String>,
    /// The carrier account that it is with, by name; any when unset.
    pub account: Option<String>,
}

/// Names of LeadFlip's deployment and the keys they stand for.
pub(super) const ALIASES: [(&str, &str); 9] = [
    ("NEXT_PUBLIC_APP_URL", "telephony.external_url"),
    ("WEBSOCKET_SERVER_URL", "telephony.stream_url"),
    ("TWILIO_ACCOUNT_SID", "telephony.accounts.twilio.account_id"),
    ("TWILIO_AUTH_TOKEN", "telephony.accounts.twilio.auth_token"),
    ("TWILIO_PHONE_NUMBER", "telephony.accounts.twilio.number"),
    (
        "SIGNALWIRE_PROJECT_ID",
        "telephony.accounts.signalwire.account_id",
    ),
    (
        "SIGNALWIRE_API_TOKEN",
        "telephony.accounts.signalwire.auth_token",
    ),
    (
        "SIGNALWIRE_SPACE_URL",
        "telephony.accounts.signalwire.space_url",
    ),
    (
        "SIGNALWIRE_PHONE_NUMBER",
        "telephony.accounts.signalwire.number",
    ),
];

/// The first value of this section that is not accepted.
pub(super) fn check(config: &Config) -> Result<(), Problem> {
    let telephony = &config.telephony;
    within("telephony.max_calls", telephony.max_calls, 0..=100_000)?;
    within("telephony.max_call_s", telephony.max_call_s, 30..=3600)?;
    within("telephony.inactivity_s", telephony.inactivity_s, 5..=600)?;
    within(
        "telephony.inactivity_prompts",
        telephony.inactivity_prompts,
        0..=10,
    )?;
    within(
        "telephony.start_timeout_ms",
        telephony.start_timeout_ms,
        100..=60_000,
    )?;
    check_address(
        "telephony.external_url",
        telephony.external_url.as_deref(),
        &["https", "http"],
        "the address that carriers reach this server at, without path, such as https://voice.example",
    )?;
    check_address(
        "telephony.stream_url",
        telephony.stream_url.as_deref(),
        &["wss", "ws"],
        "an address of a WebSocket without query, such as wss://voice.example/telephony/twilio",
    )?;
    let further = config.listeners.iter().map(|listener| &listener.address);
    let on_loopback = further.chain([&config.server.listen]).all(|address| {
        let address = address.parse::<SocketAddr>();
        address.is_ok_and(|address| address.ip().is_loopback())
    });
    if telephony.allow_unsigned && !on_loopback {
        return problem(
            "telephony.allow_unsigned",
            "true",
            "false, for an address of this server is not on loopback: whoever reaches it could make calls",
        );
    }
    for (name, account) in &telephony.accounts {
        check_account(name, account)?;
    }
    check_numbers(telephony)
}

fn check_address(
    key: &'static str,
    address: Option<&str>,
    schemes: &[&str],
    expected: &'static str,
) -> Result<(), Problem> {
    let Some(address) = address else {
        return Ok(());
    };
    let usable = |url: &Url| {
        schemes.contains(&url.scheme())
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && (schemes[0] == "wss" || url.path() == "/")
    };
    if Url::parse(address).is_ok_and(|url| usable(&url)) {
        return Ok(());
    }
    // it may hold a password
    let shown = if address.contains('@') {
        Secret::HIDDEN
    } else {
        address
    };
    problem(key, shown, expected)
}

#[expect(
    clippy::too_many_lines,
    reason = "one rule after the other, each with its own words"
)]
fn check_account(name: &str, account: &CarrierAccount) -> Result<(), Problem> {
    let key = |key: &str| format!("telephony.accounts.{name}.{key}");
    let Some(dialect) = account.dialect(name) else {
        let known = Dialect::ALL.iter().filter(|one| **one != Dialect::Relay);
        let known: Vec<&str> = known.map(|dialect| dialect.name()).collect();
        let expected = format!("one of {}", known.join(", "));
        let given = account.carrier.as_deref().unwrap_or("not set");
        return problem(key("carrier"), given, expected);
    };
    let secrets: &[(&str, bool, &'static str)] = match dialect {
        Dialect::AudioHook => &[
            (
                "api_key_id",
                account.api_key_id.is_some(),
                "the API key of the integration",
            ),
            (
                "signing_key",
                account.signing_key.is_some(),
                "the client secret of the integration",
            ),
        ],
        Dialect::Telnyx | Dialect::Vonage => &[(
            "signing_key",
            account.signing_key.is_some(),
            "the key that the carrier's requests are checked with",
        )],
        Dialect::Exotel => &[(
            "stream_token",
            account
                .stream_token
                .as_ref()
                .is_some_and(|token| token.reveal().contains(':')),
            "NAME:PASSWORD, as in the address that Exotel was given",
        )],
        _ => &[
            (
                "account_id",
                account.account_id.is_some(),
                "what the carrier calls the account",
            ),
            (
                "auth_token",
                account.auth_token.is_some(),
                "the secret of the account",
            ),
        ],
    };
    if let Some((missing, _, expected)) = secrets.iter().find(|(_, is_set, _)| !is_set) {
        return problem(key(missing), "not set", *expected);
    }
    if account.api_secret.is_some() && account.api_key_id.is_none() {
        return problem(
            key("api_key_id"),
            "not set",
            "the name of the key whose secret is api_secret",
        );
    }
    if let Some(space) = &account.space_url {
        let host = space.trim_start_matches("https://").trim_end_matches('/');
        if Url::parse(&format!("https://{host}/")).is_err() || host.contains('/') {
            return problem(
                key("space_url"),
                space,
                "a host such as example.signalwire.com",
            );
        }
    } else if dialect == Dialect::SignalWire && account.base_url.is_none() {
        return problem(
            key("space_url"),
            "not set",
            "the host of the space, such as example.signalwire.com",
        );
    }
    if let Some(base) = &account.base_url
        && !Url::parse(base).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
    {
        return problem(
            key("base_url"),
            base,
            "an http or https address such as https://api.twilio.com/2010-04-01",
        );
    }
    if !(1..=1000).contains(&account.calls_per_second) {
        let given = account.calls_per_second.to_string();
        return problem(key("calls_per_second"), &given, "1 to 1000");
    }
    match account.number.as_deref().map(E164::parse) {
        Some(Err(error)) => problem(key("number"), Secret::HIDDEN, error.to_string()),
        _ => Ok(()),
    }
}

fn check_numbers(telephony: &Telephony) -> Result<(), Problem> {
    const KEY: &str = "telephony.numbers";
    for (at, own) in telephony.numbers.iter().enumerate() {
        match E164::parse(&own.number) {
            Err(error) => return problem(KEY, &own.number, error.to_string()),
            Ok(number) if number.as_str() != own.number => {
                let expected = format!("the number without spaces: {}", number.as_str());
                return problem(KEY, &own.number, expected);
            }
            Ok(_) => {}
        }
        if own.agent.is_some() && own.pipeline.is_some() {
            return problem(
                KEY,
                &own.number,
                "agent or pipeline, for an agent has a pipeline of its own",
            );
        }
        if let Some(account) = &own.account
            && !telephony.accounts.contains_key(account)
        {
            let expected = "an account that is one of telephony.accounts, or none";
            return problem(KEY, account, expected);
        }
        if telephony.numbers[..at]
            .iter()
            .any(|other| other.number == own.number)
        {
            return problem(KEY, &own.number, "each number once");
        }
    }
    Ok(())
}

fn problem(
    key: impl Into<Cow<'static, str>>,
    value: &str,
    expected: impl Into<Cow<'static, str>>,
) -> Result<(), Problem> {
    Err(Problem {
        key: key.into(),
        value: value.to_owned(),
        expected: expected.into(),
    })
}

#[cfg(test)]
mod tests;
