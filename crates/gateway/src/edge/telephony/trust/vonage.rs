//! Vonage's signed callbacks: a JWT (HS256) with a hash of the body in it
//! (<https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks>). Called by Vonage's routes.
//! Never believes the token's own word about its algorithm: HS256 and nothing else. Sockets carry what the answer document
//! put into `authorization`: [`super::shared_secret`].

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::{Asked, Distrust, from_hex, sha256};

const HEADER: &str = "authorization";

/// How far the time of signing may be from ours, in seconds.
pub const TOLERANCE_S: u64 = 300;

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iat: u64,
    exp: Option<u64>,
    payload_hash: Option<String>,
}

/// Checks the token under the account's signature secret, and the body against the hash in it.
///
/// # Errors
/// See [`Distrust`].
pub fn verify(asked: &Asked<'_>, signature_secret: &[u8], now_s: u64) -> Result<(), Distrust> {
    let malformed = Distrust::Malformed(HEADER);
    let value = asked.header(HEADER)?;
    let (scheme, token) = value.split_once(' ').ok_or(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed);
    }
    if signature_secret.is_empty() {
        return Err(Distrust::BadKey);
    }
    let (signed, signature) = token.trim().rsplit_once('.').ok_or(malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(malformed)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed);
    let key = hmac::Key::new(hmac::HMAC_SHA256, signature_secret);
    hmac::verify(&key, signed.as_bytes(), &decode(signature)?).map_err(|_| Distrust::Mismatch)?;
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| malformed)?;
    let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| malformed)?;
    if header.alg != "HS256" {
        return Err(malformed);
    }
    match claims.payload_hash {
        Some(hash) => {
            let hash = from_hex(&hash).ok_or(malformed)?;
            constant_time::verify_slices_are_equal(&hash, &sha256(asked.body))
                .map_err(|_| Distrust::Mismatch)?;
        }
        None if asked.body.is_empty() => {}
        None => return Err(Distrust::Mismatch),
    }
    let expired = claims.exp.is_some_and(|exp| exp < now_s);
    if expired || now_s.abs_diff(claims.iat) > TOLERANCE_S {
        return Err(Distrust::Stale);
    }
    Ok(())
}
