//! The text of an API key: `ap_`, a public id, a 256-bit secret, and a keyed checksum.
//! Used by `api_key`, which also knows what is stored.
//! Never touches the database.

use aws_lc_rs::{constant_time, hmac, rand};

use super::AuthError;

pub(super) const PREFIX: &str = "ap_";

/// Base-62 characters of the public id: 59 bits, so ids do not collide and need not be secret.
const ID_LENGTH: usize = 10;

/// Base-62 characters of the secret: 62^43 is just above 2^256.
const SECRET_LENGTH: usize = 43;

/// Base-62 characters of the checksum: a guess passes once in 5.6e10 times.
const CHECK_LENGTH: usize = 6;

const LENGTH: usize = PREFIX.len() + ID_LENGTH + SECRET_LENGTH + CHECK_LENGTH;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key's parts, borrowed from its text.
#[derive(Clone, Copy)]
pub(super) struct KeyText<'a> {
    /// Names the row.
    pub(super) id: &'a str,
    /// What Argon2id verifies.
    pub(super) secret: &'a str,
}

/// `length` characters from the system's source of randomness, uniform by rejection.
///
/// # Errors
/// [`AuthError::Hashing`] when the system gives no randomness.
pub(crate) fn random_text(length: usize) -> Result<String, AuthError> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        rand::fill(&mut bytes).map_err(|_| AuthError::Hashing)?;
        // 248 is the largest multiple of 62 below 256: bytes above it would favour the first characters
        let picks = bytes.iter().filter(|byte| **byte < 248);
        for byte in picks.take(length - text.len()) {
            text.push(char::from(ALPHABET[usize::from(byte % 62)]));
        }
    }
    Ok(text)
}

/// Makes the text of a new key, with its public id.
///
/// # Errors
/// [`AuthError::Hashing`] when the system gives no randomness.
pub(super) fn mint(checksum_key: &hmac::Key) -> Result<String, AuthError> {
    let mut text = String::with_capacity(LENGTH);
    text.push_str(PREFIX);
    text.push_str(&random_text(ID_LENGTH + SECRET_LENGTH)?);
    let check = checksum(checksum_key, &text);
    text.push_str(&check);
    Ok(text)
}

/// Takes a key's text apart; a wrong length, character or checksum ends here, before any real work.
///
/// # Errors
/// [`AuthError::Malformed`].
pub(super) fn parse<'a>(checksum_key: &hmac::Key, text: &'a str) -> Result<KeyText<'a>, AuthError> {
    let id = public_id(text).ok_or(AuthError::Malformed)?;
    let (body, check) = text.split_at(LENGTH - CHECK_LENGTH);
    let expected = checksum(checksum_key, body);
    constant_time::verify_slices_are_equal(check.as_bytes(), expected.as_bytes())
        .map_err(|_| AuthError::Malformed)?;
    Ok(KeyText {
        id,
        secret: &body[PREFIX.len() + ID_LENGTH..],
    })
}

/// The public id of a text in the form of a key, whether or not its checksum is right; safe to log.
pub(super) fn public_id(text: &str) -> Option<&str> {
    let body = text.strip_prefix(PREFIX)?;
    let formed = text.len() == LENGTH && body.bytes().all(|b| b.is_ascii_alphanumeric());
    formed.then(|| &body[..ID_LENGTH])
}

fn checksum(key: &hmac::Key, body: &str) -> String {
    let tag = hmac::sign(key, body.as_bytes());
    let mut number = tag
        .as_ref()
        .iter()
        .take(8)
        .fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    let mut text = String::with_capacity(CHECK_LENGTH);
    for _ in 0..CHECK_LENGTH {
        text.push(char::from(ALPHABET[(number % 62) as usize]));
        number /= 62;
    }
    text
}

/// A text with a right checksum that was never minted, as only somebody with the installation's key could write it.
#[cfg(test)]
pub(super) fn forge(checksum_key: &hmac::Key, id: &str, secret: &str) -> String {
    let body = format!("{PREFIX}{id}{secret}");
    let check = checksum(checksum_key, &body);
    format!("{body}{check}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[7; 32])
    }

    #[test]
    fn a_minted_key_parses_and_carries_256_bits() {
        let text = mint(&key()).unwrap();
        assert_eq!(text.len(), LENGTH);
        let parts = parse(&key(), &text).unwrap();
        assert_eq!(Some(parts.id), public_id(&text));
        assert!(parts.secret.len() as f64 * 62_f64.log2() >= 256.0);
        assert_ne!(text, mint(&key()).unwrap());
    }

    /// The original refused 22 % of its own keys: the random part could contain the separator.
    #[test]
    fn every_one_of_many_minted_keys_parses() {
        for _ in 0..20_000 {
            let text = mint(&key()).unwrap();
            assert!(parse(&key(), &text).is_ok(), "{text}");
        }
    }

    #[test]
    fn every_damaged_key_is_refused() {
        let text = mint(&key()).unwrap();
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'x' { b'y' } else { b'x' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert!(parse(&key(), &damaged).is_err(), "position {at}");
        }
        for wrong in ["", "ap_", "sk-abc", &text[1..], &format!("{text}0"), "ap_é"] {
            assert!(parse(&key(), wrong).is_err(), "{wrong}");
        }
        let other_installation = hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]);
        assert!(parse(&other_installation, &text).is_err());
    }
}
