//! The keys that an issuer of tokens publishes (RFC 7517), kept for a while.
//! Asked by [`super::jwt`] with the name that a token gives its key.
//! Never follows an address out of a token, and never asks the issuer more often than once in half a minute.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use reqwest::Client;
use tokio::sync::Mutex;

use super::jwt::TokenError;
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;

/// Keys are asked for again after this time, so that a withdrawn one ends.
const FRESH_FOR: Duration = Duration::from_mins(10);
/// While the issuer cannot be reached its keys hold for so long.
const HELD_FOR: Duration = Duration::from_hours(24);
/// Time between two questions, so that tokens with made-up keys make no traffic.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// How long the issuer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Largest answer, in bytes; a set of a dozen keys with certificates is below 32 KiB.
const MAX_BYTES: usize = 256 * 1024;

/// One issuer's keys.
#[derive(Debug)]
pub(super) struct KeySet {
    shared: Arc<Shared>,
    lifecycle: Lifecycle,
}

/// What whoever asks the issuer works with.
#[derive(Debug)]
struct Shared {
    url: String,
    client: Client,
    clock: Clock,
    held: RwLock<Held>,
    /// When the issuer was asked last; whoever holds it is asking.
    asked: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone, Default)]
struct Held {
    keys: Arc<Vec<Jwk>>,
    since: Option<Instant>,
}

impl KeySet {
    pub(super) fn new(
        url: String,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Result<Self, reqwest::Error> {
        let shared = Shared {
            url,
            client: providers::http::client()?,
            clock,
            held: RwLock::default(),
            asked: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            lifecycle,
        })
    }

    /// The key called `kid`, for tokens signed with `algorithm`. A token without a name means the only key there is.
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, TokenError> {
        let (held, clock) = (self.shared.held(), &self.shared.clock);
        let known = pick(&held.keys, kid, algorithm);
        let age = held.since.map(|since| clock.now() - since);
        if let (Some(key), Some(age)) = (&known, age)
            && age < FRESH_FOR
        {
            return read(key);
        }
        let shared = Arc::clone(&self.shared);
        // whoever asks may go away before the issuer has answered: the others wait for that answer
        let asking = self.lifecycle.spawn(async move { shared.ask().await });
        if asking.await.is_err() {
            return Err(TokenError::KeysUnavailable);
        }
        let held = self.shared.held();
        let usable = held
            .since
            .is_some_and(|since| clock.now() - since < HELD_FOR);
        match pick(&held.keys, kid, algorithm) {
            Some(key) if usable => read(&key),
            None if usable => Err(TokenError::UnknownKey),
            _ => Err(TokenError::KeysUnavailable),
        }
    }
}

impl Shared {
    fn held(&self) -> Held {
        let held = self.held.read();
        held.map_or_else(
            |poisoned| poisoned.into_inner().clone(),
            |held| held.clone(),
        )
    }

    /// Fetches the keys, unless that was done a moment ago. One asks; the others wait for what it learns.
    async fn ask(&self) {
        let mut asked = self.asked.lock().await;
        let now = self.clock.now();
        if asked.is_some_and(|last| now - last < COOL_DOWN) {
            return;
        }
        *asked = Some(now);
        match self.fetch().await {
            Ok(keys) => {
                let held = Held {
                    keys: Arc::new(keys),
                    since: Some(now),
                };
                match self.held.write() {
                    Ok(mut kept) => *kept = held,
                    Err(mut poisoned) => **poisoned.get_mut() = held,
                }
            }
            Err(error) => tracing::warn!(
                url = self.url,
                error,
                "the keys of the issuer of tokens cannot be fetched; those it gave before hold for a day"
            ),
        }
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, String> {
        let question = self.client.get(&self.url).timeout(ANSWER_WITHIN);
        let mut answer = question.send().await.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(format!("it answers with more than {MAX_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        let set: JwkSet = serde_json::from_slice(&body)
            .map_err(|error| format!("it does not answer with a set of keys: {error}"))?;
        Ok(set.keys)
    }
}

/// The key of this name among those that may check such a signature.
fn pick(keys: &[Jwk], kid: Option<&str>, algorithm: Algorithm) -> Option<Jwk> {
    let mut fit = keys.iter().filter(|key| fits(key, algorithm));
    if let Some(kid) = kid {
        fit.find(|key| key.common.key_id.as_deref() == Some(kid))
            .cloned()
    } else {
        let only = fit.next()?;
        fit.next().is_none().then(|| only.clone())
    }
}

/// Whether the issuer means this key for such signatures. A secret does not belong into a published set.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let is_for_signatures = matches!(&common.public_key_use, None | Some(PublicKeyUse::Signature));
    let is_for_this = match common.key_algorithm {
        Some(own) => own == KeyAlgorithm::from(algorithm),
        None => true,
    };
    let family = DecodingKey::from_jwk(key).ok().map(|key| key.family());
    let is_of_this = family.is_some_and(|family| {
        family != AlgorithmFamily::Hmac && family.algorithms().contains(&algorithm)
    });
    is_for_signatures && is_for_this && is_of_this
}

fn read(key: &Jwk) -> Result<DecodingKey, TokenError> {
    DecodingKey::from_jwk(key).map_err(|_| TokenError::UnknownKey)
}
