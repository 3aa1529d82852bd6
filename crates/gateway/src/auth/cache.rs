//! Keys that were verified a short while ago, so that Argon2 runs once and not per request.
//! Used by `api_key` only.
//! Never holds a key: entries are found by a keyed hash whose key lives and dies with the process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Principal;

/// How long Argon2's verdict holds (spec/dependencies §5).
const VERDICT_HOLDS: Duration = Duration::from_mins(5);

/// How long a verdict is used without asking the database whether the key was revoked meanwhile: another node or the
/// command line may have done it, and it holds everywhere within a second.
const UNCHECKED: Duration = Duration::from_secs(1);

/// Keys kept; beyond that the whole cache is dropped, which costs one Argon2 run per key.
const LIMIT: usize = 10_000;

pub(super) type Fingerprint = [u8; 32];

struct Entry {
    principal: Principal,
    verified: Instant,
    checked: Instant,
}

/// What the cache knows about a key.
#[derive(Debug, PartialEq)]
pub(super) enum Known {
    /// Verified, and known not to be revoked a moment ago.
    Fresh(Principal),
    /// Verified; ask whether it was revoked.
    Stale(Principal),
}

#[derive(Default)]
pub(super) struct Cache {
    entries: Mutex<HashMap<Fingerprint, Entry>>,
}

impl Cache {
    pub(super) fn get(&self, key: &Fingerprint, now: Instant) -> Option<Known> {
        let entries = self.lock();
        let entry = entries.get(key)?;
        if now.duration_since(entry.verified) >= VERDICT_HOLDS {
            return None;
        }
        let principal = entry.principal.clone();
        Some(if now.duration_since(entry.checked) < UNCHECKED {
            Known::Fresh(principal)
        } else {
            Known::Stale(principal)
        })
    }

    pub(super) fn put(&self, key: Fingerprint, principal: Principal, now: Instant) {
        let mut entries = self.lock();
        if entries.len() >= LIMIT {
            entries.retain(|_, entry| now.duration_since(entry.verified) < VERDICT_HOLDS);
            if entries.len() >= LIMIT {
                entries.clear();
            }
        }
        entries.insert(
            key,
            Entry {
                principal,
                verified: now,
                checked: now,
            },
        );
    }

    /// Notes that the database still knows the key, and as what.
    pub(super) fn checked(&self, key: &Fingerprint, principal: &Principal, now: Instant) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.checked = now;
            entry.principal = principal.clone();
        }
    }

    pub(super) fn remove(&self, key: &Fingerprint) {
        self.lock().remove(key);
    }

    /// Drops what is known of the key with this public id.
    pub(super) fn forget(&self, id: &str) {
        self.lock().retain(|_, entry| entry.principal.key_id != id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Fingerprint, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use store::TenantLimits;

    use super::super::{Allowance, Scopes};
    use super::*;
    use crate::clock::Clock;

    fn principal() -> Principal {
        Principal {
            tenant: "default".to_owned(),
            project: "default".to_owned(),
            allowance: Allowance {
                plan: "pro".to_owned(),
                limits: TenantLimits::default(),
            },
            key_id: "k1".to_owned(),
            scopes: Scopes::full(),
            stored_session: None,
        }
    }

    #[test]
    fn a_verdict_ages_and_ends() {
        let (cache, now) = (Cache::default(), Clock::default().now());
        assert_eq!(cache.get(&[1; 32], now), None);
        cache.put([1; 32], principal(), now);
        assert_eq!(cache.get(&[1; 32], now), Some(Known::Fresh(principal())));
        let later = now + UNCHECKED;
        assert_eq!(cache.get(&[1; 32], later), Some(Known::Stale(principal())));
        cache.checked(&[1; 32], &principal(), later);
        assert_eq!(cache.get(&[1; 32], later), Some(Known::Fresh(principal())));
        assert_eq!(cache.get(&[1; 32], now + VERDICT_HOLDS), None);
        cache.remove(&[1; 32]);
        assert_eq!(cache.get(&[1; 32], later), None);
    }

    #[test]
    fn the_cache_stays_small() {
        let (cache, now) = (Cache::default(), Clock::default().now());
        for n in 0..=LIMIT {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_le_bytes());
            cache.put(key, principal(), now);
        }
        assert!(cache.lock().len() <= LIMIT);
    }
}
