//! Answer documents: what a carrier is told to do with a call, as typed steps (spec/telephony §2.5, §3.1).
//! Written by the gateway when a carrier asks what to do with a call, or redirects one.
//! Never pastes text: everything is escaped, and what a carrier cannot do or hold is a typed error.
//!
//! A two-way stream blocks the document until our socket closes; then the next step follows. So closing the socket hands
//! the call over to what stands behind the stream, which is how to transfer without REST.

mod json;
mod markup;
mod xml;

use super::format::Format;

pub use json::{exotel, ncco};
pub use markup::{Markup, document};

/// One thing the carrier does with the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Connect our socket with the call, both ways.
    Stream(Stream<'a>),
    /// Send us a copy of both directions and go on at once. We must not answer on that socket.
    Watch(Stream<'a>),
    /// Connect the call with us in text mode.
    Relay(Relay<'a>),
    /// Speak.
    Say(Speech<'a>),
    /// Play a sound file.
    Play(&'a str),
    /// Press keys; `w` waits half a second.
    Keys(&'a str),
    /// Wait, in seconds.
    Pause(u32),
    /// Connect the call with a number.
    Dial(Dial<'a>),
    /// Put the call into a conference: how a human is briefed before the caller comes in.
    Conference(Conference<'a>),
    /// Ask this URL what to do next.
    Redirect(&'a str),
    /// End the call.
    Hangup,
    /// Do not even answer it. Only as the first step of an incoming call.
    Reject(Reject),
}

/// A media stream to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stream<'a> {
    /// Our socket: `wss://`, or `ws://` on this machine. Twilio and those like it allow no query.
    pub url: &'a str,
    /// What the start will carry: our call id and its token. Plivo takes letters and digits only.
    pub parameters: &'a [(&'a str, &'a str)],
    /// The audio we want. Twilio has µ-law only.
    pub format: Format,
    /// Where the carrier reports about the stream.
    pub status_callback: Option<&'a str>,
    /// Whom the carrier asks what to do when the stream is over.
    pub action: Option<&'a str>,
    /// A token for the `Authorization` header of the upgrade (`SignalWire`, Vonage).
    pub bearer: Option<&'a str>,
}

/// A conversation in text mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relay<'a> {
    /// Our socket: `wss://`.
    pub url: &'a str,
    /// What the setup will carry.
    pub parameters: &'a [(&'a str, &'a str)],
    /// What is said first.
    pub welcome: Option<&'a str>,
    /// Of both voice and transcription, as a tag such as `en-US`.
    pub language: Option<&'a str>,
    /// The voice's vendor and name.
    pub voice: Option<(&'a str, &'a str)>,
    /// The transcription's vendor and model.
    pub transcription: Option<(&'a str, &'a str)>,
    /// Words that the transcription should expect, separated by commas.
    pub hints: Option<&'a str>,
    /// Whom the carrier asks what to do when the session is over.
    pub action: Option<&'a str>,
}

/// Words that the carrier speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Speech<'a> {
    /// The words.
    pub text: &'a str,
    /// The carrier's name of a voice.
    pub voice: Option<&'a str>,
    /// The language as a tag such as `en-US`.
    pub language: Option<&'a str>,
}

/// A call to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dial<'a> {
    /// Whom: digits, with or without `+`.
    pub to: &'a str,
    /// The number that is shown.
    pub caller_id: Option<&'a str>,
    /// How long it may ring, in seconds.
    pub timeout_s: Option<u32>,
    /// Whom the carrier asks what to do when that call is over.
    pub action: Option<&'a str>,
}

/// A room for several calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conference<'a> {
    /// Its name; calls that name the same meet.
    pub name: &'a str,
    /// Who this is in it.
    pub role: Role,
    /// What is played while waiting.
    pub wait_url: Option<&'a str>,
}

/// What somebody may do in a conference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Waits for a host; the room lives on without them.
    #[default]
    Guest,
    /// The room begins with them and ends with them.
    Host,
}

/// Why a call is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reject {
    /// The busy tone: all our places are taken.
    Busy,
    /// Not in service.
    #[default]
    Rejected,
}

impl Reject {
    const fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Rejected => "rejected",
        }
    }
}

/// Why a document cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// A character that XML does not have.
    #[error("the character U+{:04X} cannot stand in a document", u32::from(*.0))]
    Character(char),
    /// A step that this carrier does not have in its documents.
    #[error("this carrier's documents have no such step; use its REST interface")]
    NoSuchStep,
    /// An address that is not what it should be: `wss://` for streams, `https://` or `http://` for everything else,
    /// without blanks, and for Twilio's streams without a query.
    #[error(
        "the address must be wss:// for a stream, http(s):// otherwise, and may hold no blanks; a stream of twilio's no query"
    )]
    Url,
    /// A number that is not 3 to 15 digits, with or without `+`.
    #[error("a telephone number has 3 to 15 digits and may begin with +")]
    Number,
    /// Keys that telephones do not have, or none.
    #[error("keys are 0-9, *, #, A-D, and w to wait")]
    Keys,
    /// Audio that this carrier does not stream.
    #[error("this carrier does not stream audio in that format")]
    Format,
    /// A custom parameter that is too long, or one too many.
    #[error("the custom parameters have {size} {unit} and may have {limit}")]
    ParameterSize {
        /// What they have.
        size: usize,
        /// What they may have.
        limit: usize,
        /// In which unit.
        unit: &'static str,
    },
    /// A custom parameter with an empty name, a name twice, or characters that the carrier does not pass on.
    #[error(
        "a custom parameter has no name, the name of another, or characters that this carrier drops"
    )]
    ParameterText,
}

/// A socket's address.
fn socket_url(url: &str) -> Result<&str, Unwritable> {
    let local = ["ws://127.0.0.1", "ws://localhost", "ws://[::1]"];
    let loopback = local.iter().any(|host| {
        url.strip_prefix(host)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    });
    check_url(url, loopback || has_host(url, "wss://"))
}

/// Any other address.
fn web_url(url: &str) -> Result<&str, Unwritable> {
    check_url(url, has_host(url, "https://") || has_host(url, "http://"))
}

fn has_host(url: &str, scheme: &str) -> bool {
    url.strip_prefix(scheme)
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']))
}

fn check_url(url: &str, known: bool) -> Result<&str, Unwritable> {
    let clean = !url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#');
    (known && clean).then_some(url).ok_or(Unwritable::Url)
}

fn number(number: &str) -> Result<&str, Unwritable> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let good = (3..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    good.then_some(number).ok_or(Unwritable::Number)
}

fn keys(keys: &str) -> Result<&str, Unwritable> {
    let good = |key| matches!(key, '0'..='9' | '*' | '#' | 'A'..='D' | 'w');
    (!keys.is_empty() && keys.chars().all(good))
        .then_some(keys)
        .ok_or(Unwritable::Keys)
}

/// Names are there and differ.
fn parameter_names(parameters: &[(&str, &str)]) -> Result<(), Unwritable> {
    let repeated =
        |index: usize, name: &str| parameters[..index].iter().any(|(other, _)| *other == name);
    let bad = parameters
        .iter()
        .enumerate()
        .any(|(index, (name, _))| name.is_empty() || repeated(index, name));
    if bad {
        return Err(Unwritable::ParameterText);
    }
    Ok(())
}

const fn fits(size: usize, limit: usize, unit: &'static str) -> Result<(), Unwritable> {
    if size > limit {
        return Err(Unwritable::ParameterSize { size, limit, unit });
    }
    Ok(())
}
