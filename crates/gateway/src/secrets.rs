//! Where the keys that seal what was said come from: the configuration, a file, or Vault.
//! Called by the composition root.
//! Never shows a key or a token.

mod vault;

use std::sync::Arc;

use store::seal::{KeySource, Ring, RingError};

use self::vault::Vault;
use crate::config::Encryption;

/// Why there are no keys although there should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The file of keys cannot be read.
    #[error("encryption.key_file is {path}, which cannot be read: {reason}")]
    File {
        /// Its path.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// What is in it are no keys.
    #[error("encryption.key_file is {path}, expected {expected}")]
    Keys {
        /// Its path.
        path: String,
        /// What is expected in it.
        expected: RingError,
    },
    /// The keys of the configuration are none.
    #[error("encryption.keys is not usable, expected {0}")]
    Ring(RingError),
    /// Vault cannot be asked.
    #[error("encryption.vault_address cannot be used: {0}")]
    Vault(String),
}

/// The source of keys that `encryption` names, if it names one.
///
/// # Errors
/// [`SourceError`].
pub fn key_source(encryption: &Encryption) -> Result<Option<KeySource>, SourceError> {
    let ring = |ring| KeySource::Ring(Arc::new(ring));
    if let Some(keys) = &encryption.keys {
        let parsed = Ring::parse(keys.reveal()).map_err(SourceError::Ring)?;
        return Ok(Some(ring(parsed)));
    }
    if let Some(path) = &encryption.key_file {
        let text = std::fs::read_to_string(path).map_err(|error| SourceError::File {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let parsed = Ring::parse(&text).map_err(|expected| SourceError::Keys {
            path: path.clone(),
            expected,
        })?;
        return Ok(Some(ring(parsed)));
    }
    let (Some(address), Some(token)) = (&encryption.vault_address, &encryption.vault_token) else {
        return Ok(None);
    };
    let vault = Vault::new(address, token.clone(), encryption)
        .map_err(|error| SourceError::Vault(error.to_string()))?;
    Ok(Some(KeySource::Keeper(Arc::new(vault))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_keys_is_read_and_what_is_wrong_with_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let encryption = Encryption {
            key_file: Some(path.display().to_string()),
            ..Encryption::default()
        };
        let missing = key_source(&encryption).unwrap_err();
        assert!(matches!(missing, SourceError::File { .. }), "{missing}");
        std::fs::write(&path, "k1:hunter2").unwrap();
        let wrong = key_source(&encryption).unwrap_err().to_string();
        assert!(
            wrong.contains("openssl rand") && !wrong.contains("hunter2"),
            "{wrong}"
        );
        std::fs::write(&path, "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n").unwrap();
        let source = key_source(&encryption).unwrap();
        assert!(matches!(source, Some(KeySource::Ring(_))), "{source:?}");
        assert!(key_source(&Encryption::default()).unwrap().is_none());
    }
}
