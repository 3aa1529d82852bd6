//! Sealing of what was said: AES-256-GCM with a key of each tenant, which is itself wrapped by a key outside the database.
//! Used by [`crate::sql`] for the columns that hold speech and settings, and by [`crate::journal`].
//! Never writes a key in the clear, and never shows one.
//!
//! A sealed value is a byte 1, the number of the data key (4 bytes, big-endian), a nonce (12 bytes) and the text with its
//! tag. Tenant, table and row are authenticated with it: a value that was moved to another row does not open. A value
//! that begins otherwise is plain; everything that is stored plain is JSON and begins with `{`.

mod ring;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

pub use self::ring::{Ring, RingError};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// First byte of a sealed value.
const SEALED: u8 = 1;
/// Bytes before the sealed text: that one, the number of the key, the nonce.
const HEAD: usize = 1 + 4 + NONCE_LEN;
/// How often a process seals with one data key before it makes the next: nonces are drawn, and 2^32 of them are the limit of
/// NIST SP 800-38D §8.3 for all processes together.
const SEALS_MAX: u64 = 1 << 28;
/// Data keys kept open; one more, and all are forgotten and asked for again.
const OPEN_MAX: usize = 4096;

/// Why something cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It was sealed, and there are no keys.
    #[error(
        "it is sealed and there are no keys: set encryption.keys, encryption.key_file or encryption.vault_address"
    )]
    NoKeys,
    /// The key that wrapped its data key is not there.
    #[error(
        "the key '{0}' is missing: it must stay in encryption.keys until everything is wrapped by a newer one"
    )]
    Missing(String),
    /// What should be a wrapped key is none of this source.
    #[error("a data key is not wrapped by the configured source of keys")]
    Foreign,
    /// It does not open: it was changed, moved, or sealed for another place.
    #[error("it does not open: it was changed or moved")]
    Damaged,
    /// Whoever keeps the keys refuses or cannot be reached; the text says what to do.
    #[error("the keeper of the keys: {0}")]
    Keeper(String),
    /// Whoever keeps the keys says nothing; so many ms were waited.
    #[error("the keeper of the keys: no answer within {0} ms")]
    Silent(u128),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// Somebody outside who wraps data keys and never shows the key he wraps them with.
#[async_trait]
pub trait Keeper: std::fmt::Debug + Send + Sync {
    /// Wraps a data key.
    async fn wrap(&self, key: &[u8]) -> Result<String, KeyError>;
    /// The data key inside.
    async fn unwrap(&self, wrapped: &str) -> Result<Vec<u8>, KeyError>;
    /// The same data key under the newest key, or `None` when it is.
    async fn renew(&self, wrapped: &str) -> Result<Option<String>, KeyError>;
}

/// Where data keys are wrapped.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// By keys of the configuration.
    Ring(Arc<Ring>),
    /// By somebody else.
    Keeper(Arc<dyn Keeper>),
}

impl KeySource {
    pub(crate) async fn wrap(&self, key: &[u8]) -> Result<String, KeyError> {
        match self {
            Self::Ring(ring) => ring.wrap(key),
            Self::Keeper(keeper) => keeper.wrap(key).await,
        }
    }

    pub(crate) async fn unwrap(&self, wrapped: &str) -> Result<DataKey, KeyError> {
        let key = match self {
            Self::Ring(ring) => ring.unwrap(wrapped)?,
            Self::Keeper(keeper) => keeper.unwrap(wrapped).await?,
        };
        DataKey::new(&key)
    }

    pub(crate) async fn renew(&self, wrapped: &str) -> Result<Option<String>, KeyError> {
        match self {
            Self::Ring(ring) => ring.renew(wrapped),
            Self::Keeper(keeper) => keeper.renew(wrapped).await,
        }
    }
}

/// A fresh key.
pub(crate) fn fresh_key() -> Result<[u8; KEY_BYTES], KeyError> {
    let mut key = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| KeyError::NoRandomness)?;
    Ok(key)
}

/// A key that seals and opens.
#[derive(Debug)]
pub(crate) struct DataKey {
    key: RandomizedNonceKey,
    sealed: AtomicU64,
}

impl DataKey {
    pub(crate) fn new(key: &[u8]) -> Result<Self, KeyError> {
        Ok(Self {
            key: RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| KeyError::Damaged)?,
            sealed: AtomicU64::new(0),
        })
    }

    /// The nonce and the sealed text with its tag.
    pub(crate) fn seal(&self, place: &[u8], text: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.seal_behind(Vec::new(), place, text)
    }

    /// The same behind what `head` has.
    fn seal_behind(
        &self,
        mut head: Vec<u8>,
        place: &[u8],
        text: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        self.sealed.fetch_add(1, Ordering::Relaxed);
        let mut sealed = text.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(place), &mut sealed)
            .map_err(|_| KeyError::NoRandomness)?;
        head.extend_from_slice(nonce.as_ref());
        head.append(&mut sealed);
        Ok(head)
    }

    /// The text of a nonce and a sealed text.
    pub(crate) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let (nonce, text) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or(KeyError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyError::Damaged)?;
        let mut text = text.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(place), &mut text)
            .map_err(|_| KeyError::Damaged)?;
        let length = opened.len();
        text.truncate(length);
        Ok(text)
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.sealed.load(Ordering::Relaxed) >= SEALS_MAX
    }
}

/// Where a value lies; it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) table: &'static str,
    /// What names the row, in parts.
    pub(crate) row: &'a [&'a str],
}

impl Spot<'_> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"antiphon sealed 1".to_vec();
        // each with its length: `a` and `bc` are not `ab` and `c`
        for part in [self.tenant, self.table].iter().chain(self.row) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// Seals `text` for `spot` with data key `number`.
pub(crate) fn seal(
    number: u32,
    key: &DataKey,
    spot: Spot<'_>,
    text: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let mut head = Vec::with_capacity(HEAD + text.len() + 16);
    head.push(SEALED);
    head.extend_from_slice(&number.to_be_bytes());
    key.seal_behind(head, &spot.bytes(), text)
}

/// Number of the data key that sealed a value; `None` when it is plain.
pub(crate) fn sealed_with(stored: &[u8]) -> Result<Option<u32>, KeyError> {
    match stored {
        [SEALED, a, b, c, d, ..] => Ok(Some(u32::from_be_bytes([*a, *b, *c, *d]))),
        [SEALED, ..] => Err(KeyError::Damaged),
        _ => Ok(None),
    }
}

/// Opens what [`seal`] made.
pub(crate) fn open(key: &DataKey, spot: Spot<'_>, stored: &[u8]) -> Result<Vec<u8>, KeyError> {
    let sealed = stored.get(HEAD - NONCE_LEN..).ok_or(KeyError::Damaged)?;
    key.open(&spot.bytes(), sealed)
}

/// The data keys that are open, by tenant and number, and which of them is a tenant's last.
#[derive(Debug, Default)]
struct OpenKeys {
    keys: HashMap<(String, u32), Arc<DataKey>>,
    last: HashMap<String, u32>,
}

/// Data keys as they are used; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    source: Option<KeySource>,
    open: Arc<Mutex<OpenKeys>>,
}

impl Keys {
    pub(crate) fn new(source: Option<KeySource>) -> Self {
        Self {
            source,
            open: Arc::default(),
        }
    }

    pub(crate) const fn source(&self) -> Option<&KeySource> {
        self.source.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, OpenKeys> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, tenant: &str, number: u32) -> Option<Arc<DataKey>> {
        let open = self.lock();
        open.keys.get(&(tenant.to_owned(), number)).cloned()
    }

    /// The tenant's last key, as far as this process knows.
    pub(crate) fn last(&self, tenant: &str) -> Option<(u32, Arc<DataKey>)> {
        let open = self.lock();
        let number = *open.last.get(tenant)?;
        let key = open.keys.get(&(tenant.to_owned(), number))?;
        Some((number, Arc::clone(key)))
    }

    pub(crate) fn keep(&self, tenant: &str, number: u32, key: &Arc<DataKey>) {
        let mut open = self.lock();
        if open.keys.len() >= OPEN_MAX {
            *open = OpenKeys::default();
        }
        open.keys
            .insert((tenant.to_owned(), number), Arc::clone(key));
    }

    pub(crate) fn keep_last(&self, tenant: &str, number: u32, key: &Arc<DataKey>) {
        self.keep(tenant, number, key);
        self.lock().last.insert(tenant.to_owned(), number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: Spot<'_> = Spot {
        tenant: "acme",
        table: "conversation_items",
        row: &["sess_1", "item_1"],
    };

    #[test]
    fn what_is_sealed_opens_in_its_place_with_its_key_and_nowhere_else() {
        let key = DataKey::new(&[7; 32]).unwrap();
        let sealed = seal(3, &key, SPOT, b"{\"a\":1}").unwrap();
        assert_eq!(sealed_with(&sealed), Ok(Some(3)));
        assert_eq!(open(&key, SPOT, &sealed).unwrap(), b"{\"a\":1}");
        assert_eq!(sealed.len(), HEAD + 7 + 16);
        // the same again looks different
        assert_ne!(seal(3, &key, SPOT, b"{\"a\":1}").unwrap(), sealed);
        for elsewhere in [
            Spot {
                tenant: "rival",
                ..SPOT
            },
            Spot {
                table: "sessions",
                ..SPOT
            },
            Spot {
                row: &["sess_1", "item_2"],
                ..SPOT
            },
            Spot {
                row: &["sess_1item_1"],
                ..SPOT
            },
            Spot {
                row: &["sess_", "1item_1"],
                ..SPOT
            },
        ] {
            assert_eq!(open(&key, elsewhere, &sealed), Err(KeyError::Damaged));
        }
        let other = DataKey::new(&[8; 32]).unwrap();
        assert_eq!(open(&other, SPOT, &sealed), Err(KeyError::Damaged));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let key = DataKey::new(&[7; 32]).unwrap();
        let sealed = seal(1, &key, SPOT, b"{}").unwrap();
        for at in HEAD - NONCE_LEN..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&key, SPOT, &changed), Err(KeyError::Damaged), "{at}");
        }
        for length in 0..sealed.len() {
            let opened = open(&key, SPOT, &sealed[..length]);
            assert_eq!(opened, Err(KeyError::Damaged), "{length}");
        }
        assert_eq!(sealed_with(&[SEALED, 0, 0]), Err(KeyError::Damaged));
        assert_eq!(sealed_with(b"{}"), Ok(None));
        assert_eq!(sealed_with(b""), Ok(None));
    }

    #[test]
    fn keys_are_kept_within_bounds() {
        let keys = Keys::new(None);
        let key = Arc::new(DataKey::new(&[7; 32]).unwrap());
        keys.keep_last("acme", 1, &key);
        assert_eq!(keys.last("acme").unwrap().0, 1);
        for n in 0..OPEN_MAX {
            keys.keep_last(&format!("t{n}"), 1, &key);
        }
        assert!(keys.lock().keys.len() <= OPEN_MAX);
        assert!(keys.last("acme").is_none());
    }

    #[test]
    fn no_key_is_shown() {
        let shown = format!("{:?}", DataKey::new(&[0x2a; 32]).unwrap());
        assert!(
            !shown.contains("42, 42") && !shown.contains("2a2a"),
            "{shown}"
        );
    }
}
