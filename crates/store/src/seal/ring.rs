//! A ring of keys from the configuration: the first wraps, every one of them unwraps.
//! Read by the gateway from a file or the environment.
//! Never shows a key, only its name.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{DataKey, KEY_BYTES, KeyError};

/// What wrapped keys of a ring begin with.
const PREFIX: &str = "ring:1:";
/// Longest name of a key, in characters.
const NAME_MAX: usize = 32;

/// Why a text is no ring. Nothing of the text is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// There is no key in it.
    #[error("at least one key, written NAME:BASE64")]
    Empty,
    /// A key has no name, or a strange one.
    #[error("a name of at most 32 letters, digits, - and _ before the colon of every key")]
    Name,
    /// Two keys have one name.
    #[error("a name of its own for every key")]
    Twice,
    /// What follows the name is no key.
    #[error(
        "32 bytes as base64 after the colon of every key, such as `openssl rand -base64 32` prints"
    )]
    Key,
}

/// Keys with names, the newest first.
pub struct Ring {
    keys: Vec<(String, DataKey)>,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.keys.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl Ring {
    /// Reads `NAME:BASE64` keys, the newest first, between commas or line breaks; lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// [`RingError`].
    pub fn parse(text: &str) -> Result<Self, RingError> {
        let mut keys: Vec<(String, DataKey)> = Vec::new();
        let entries = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        for entry in entries {
            let (name, key) = entry.split_once(':').ok_or(RingError::Name)?;
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(fits) {
                return Err(RingError::Name);
            }
            if keys.iter().any(|(known, _)| known == name) {
                return Err(RingError::Twice);
            }
            let key = STANDARD.decode(key.trim()).map_err(|_| RingError::Key)?;
            if key.len() != KEY_BYTES {
                return Err(RingError::Key);
            }
            let key = DataKey::new(&key).map_err(|_| RingError::Key)?;
            keys.push((name.to_owned(), key));
        }
        if keys.is_empty() {
            return Err(RingError::Empty);
        }
        Ok(Self { keys })
    }

    pub(super) fn wrap(&self, key: &[u8]) -> Result<String, KeyError> {
        let (name, wrapping) = &self.keys[0];
        let wrapped = wrapping.seal(PREFIX.as_bytes(), key)?;
        Ok(format!("{PREFIX}{name}:{}", STANDARD.encode(wrapped)))
    }

    pub(super) fn unwrap(&self, wrapped: &str) -> Result<Vec<u8>, KeyError> {
        let (name, wrapped) = parts(wrapped)?;
        let (_, wrapping) = self
            .keys
            .iter()
            .find(|(known, _)| known == name)
            .ok_or_else(|| KeyError::Missing(name.to_owned()))?;
        let wrapped = STANDARD.decode(wrapped).map_err(|_| KeyError::Damaged)?;
        wrapping.open(PREFIX.as_bytes(), &wrapped)
    }

    pub(super) fn renew(&self, wrapped: &str) -> Result<Option<String>, KeyError> {
        if parts(wrapped)?.0 == self.keys[0].0 {
            return Ok(None);
        }
        self.wrap(&self.unwrap(wrapped)?).map(Some)
    }
}

/// The name of the key and what it wrapped.
fn parts(wrapped: &str) -> Result<(&str, &str), KeyError> {
    wrapped
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once(':'))
        .ok_or(KeyError::Foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; KEY_BYTES])
    }

    #[test]
    fn the_first_key_wraps_and_all_unwrap() {
        let old = Ring::parse(&format!("k1:{}", key(1))).unwrap();
        let wrapped = old.wrap(&[9; 32]).unwrap();
        assert_eq!(old.unwrap(&wrapped).unwrap(), [9; 32]);
        assert_eq!(old.renew(&wrapped), Ok(None));

        let both = format!("# newest first\nk2:{}\n\n k1:{} \n", key(2), key(1));
        let both = Ring::parse(&both).unwrap();
        assert_eq!(both.unwrap(&wrapped).unwrap(), [9; 32]);
        let renewed = both.renew(&wrapped).unwrap().unwrap();
        assert!(renewed.starts_with("ring:1:k2:"), "{renewed}");

        let new = Ring::parse(&format!("k2:{}", key(2))).unwrap();
        assert_eq!(new.unwrap(&renewed).unwrap(), [9; 32]);
        assert_eq!(
            new.unwrap(&wrapped),
            Err(KeyError::Missing("k1".to_owned()))
        );
        let namesake = Ring::parse(&format!("k2:{}", key(3))).unwrap();
        assert_eq!(namesake.unwrap(&renewed), Err(KeyError::Damaged));
        assert_eq!(new.unwrap("vault:v1:abc"), Err(KeyError::Foreign));
    }

    #[test]
    fn what_is_no_ring_is_refused_without_showing_it() {
        for (text, error) in [
            (String::new(), RingError::Empty),
            ("# nothing".to_owned(), RingError::Empty),
            (key(1), RingError::Name),
            (format!(":{}", key(1)), RingError::Name),
            (format!("a b:{}", key(1)), RingError::Name),
            (format!("{}:{}", "x".repeat(33), key(1)), RingError::Name),
            ("k1:c2hvcnQ=".to_owned(), RingError::Key),
            ("k1:???".to_owned(), RingError::Key),
            (format!("k1:{},k1:{}", key(1), key(2)), RingError::Twice),
        ] {
            assert_eq!(Ring::parse(&text).err(), Some(error), "{text}");
        }
        let ring = Ring::parse(&format!("k1:{}", key(1))).unwrap();
        assert_eq!(format!("{ring:?}"), r#"["k1"]"#);
    }
}
