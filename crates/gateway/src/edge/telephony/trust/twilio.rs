//! `X-Twilio-Signature` on callbacks, answer requests and upgrades (spec/telephony §2.7;
//! <https://www.twilio.com/docs/usage/security#validating-requests>). Called by Twilio's routes.
//! Never accepts a body that is neither a form under the signature nor hashed in the signed address.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::url::{Address, pairs};
use super::{Asked, Distrust, any_mac, from_hex, sha256};

const HEADER: &str = "x-twilio-signature";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An HTTP request.
    Request,
    /// A WebSocket upgrade: signed with `wss://`.
    Upgrade,
}

/// What a carrier writes into the header of a request to `url` with these fields of a form: for those who play one.
pub fn sign(url: &str, fields: &[(&str, &str)], auth_token: &[u8]) -> String {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let text = format!("{url}{}", joined(fields.collect()));
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token);
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// Checks the signature under the account's auth token.
///
/// # Errors
/// See [`Distrust`].
pub fn verify(asked: &Asked<'_>, kind: Kind, auth_token: &[u8]) -> Result<(), Distrust> {
    let signature = asked.header(HEADER)?;
    verify_text(asked, kind, auth_token, (HEADER, signature))
}

/// The same scheme under another header's name.
pub(super) fn verify_text(
    asked: &Asked<'_>,
    kind: Kind,
    auth_token: &[u8],
    (header, signature): (&'static str, &str),
) -> Result<(), Distrust> {
    if auth_token.is_empty() {
        return Err(Distrust::BadKey);
    }
    let signature = STANDARD
        .decode(signature.trim())
        .map_err(|_| Distrust::Malformed(header))?;
    let texts = signed_texts(asked, kind)?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token);
    any_mac(&key, &texts, &[signature])
}

/// Everything that a carrier may have signed for this request.
pub(super) fn signed_texts(asked: &Asked<'_>, kind: Kind) -> Result<Vec<String>, Distrust> {
    let address = Address::parse(asked.url).ok_or(Distrust::Mismatch)?;
    let upgrade = kind == Kind::Upgrade;
    let forms = address.forms(upgrade);
    if asked.body.is_empty() {
        let mut texts = forms;
        // whether the query of a socket is part of the address or of the parameters is told both ways
        if upgrade && address.query.is_some() {
            let parameters = joined(address.pairs());
            let bare = address.origins(true).into_iter();
            texts.extend(bare.map(|origin| format!("{origin}{}{parameters}", address.path)));
        }
        return Ok(texts);
    }
    if asked.is_form() {
        let parameters = joined(pairs(asked.body));
        return Ok(forms
            .into_iter()
            .map(|form| format!("{form}{parameters}"))
            .collect());
    }
    let hash = address
        .pairs()
        .into_iter()
        .find(|(name, _)| name == "bodySHA256")
        .and_then(|(_, value)| from_hex(&value))
        .ok_or(Distrust::Mismatch)?;
    constant_time::verify_slices_are_equal(&hash, &sha256(asked.body))
        .map_err(|_| Distrust::Mismatch)?;
    Ok(forms)
}

/// Names and values without anything between, by name; a value that stands twice counts once.
fn joined(mut pairs: Vec<(String, String)>) -> String {
    pairs.sort();
    pairs.dedup();
    pairs
        .into_iter()
        .flat_map(|(name, value)| [name, value])
        .collect()
}
