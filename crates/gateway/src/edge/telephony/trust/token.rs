//! Our token in a stream's parameters: it binds a socket to one call, for a short time, once (spec/telephony §2.7).
//! Minted for every answer document, checked at every start.
//! Never stored: it proves itself; only its nonce is remembered once it was used.
//!
//! It consists of hexadecimal digits alone, because Plivo passes on nothing but letters and digits.

use aws_lc_rs::hmac;

use super::{Distrust, Once, from_hex, to_hex};

/// The name of the parameter.
pub const PARAMETER: &str = "token";

/// How long a token may be used, in seconds: from the answer document to the start of the stream.
pub const LIFETIME_S: u64 = 120;

/// Characters of a token: expiry, nonce, and a MAC of both and of the call.
pub const LENGTH: usize = 16 + 32 + 64;

/// A token for the call `(tenant, call_id)` that expires at `expires_s` (seconds since 1970). `nonce` is random.
pub fn mint(key: &hmac::Key, call: (&str, &str), expires_s: u64, nonce: [u8; 16]) -> String {
    let head = format!("{expires_s:016x}{}", to_hex(&nonce));
    let mac = hmac::sign(key, signed(&head, call).as_bytes());
    format!("{head}{}", to_hex(mac.as_ref()))
}

/// Checks that `token` was minted under `key` for the call `(tenant, call_id)` and has not expired. `key` is HMAC-SHA256.
///
/// # Errors
/// [`Distrust::Malformed`], [`Distrust::Mismatch`] or [`Distrust::Stale`].
pub fn check(
    key: &hmac::Key,
    call: (&str, &str),
    token: &str,
    now_s: u64,
) -> Result<Once, Distrust> {
    let malformed = Distrust::Malformed(PARAMETER);
    if token.len() != LENGTH || !token.is_ascii() {
        return Err(malformed);
    }
    let (head, mac) = token.split_at(16 + 32);
    let mac = from_hex(mac).ok_or(malformed)?;
    let (expiry, nonce) = head.split_at(16);
    hmac::verify(key, signed(head, call).as_bytes(), &mac).map_err(|_| Distrust::Mismatch)?;
    let expires_s = u64::from_str_radix(expiry, 16).map_err(|_| malformed)?;
    if expires_s < now_s {
        return Err(Distrust::Stale);
    }
    Ok(Once {
        id: format!("token:{nonce}"),
        until_s: expires_s,
    })
}

/// The head has a fixed length and the tenant says its own, so that no two calls make the same text. Ids are a tenant's
/// own: two tenants may have a call of the same id.
fn signed(head: &str, (tenant, call_id): (&str, &str)) -> String {
    let length = tenant.len();
    format!("antiphon stream token {head}{length:08x}{tenant}{call_id}")
}
