//! Whether a request comes from the carrier it claims to come from: each carrier's signature, and our own token per call.
//! Asked by the telephony routes before an upgrade is accepted or a callback is read; a failure is 403.
//! Never reads a clock or a store: the time is an argument, and a nonce that may be used once is handed back.
//!
//! A signature proves the carrier's account, not the call: bind that with [`token`], which also covers carriers that do
//! not sign (Exotel, and Vonage's sockets).

pub mod genesys;
pub mod plivo;
pub mod signalwire;
pub mod telnyx;
pub mod token;
pub mod twilio;
mod url;
pub mod vonage;

use aws_lc_rs::{constant_time, digest, hmac};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A request as its sender made it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The address as the carrier saw it: our public base address, the path and the query, untouched. `https://` also
    /// for an upgrade.
    pub url: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, byte by byte; empty for an upgrade.
    pub body: &'a [u8],
}

/// Why a request is not believed. It says nothing about secrets and may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It is not signed: this header is missing.
    #[error("the request has no {0} header")]
    Missing(&'static str),
    /// This header is not what it should be.
    #[error("the {0} header is malformed")]
    Malformed(&'static str),
    /// The signature is not that of this request under our secret.
    #[error("the signature does not match the request")]
    Mismatch,
    /// It was signed too long ago, or in the future, or has expired.
    #[error("the signature is not of now")]
    Stale,
    /// The secret or key that we were given for this carrier cannot be one.
    #[error("the configured key of this carrier is not a key")]
    BadKey,
}

impl<'a> Asked<'a> {
    fn header(&self, name: &'static str) -> Result<&'a str, Distrust> {
        let value = self.headers.get(name).ok_or(Distrust::Missing(name))?;
        value.to_str().map_err(|_| Distrust::Malformed(name))
    }

    fn is_form(&self) -> bool {
        self.headers
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| {
                kind.trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            })
    }
}

/// Something that may be used once. The caller remembers `id` until `until_s` and refuses the request when it already
/// knows it, in a store that all servers share.
#[must_use = "a nonce that is not remembered can be used again"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// What to remember.
    pub id: String,
    /// Until when, in seconds since 1970.
    pub until_s: u64,
}

/// A secret that carriers send as it is: `Authorization: Bearer …` (`SignalWire`'s `authBearerToken`, Vonage's endpoint),
/// or a header of its own (Telnyx' `x-telnyx-streaming-auth-token`).
///
/// # Errors
/// The header is missing or holds another secret; an empty secret is none.
pub fn shared_secret(
    asked: &Asked<'_>,
    header: &'static str,
    secret: &[u8],
) -> Result<(), Distrust> {
    let value = asked.header(header)?;
    let given = if header == "authorization" {
        let (scheme, token) = value.split_once(' ').ok_or(Distrust::Malformed(header))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Distrust::Malformed(header));
        }
        token.trim()
    } else {
        value.trim()
    };
    if secret.is_empty() {
        return Err(Distrust::BadKey);
    }
    same(given.as_bytes(), secret)
}

/// A name and a password in the address of the socket, as Exotel sends them: `Authorization: Basic …`.
///
/// # Errors
/// The header is missing or holds others; an empty password is none.
pub fn basic(asked: &Asked<'_>, name: &str, password: &str) -> Result<(), Distrust> {
    const HEADER: &str = "authorization";
    let value = asked.header(HEADER)?;
    let (scheme, text) = value.split_once(' ').ok_or(Distrust::Malformed(HEADER))?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Distrust::Malformed(HEADER));
    }
    let given = STANDARD
        .decode(text.trim())
        .map_err(|_| Distrust::Malformed(HEADER))?;
    if password.is_empty() {
        return Err(Distrust::BadKey);
    }
    same(&given, format!("{name}:{password}").as_bytes())
}

/// Compares two secrets in a time that tells nothing about them, their lengths included.
fn same(given: &[u8], secret: &[u8]) -> Result<(), Distrust> {
    let (given, secret) = (sha256(given), sha256(secret));
    constant_time::verify_slices_are_equal(&given, &secret).map_err(|_| Distrust::Mismatch)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// Whether any of `signatures` is the MAC of any of `texts`; constant in the secret.
fn any_mac(key: &hmac::Key, texts: &[String], signatures: &[Vec<u8>]) -> Result<(), Distrust> {
    let mut found = false;
    for text in texts {
        for signature in signatures {
            found |= hmac::verify(key, text.as_bytes(), signature).is_ok();
        }
    }
    found.then_some(()).ok_or(Distrust::Mismatch)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect::<Option<Vec<u8>>>()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // writing to a `String` cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
