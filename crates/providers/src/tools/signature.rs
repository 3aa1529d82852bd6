//! Signatures by which a server knows that a request is ours: the Standard Webhooks scheme, for which there are
//! verifiers in every language (<https://github.com/standard-webhooks/standard-webhooks>).
//! Used by HTTP tools and by webhooks.
//! Never shows the secret.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

/// Prefix of secrets that are written in base64.
const PREFIX: &str = "whsec_";

/// The `webhook-signature` of `body`: HMAC-SHA256 over id, time and body, keyed by the secret's bytes, which are base64
/// behind `whsec_` and as they are otherwise.
pub(crate) fn sign(secret: &SecretString, id: &str, unix_s: i64, body: &[u8]) -> String {
    let secret = secret.expose_secret();
    let decoded = secret
        .strip_prefix(PREFIX)
        .and_then(|encoded| STANDARD.decode(encoded).ok());
    let key = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{id}.{unix_s}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the scheme's reference libraries.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
