//! Tokens that somebody else has signed (RFC 7519): who their bearer is, in the words of an app's own server.
//! Asked by the doors whose clients bring such a token instead of one of our keys.
//! Never believes what a token says of its algorithm or of its key's address, and never logs a token.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::jwks::KeySet;
use crate::clock::Clock;
use crate::config::Secret;
use crate::lifecycle::Lifecycle;

/// Longest token, in bytes: it travels in a request's head, and those of the large issuers are below 4 KiB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How far the clocks of an issuer and of this server may be apart, where nothing else is said.
pub const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// What tokens are checked against.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Shared with the issuer; for HS256, HS384 and HS512.
    pub secret: Option<Secret>,
    /// Where the issuer publishes its keys (RFC 7517); for RS, PS, ES and `EdDSA`.
    pub keys_url: Option<String>,
    /// Must be in `iss`.
    pub issuer: Option<String>,
    /// Must be in `aud`. Without it anybody's token of this issuer is taken.
    pub audience: Option<String>,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token, or its claims are no object.
    #[error("the token is malformed")]
    Malformed,
    /// It is signed in a way that its key is not for, or not signed at all.
    #[error("the token is signed with an algorithm that is not accepted here")]
    Algorithm,
    /// Somebody else has signed it, or it was changed since.
    #[error("the signature of the token is wrong")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It is from somebody else than expected.
    #[error("the token is from another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// The issuer has no key of this name.
    #[error("the token is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// The issuer's keys cannot be had just now; the token may be right.
    #[error("the keys of the issuer cannot be fetched")]
    KeysUnavailable,
}

/// A token that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Everything that it says.
    pub claims: Map<String, Value>,
    /// When it ends, without the leeway; `None` when it says nothing of that.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Token {
    /// A claim that is text and not empty.
    pub fn text(&self, claim: &str) -> Option<&str> {
        let text = self.claims.get(claim)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    /// Whether its time is over at `now`.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| now > end + LEEWAY)
    }
}

/// Checks tokens of one issuer.
#[derive(Debug)]
pub struct Verifier {
    shared: Option<DecodingKey>,
    published: Option<KeySet>,
    issuer: Option<String>,
    audience: Option<String>,
    clock: Clock,
}

impl Verifier {
    /// For tokens of the issuer that `settings` describe; `None` when they name neither a secret nor an address of keys.
    ///
    /// # Errors
    /// When the client for the issuer's keys cannot be made.
    pub fn new(
        settings: &Settings,
        clock: Clock,
        lifecycle: &Lifecycle,
    ) -> Result<Option<Self>, reqwest::Error> {
        let secret = settings.secret.as_ref().map(Secret::reveal);
        let shared = secret
            .filter(|secret| !secret.is_empty())
            .map(|secret| DecodingKey::from_secret(secret.as_bytes()));
        let published = match &settings.keys_url {
            Some(url) => Some(KeySet::new(url.clone(), clock.clone(), lifecycle.clone())?),
            None => None,
        };
        let verifier = Self {
            shared,
            published,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            clock,
        };
        let is_usable = verifier.shared.is_some() || verifier.published.is_some();
        Ok(is_usable.then_some(verifier))
    }

    /// What `token` says, if it is to be believed.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn verify(&self, token: &str) -> Result<Token, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(token).map_err(|error| reason(error.kind()))?;
        let is_shared = AlgorithmFamily::Hmac.algorithms().contains(&header.alg);
        let claims = match (&self.shared, &self.published) {
            (Some(key), _) if is_shared => self.read(token, key, &header)?,
            (_, Some(keys)) if !is_shared => {
                let key = keys.find(header.kid.as_deref(), header.alg).await?;
                self.read(token, &key, &header)?
            }
            _ => return Err(TokenError::Algorithm),
        };
        let now = self.clock.utc();
        let token = Token {
            expires_at: time(&claims, "exp")?,
            claims,
        };
        if time(&token.claims, "nbf")?.is_some_and(|begin| now + LEEWAY < begin) {
            return Err(TokenError::NotYetValid);
        }
        if token.is_expired(now) {
            return Err(TokenError::Expired);
        }
        Ok(token)
    }

    /// The claims of a token whose signature, issuer and audience are right. Its times are for the caller, who has the
    /// clock. The family of the key decides which algorithms count, never the token: a public key is no shared secret.
    fn read(
        &self,
        token: &str,
        key: &DecodingKey,
        header: &Header,
    ) -> Result<Map<String, Value>, TokenError> {
        if !key.family().algorithms().contains(&header.alg) {
            return Err(TokenError::Algorithm);
        }
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.required_spec_claims.insert("aud".to_owned());
            }
            None => validation.validate_aud = false,
        }
        decode(token, key, &validation)
            .map(|data| data.claims)
            .map_err(|error| reason(error.kind()))
    }
}

/// A claim that is a time, in seconds since 1970 with or without a fraction (RFC 7519 §2, `NumericDate`).
fn time(claims: &Map<String, Value>, claim: &str) -> Result<Option<DateTime<Utc>>, TokenError> {
    let Some(value) = claims.get(claim).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let seconds = value.as_f64().ok_or(TokenError::Malformed)?;
    // a time that chrono cannot hold is no time
    let seconds = (seconds.abs() < 1e11).then_some(seconds);
    #[expect(clippy::cast_possible_truncation, reason = "bounded in the line above")]
    let ms = seconds.map(|seconds| (seconds * 1000.0) as i64);
    let time = ms.and_then(DateTime::from_timestamp_millis);
    time.map(Some).ok_or(TokenError::Malformed)
}

fn reason(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature
        | ErrorKind::InvalidEcdsaKey
        | ErrorKind::InvalidEddsaKey
        | ErrorKind::InvalidRsaKey(_)
        | ErrorKind::InvalidKeyFormat
        | ErrorKind::Provider(_) => TokenError::Signature,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => TokenError::Algorithm,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => TokenError::Issuer,
        ErrorKind::InvalidAudience | ErrorKind::MissingRequiredClaim(_) => TokenError::Audience,
        _ => TokenError::Malformed,
    }
}

#[cfg(test)]
mod tests;
