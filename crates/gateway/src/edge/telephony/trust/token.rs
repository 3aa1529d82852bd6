//! Our token in a stream's parameters: it binds a socket to one attempt at a call, for a short time, once (spec/telephony §2.7).
//! Minted for every answer document, checked at every start; another of its kind is in the addresses that carriers are given.
//! Never stored: it proves itself; only its nonce is remembered once it was used.
//!
//! It consists of hexadecimal digits alone, because Plivo passes on nothing but letters and digits.

use aws_lc_rs::hmac;

use super::{Distrust, Once, from_hex, to_hex};

/// The name of the parameter.
pub const PARAMETER: &str = "token";

/// How long a token may be used, in seconds: from the answer document to the start of the stream.
pub const LIFETIME_S: u64 = 120;

/// Characters of a token: expiry, nonce, attempt, and a MAC of them, of the purpose and of the call.
pub const LENGTH: usize = HEAD + 64;

/// Characters before the MAC.
const HEAD: usize = NONCE + 8;
/// Where the nonce ends.
const NONCE: usize = 16 + 32;

/// What a token is good for: one for an address that a carrier keeps for hours opens no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A stream of the call, once.
    Stream,
    /// The call's addresses, as often as the carrier comes.
    Address,
}

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Address => "address",
        }
    }
}

/// What a good token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// To be used up, where it may be used once.
    pub once: Once,
    /// The attempt at the call.
    pub attempt: i64,
}

/// A token for an attempt at the call `(purpose, tenant, call_id)` that expires at `expires_s` (seconds since 1970). `nonce` is
/// random.
pub fn mint(
    key: &hmac::Key,
    call: (Purpose, &str, &str),
    attempt: i64,
    expires_s: u64,
    nonce: [u8; 16],
) -> String {
    let attempt = u32::try_from(attempt).unwrap_or_default();
    let head = format!("{expires_s:016x}{}{attempt:08x}", to_hex(&nonce));
    let mac = hmac::sign(key, signed(&head, call).as_bytes());
    format!("{head}{}", to_hex(mac.as_ref()))
}

/// Checks that `token` was minted under `key` for the call `(purpose, tenant, call_id)` and has not expired. `key` is
/// HMAC-SHA256.
///
/// # Errors
/// [`Distrust::Malformed`], [`Distrust::Mismatch`] or [`Distrust::Stale`].
pub fn check(
    key: &hmac::Key,
    call: (Purpose, &str, &str),
    token: &str,
    now_s: u64,
) -> Result<Proof, Distrust> {
    let malformed = Distrust::Malformed(PARAMETER);
    if token.len() != LENGTH || !token.is_ascii() {
        return Err(malformed);
    }
    let (head, mac) = token.split_at(HEAD);
    let mac = from_hex(mac).ok_or(malformed)?;
    hmac::verify(key, signed(head, call).as_bytes(), &mac).map_err(|_| Distrust::Mismatch)?;
    let (expiry, attempt) = (&head[..16], &head[NONCE..]);
    let expires_s = u64::from_str_radix(expiry, 16).map_err(|_| malformed)?;
    let attempt = u32::from_str_radix(attempt, 16).map_err(|_| malformed)?;
    if expires_s < now_s {
        return Err(Distrust::Stale);
    }
    Ok(Proof {
        once: Once {
            id: format!("token:{}", &head[16..NONCE]),
            until_s: expires_s,
        },
        attempt: i64::from(attempt),
    })
}

/// The head has a fixed length and the tenant says its own, so that no two calls make the same text; of the two purposes none
/// begins with the other. Ids are a tenant's own: two tenants may have a call of the same id.
fn signed(head: &str, (purpose, tenant, call_id): (Purpose, &str, &str)) -> String {
    let (word, length) = (purpose.word(), tenant.len());
    format!("antiphon {word} token {head}{length:08x}{tenant}{call_id}")
}
