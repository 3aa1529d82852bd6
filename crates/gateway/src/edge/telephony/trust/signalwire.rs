//! `SignalWire`'s signatures: Twilio's scheme for cXML, a plain one over the raw body for JSON, and the newer SHA-256 of both
//! (spec/telephony §2.7; <https://developer.signalwire.com/guides/webhook-security>). Called by `SignalWire`'s routes.
//! Never falls back to a weaker header when the stronger one is there.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::twilio::{self, Kind};
use super::url::Address;
use super::{Asked, Distrust, any_mac, from_hex};

const SHA256: &str = "x-signalwire-sha256-signature";
const SHA1: &str = "x-signalwire-signature";
/// The old name of the same.
const ALIAS: &str = "x-twilio-signature";

/// Checks the signature under the project's signing key.
///
/// # Errors
/// See [`Distrust`].
pub fn verify(asked: &Asked<'_>, kind: Kind, signing_key: &[u8]) -> Result<(), Distrust> {
    if signing_key.is_empty() {
        return Err(Distrust::BadKey);
    }
    let (header, algorithm) = if asked.headers.contains_key(SHA256) {
        (SHA256, hmac::HMAC_SHA256)
    } else if asked.headers.contains_key(SHA1) {
        (SHA1, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)
    } else {
        (ALIAS, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)
    };
    let key = hmac::Key::new(algorithm, signing_key);
    let text = asked.header(header)?.trim();
    if let Some(signature) = from_hex(text) {
        return any_mac(&key, &plain_texts(asked, kind)?, &[signature]);
    }
    let signature = STANDARD
        .decode(text)
        .map_err(|_| Distrust::Malformed(header))?;
    any_mac(&key, &twilio::signed_texts(asked, kind)?, &[signature])
}

/// The address and the raw body behind it.
fn plain_texts(asked: &Asked<'_>, kind: Kind) -> Result<Vec<String>, Distrust> {
    let address = Address::parse(asked.url).ok_or(Distrust::Mismatch)?;
    // a body that is no text is none of theirs
    let body = std::str::from_utf8(asked.body).map_err(|_| Distrust::Mismatch)?;
    Ok(address
        .forms(kind == Kind::Upgrade)
        .into_iter()
        .map(|form| format!("{form}{body}"))
        .collect())
}
