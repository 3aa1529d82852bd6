//! Tokens of chat rooms: read, and made for rooms that this server keeps itself.
//! Read by [`super::upgrade`] and for `follow`; made by `POST /v1/rooms/{id}/tokens`.
//! Never tells why a token is bad beyond what the original tells, and never logs one.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value};
use store::Sql;

use super::identity::Identity;
use crate::auth::jwt::{Settings, TokenError, Verifier};
use crate::clock::Clock;
use crate::config::{self, Secret};
use crate::lifecycle::Lifecycle;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// No token.
    Missing,
    /// Its time is over.
    Expired,
    /// Not one of ours.
    Invalid,
    /// It does not say who or where.
    Incomplete,
    /// It cannot be looked at just now.
    Unavailable,
}

impl Denied {
    /// The close frame that the original sends.
    pub(super) const fn close(self) -> (u16, &'static str) {
        match self {
            Self::Missing => (4001, "Missing authentication token"),
            Self::Expired => (4002, "Token expired"),
            Self::Invalid => (4002, "Invalid token"),
            Self::Incomplete => (4002, "Invalid token payload: missing userId or chatId"),
            Self::Unavailable => (4000, "Internal server error"),
        }
    }

    /// The label's value.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::Invalid => "invalid",
            Self::Incomplete => "incomplete",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether somebody may be guessing: so many of them, and who has no good token is kept out for a while. A token that was
    /// good, or is missing, is no guess.
    pub(super) const fn is_a_guess(self) -> bool {
        matches!(self, Self::Invalid | Self::Incomplete)
    }
}

/// Reads and makes tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    verifier: Verifier,
    /// What tokens are signed with; nothing where only others sign.
    key: Option<Secret>,
}

/// Tokens cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The installation's own key cannot be had.
    #[error("cannot open the key of chat tokens")]
    Store(#[from] store::StoreError),
    /// No client for the keys of others.
    #[error("cannot start the http client for chat.jwks_url")]
    Client(#[from] reqwest::Error),
    /// There is nothing to check them against.
    #[error("chat.jwt_secret and chat.jwks_url cannot be used")]
    Nothing,
}

/// Why no token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unissued {
    /// Others sign them.
    #[error("tokens of this server are signed elsewhere (chat.jwks_url)")]
    Elsewhere,
    /// The claims cannot be signed.
    #[error("the token cannot be signed")]
    Unsigned,
}

impl Tokens {
    /// For the tokens that the configuration describes; without a secret and keys, those of this installation.
    pub(super) async fn open(
        chat: &config::Chat,
        sql: &Sql,
        (clock, lifecycle): (&Clock, &Lifecycle),
    ) -> Result<Self, TokensError> {
        let key = match (&chat.jwt_secret, &chat.jwks_url) {
            (Some(secret), _) => Some(secret.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(Secret::new(hex(&sql.chat_token_key().await?))),
        };
        let settings = Settings {
            secret: key.clone(),
            keys_url: chat.jwks_url.clone(),
            issuer: chat.issuer.clone(),
            audience: chat.audience.clone(),
        };
        let verifier = Verifier::new(&settings, clock.clone(), lifecycle)?;
        Ok(Self {
            verifier: verifier.ok_or(TokensError::Nothing)?,
            key,
        })
    }

    /// Who a token belongs to.
    pub(super) async fn read(&self, token: &str) -> Result<Identity, Denied> {
        let token = self.verifier.verify(token).await.map_err(denied)?;
        Identity::of(&token).map_err(|_| Denied::Incomplete)
    }

    /// Signs claims.
    pub(crate) fn issue(&self, claims: &Map<String, Value>) -> Result<String, Unissued> {
        let key = self.key.as_ref().ok_or(Unissued::Elsewhere)?;
        let key = EncodingKey::from_secret(key.reveal().as_bytes());
        encode(&Header::default(), claims, &key).map_err(|_| Unissued::Unsigned)
    }
}

const fn denied(error: TokenError) -> Denied {
    match error {
        TokenError::Expired => Denied::Expired,
        TokenError::KeysUnavailable => Denied::Unavailable,
        TokenError::Malformed
        | TokenError::Algorithm
        | TokenError::Signature
        | TokenError::NotYetValid
        | TokenError::Issuer
        | TokenError::Audience
        | TokenError::UnknownKey => Denied::Invalid,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // writing to a String does not fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}
