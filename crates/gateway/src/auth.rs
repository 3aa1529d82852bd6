//! Who is asking: from a header, a query or a subprotocol to a [`Principal`].
//! Called by the REST extractor and by the edges before they take a connection.
//! Never logs a key and never takes longer for one wrong key than for another.

pub mod api_key;
mod cache;
pub mod credentials;
pub mod ephemeral;
pub mod extract;
mod jwks;
pub mod jwt;
pub mod key_text;
pub mod lockout;
pub mod principal;
pub(crate) mod rates;
mod records;

pub use api_key::{ApiKeys, MAX_KEYS, MintedKey, NewKey};
pub use credentials::Credential;
pub use extract::{Accountant, Administrator, Caller, Payer};
pub use principal::{Allowance, Principal, Scope, Scopes};

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;

use crate::App;
use crate::http::client_ip;
use crate::observe::Event;

/// Tenant of the bootstrap key and of keys made on the command line: that of whoever runs the installation.
pub const DEFAULT_TENANT: &str = "default";

/// The project that every tenant has.
pub const DEFAULT_PROJECT: &str = "default";

/// The plan of [`DEFAULT_TENANT`].
pub const DEFAULT_PLAN: &str = "enterprise";

/// Why a credential opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// There was none.
    #[error("no api key was given")]
    Missing,
    /// It does not have the form of a key, or its checksum is wrong.
    #[error("the api key is malformed")]
    Malformed,
    /// No such key, or the secret part is wrong.
    #[error("the api key is wrong")]
    Wrong,
    /// It was revoked.
    #[error("the api key was revoked")]
    Revoked,
    /// It has ended by itself.
    #[error("the api key has expired")]
    Expired,
    /// The key is right, but its tenant may not come in.
    #[error("the tenant of the api key is suspended")]
    Suspended,
    /// The ephemeral secret was used before, has expired or never was.
    #[error("the client secret was used, has expired or does not exist")]
    Spent,
    /// An ephemeral secret where only a server key will do.
    #[error("a client secret only starts realtime connections")]
    EphemeralRefused,
    /// A page of a foreign origin came with a server key.
    #[error("a web page of another origin came with a server key")]
    ForeignOrigin,
    /// Too many wrong keys came from the network address; what is shown is not looked at.
    #[error("too many wrong keys came from this network address")]
    LockedOut {
        /// For how long, in s.
        retry_after_s: u64,
    },
    /// The key may not do this.
    #[error("the key lacks the scope {}", .0.name())]
    Scope(Scope),
    /// The key store did not answer.
    #[error("cannot check the api key")]
    Store(#[from] store::StoreError),
    /// Checking the key broke off.
    #[error("cannot check the api key: the hashing task ended early")]
    Hashing,
}

impl AuthError {
    /// The label of the refusal in the metrics; `None` when it is our failure.
    fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Missing => Some("missing"),
            Self::Malformed => Some("malformed"),
            Self::Wrong => Some("wrong"),
            Self::Revoked => Some("revoked"),
            Self::Expired => Some("expired"),
            Self::Suspended => Some("suspended"),
            Self::Spent => Some("spent"),
            Self::EphemeralRefused => Some("ephemeral"),
            Self::ForeignOrigin => Some("foreign_origin"),
            Self::LockedOut { .. } => Some("locked_out"),
            Self::Scope(_) => Some("scope"),
            Self::Store(_) | Self::Hashing => None,
        }
    }
}

/// Says who `credential` belongs to. An ephemeral secret is used up by this call: ask once per connection.
///
/// # Errors
/// [`AuthError`]; a refusal is counted and logged without the key.
pub async fn authenticate(app: &App, credential: &Credential) -> Result<Principal, AuthError> {
    let found = identify(app, credential).await;
    found.inspect_err(|error| note_refusal(app, error, credential))
}

/// Lets a request to the realtime and audio interface in: [`authenticate`], and what else its headers and the
/// key's scopes must allow. Both the REST extractor and the realtime edge ask here.
///
/// # Errors
/// As [`authenticate`], [`AuthError::ForeignOrigin`] for a server key in a page of an origin that is neither our own
/// nor in `http.allowed_origins` (client secrets are made for such pages), [`AuthError::Scope`].
pub async fn admit(
    app: &App,
    credential: &Credential,
    parts: &Parts,
) -> Result<Principal, AuthError> {
    admit_any(app, credential, parts, &[Scope::RealtimeConnect]).await
}

/// As [`admit`], for keys that have one of `scopes`, the first of which is named where they have none.
///
/// # Errors
/// As [`admit`].
pub async fn admit_any(
    app: &App,
    credential: &Credential,
    parts: &Parts,
    scopes: &[Scope],
) -> Result<Principal, AuthError> {
    let admitted = async {
        // before the key is looked at: whether it is right is not the page's business either
        if !credential.is_ephemeral()
            && from_foreign_page(&parts.headers, &app.config.http.allowed_origins)
        {
            return Err(AuthError::ForeignOrigin);
        }
        let principal = identify_from(app, credential, client_ip(app, parts)).await?;
        let allowed = scopes.iter().any(|scope| principal.scopes.has(*scope));
        match scopes.first() {
            Some(wanted) if !allowed => Err(AuthError::Scope(*wanted)),
            _ => Ok(principal),
        }
    };
    let principal = admitted
        .await
        .inspect_err(|error| note_refusal(app, error, credential))?;
    tracing::Span::current().record("key_id", principal.key_id.as_str());
    Ok(principal)
}

async fn identify(app: &App, credential: &Credential) -> Result<Principal, AuthError> {
    if credential.is_ephemeral() {
        ephemeral::take(app, credential).await
    } else {
        app.keys.verify(credential.reveal()).await
    }
}

/// [`identify`], unless too many wrong keys came from `ip`. A key that was right a moment ago is not kept out: others
/// behind the same address have nothing to do with it.
async fn identify_from(
    app: &App,
    credential: &Credential,
    ip: Option<IpAddr>,
) -> Result<Principal, AuthError> {
    let Some(ip) = ip else {
        return identify(app, credential).await;
    };
    let now_ms = app.clock.utc().timestamp_millis().unsigned_abs();
    if let Some(left_ms) = app.lockout.locked_ms(ip, now_ms)
        && (credential.is_ephemeral() || !app.keys.knows(credential.reveal()))
    {
        let retry_after_s = left_ms.div_ceil(1000);
        return Err(AuthError::LockedOut { retry_after_s });
    }
    let found = identify(app, credential).await;
    if matches!(
        found,
        Err(AuthError::Malformed | AuthError::Wrong | AuthError::Spent)
    ) && app.lockout.failed(ip, now_ms)
    {
        tracing::warn!("a network address is locked out: too many wrong keys came from it");
    }
    found
}

/// Whether a web page of another origin sent this: its visitors could read the server key.
fn from_foreign_page(headers: &HeaderMap, allowed: &[String]) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(ORIGIN) else {
        return false;
    };
    let own = origin
        .split_once("://")
        .is_some_and(|(_, authority)| Some(authority) == text(HOST));
    !own && !allowed.iter().any(|allowed| allowed == origin)
}

fn note_refusal(app: &App, error: &AuthError, credential: &Credential) {
    if let Some(reason) = error.reason() {
        app.metrics.emit(&Event::KeyRefused {
            reason,
            key_id: key_text::public_id(credential.reveal()),
        });
    } else {
        tracing::error!(error = %chain(error), "cannot check an api key");
    }
}

/// An error with its sources, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
