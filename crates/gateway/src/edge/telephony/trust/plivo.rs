//! `X-Plivo-Signature-V3`: the address, the sorted parameters and a nonce (as in the vendor's own libraries;
//! <https://www.plivo.com/docs/voice/concepts/signature-validation>). Called by Plivo's routes.
//! Never accepts a request without the nonce.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::url::{Address, pairs};
use super::{Asked, Distrust, any_mac};

const SIGNATURE: &str = "x-plivo-signature-v3";
const NONCE: &str = "x-plivo-signature-v3-nonce";

/// Checks the signature under the account's auth token. The header may hold several, one for each of two tokens while
/// they are exchanged.
///
/// # Errors
/// See [`Distrust`].
pub fn verify(asked: &Asked<'_>, auth_token: &[u8]) -> Result<(), Distrust> {
    let nonce = asked.header(NONCE)?.trim();
    let signatures: Vec<Vec<u8>> = asked
        .header(SIGNATURE)?
        .split(',')
        .map(|text| STANDARD.decode(text.trim()))
        .collect::<Result<_, _>>()
        .map_err(|_| Distrust::Malformed(SIGNATURE))?;
    if nonce.is_empty() {
        return Err(Distrust::Malformed(NONCE));
    }
    if auth_token.is_empty() {
        return Err(Distrust::BadKey);
    }
    let address = Address::parse(asked.url).ok_or(Distrust::Mismatch)?;
    let rest = rest(asked, &address)?;
    let texts: Vec<String> = address
        .origins(false)
        .into_iter()
        .map(|origin| format!("{origin}{}{rest}.{nonce}", address.path))
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, auth_token);
    any_mac(&key, &texts, &signatures)
}

/// What stands between the path and the nonce: `?b=2&c=3` of the query, and for a form `.` or, without a query, `?`,
/// then the form's names and values without anything between.
fn rest(asked: &Asked<'_>, address: &Address<'_>) -> Result<String, Distrust> {
    let sorted = |mut pairs: Vec<(String, String)>| {
        pairs.sort();
        pairs
    };
    let query: Vec<String> = sorted(address.pairs())
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let query = query.join("&");
    if asked.body.is_empty() {
        return Ok(if query.is_empty() {
            query
        } else {
            format!("?{query}")
        });
    }
    if !asked.is_form() || !asked.method.eq_ignore_ascii_case("post") {
        return Err(Distrust::Mismatch);
    }
    let form: String = sorted(pairs(asked.body))
        .into_iter()
        .flat_map(|(name, value)| [name, value])
        .collect();
    let dot = if query.is_empty() { "" } else { "." };
    Ok(format!("?{query}{dot}{form}"))
}
