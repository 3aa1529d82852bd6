//! Telnyx' Ed25519 signature over the time and the raw body of a callback
//! (<https://developers.telnyx.com/development/api-fundamentals/webhooks/receiving-webhooks>). Called by Telnyx' routes.
//! Never accepts a callback that is older than [`TOLERANCE_S`]. Sockets carry a shared secret instead: [`super::shared_secret`].

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Asked, Distrust};

const SIGNATURE: &str = "telnyx-signature-ed25519";
const TIMESTAMP: &str = "telnyx-timestamp";

/// The header that carries `stream_auth_token` on the upgrade.
pub const STREAM_TOKEN: &str = "x-telnyx-streaming-auth-token";

/// How far the time of signing may be from ours, in seconds; what the vendor's own libraries allow.
pub const TOLERANCE_S: u64 = 300;

/// Checks the signature under the account's public key, which is base64 of 32 bytes. Within the tolerance the same
/// callback can come twice; callbacks are idempotent anyway.
///
/// # Errors
/// See [`Distrust`].
pub fn verify(asked: &Asked<'_>, public_key: &str, now_s: u64) -> Result<(), Distrust> {
    let signature = STANDARD
        .decode(asked.header(SIGNATURE)?.trim())
        .map_err(|_| Distrust::Malformed(SIGNATURE))?;
    let timestamp = asked.header(TIMESTAMP)?;
    let signed_s: u64 = timestamp
        .parse()
        .map_err(|_| Distrust::Malformed(TIMESTAMP))?;
    let key = STANDARD
        .decode(public_key.trim())
        .ok()
        .filter(|key| key.len() == 32)
        .ok_or(Distrust::BadKey)?;
    let mut text = format!("{timestamp}|").into_bytes();
    text.extend_from_slice(asked.body);
    UnparsedPublicKey::new(&ED25519, key)
        .verify(&text, &signature)
        .map_err(|_| Distrust::Mismatch)?;
    if now_s.abs_diff(signed_s) > TOLERANCE_S {
        return Err(Distrust::Stale);
    }
    Ok(())
}
