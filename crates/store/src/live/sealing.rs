//! Sealing of what Redis keeps of live sessions and of keys: a data key of this process, which the installation's keys wrap.
//! Used by the Redis backends of both; the wrapped key lies beside what it sealed, so that any gateway can open it.
//! Never needs the database: a session goes on while PostgreSQL is away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::seal::{self, DataKey, KeyError, KeySource, Spot};

/// Keys of other gateways that stay open; one more, and all are asked for again.
const OPEN_MAX: usize = 64;

/// A data key with what it is asked for again by.
#[derive(Debug)]
pub(super) struct Sealing {
    /// Wrapped; empty where nothing is sealed.
    pub(super) wrapped: String,
    key: Option<DataKey>,
}

impl Sealing {
    pub(super) fn seal(&self, spot: Spot<'_>, text: &str) -> Result<Vec<u8>, KeyError> {
        match &self.key {
            Some(key) => key.seal(&spot.bytes(), text.as_bytes()),
            None => Ok(text.as_bytes().to_vec()),
        }
    }

    pub(super) fn open(&self, spot: Spot<'_>, stored: Vec<u8>) -> Result<String, KeyError> {
        let text = match &self.key {
            Some(key) => key.open(&spot.bytes(), &stored)?,
            None => stored,
        };
        String::from_utf8(text).map_err(|_| KeyError::Damaged)
    }
}

#[derive(Debug, Default)]
struct Open {
    own: Option<Arc<Sealing>>,
    others: HashMap<String, Arc<Sealing>>,
}

/// The keys of this process; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Sealer {
    source: Option<KeySource>,
    open: Arc<Mutex<Open>>,
}

impl Sealer {
    pub(super) fn new(source: Option<KeySource>) -> Self {
        Self {
            source,
            open: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key for sessions that are written whole from now on.
    pub(super) async fn own(&self) -> Result<Arc<Sealing>, KeyError> {
        let usable = |own: &Arc<Sealing>| !own.key.as_ref().is_some_and(DataKey::is_used_up);
        if let Some(own) = self.lock().own.clone().filter(usable) {
            return Ok(own);
        }
        let made = match &self.source {
            None => Sealing {
                wrapped: String::new(),
                key: None,
            },
            Some(source) => {
                let key = seal::fresh_key()?;
                Sealing {
                    wrapped: source.wrap(&key).await?,
                    key: Some(DataKey::new(&key)?),
                }
            }
        };
        let made = Arc::new(made);
        let mut open = self.lock();
        open.own = Some(Arc::clone(&made));
        open.remember(&made);
        Ok(made)
    }

    /// The key behind `wrapped`.
    pub(super) async fn of(&self, wrapped: &str) -> Result<Arc<Sealing>, KeyError> {
        if let Some(known) = self.lock().others.get(wrapped) {
            return Ok(Arc::clone(known));
        }
        let key = if wrapped.is_empty() {
            None
        } else {
            let source = self.source.as_ref().ok_or(KeyError::NoKeys)?;
            Some(source.unwrap(wrapped).await?)
        };
        let opened = Arc::new(Sealing {
            wrapped: wrapped.to_owned(),
            key,
        });
        self.lock().remember(&opened);
        Ok(opened)
    }
}

impl Open {
    fn remember(&mut self, key: &Arc<Sealing>) {
        if self.others.len() >= OPEN_MAX {
            self.others.clear();
        }
        self.others.insert(key.wrapped.clone(), Arc::clone(key));
    }
}
