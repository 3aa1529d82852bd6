//! Whose token the app shows: an API key or a client secret of ours, a JSON Web Token, or one that Supabase knows.
//! Asked by `begin`, and by `renewal` when a call outlives its token.
//! Never tells a wrong token from one that is over, and never takes an outage for a wrong token.

use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use store::TenantStatus;

use super::refusal::Refusal;
use super::supabase::Owner;
use crate::App;
use crate::auth::jwt::{Token, TokenError};
use crate::auth::{self, Allowance, AuthError, Credential, Principal, Scope, rates};
use crate::config::{Voice, VoiceAdmits};

/// Longest name of a user, in bytes; those of Supabase have 36.
const USER_BYTES: usize = 128;
/// The user of a server that asks for no token.
const ANONYMOUS: &str = "anonymous";
/// Claims that may say the tier, the more exact first.
const TIER_CLAIMS: [&str; 2] = ["subscription_tier", "tier"];

/// Somebody who may come in.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    /// For whom the server works.
    pub(super) principal: Principal,
    /// Which of its users.
    pub(super) user: String,
    /// The user's tier, where the token says.
    pub(super) tier: Option<String>,
    /// When the token ends.
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) kind: Kind,
}

/// How somebody came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With a key of ours: whoever has one runs the app.
    Key,
    /// With a user's token.
    User,
}

/// Whose `token` is.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn identify(
    app: &App,
    token: Option<&str>,
    parts: &Parts,
) -> Result<Guest, Refusal> {
    let voice = &app.config.voice;
    let shown = token
        .map(str::to_owned)
        .or_else(|| of_request(parts))
        .filter(|token| !token.is_empty());
    let Some(token) = shown else {
        if voice.admits == VoiceAdmits::Anybody {
            return guest_of(app, voice, ANONYMOUS, None).await;
        }
        return Err(Refusal::no_token());
    };
    if is_jwt(&token) {
        return user(app, &token).await;
    }
    let credential = Credential::new(token.as_str());
    let admitted = if credential.is_ephemeral() {
        // counted when it was made
        auth::admit(app, &credential, parts)
            .await
            .map_err(|error| refusal(&error))
    } else {
        rates::admit(app, &credential, parts)
            .await
            .map_err(|error| Refusal::of_api(&error))
    };
    match admitted {
        Ok(principal) => Ok(Guest {
            user: principal.key_id.clone(),
            principal,
            tier: None,
            expires_at: None,
            kind: Kind::Key,
        }),
        // a project may have tokens of another shape; what is ours, or was refused for another reason, is no business of its
        Err(refusal)
            if refusal == Refusal::invalid() && !credential.is_own() && asks_supabase(app) =>
        {
            of_supabase(app, &token).await
        }
        Err(refusal) => Err(refusal),
    }
}

/// Whose user's token this is.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn user(app: &App, token: &str) -> Result<Guest, Refusal> {
    let Some(verifier) = &app.voice.tokens else {
        return of_supabase(app, token).await;
    };
    match verifier.verify(token).await {
        Ok(token) => of_claims(app, &token).await,
        // the issuer may sign in another way, or its keys cannot be had: who issued it can still be asked
        Err(TokenError::KeysUnavailable | TokenError::Algorithm | TokenError::UnknownKey)
            if asks_supabase(app) =>
        {
            of_supabase(app, token).await
        }
        Err(error @ TokenError::KeysUnavailable) => {
            tracing::warn!(%error, "cannot check a user's token");
            Err(Refusal::unknowable())
        }
        Err(_) => Err(Refusal::invalid()),
    }
}

fn asks_supabase(app: &App) -> bool {
    let supabase = app.voice.supabase.as_ref();
    supabase.is_some_and(super::supabase::Supabase::is_usable)
}

async fn of_supabase(app: &App, token: &str) -> Result<Guest, Refusal> {
    let Some(supabase) = app.voice.supabase.as_ref().filter(|it| it.is_usable()) else {
        // nothing here says how tokens are checked: that is our fault, not the user's
        return Err(Refusal::unknowable());
    };
    match supabase.owner(token).await {
        Ok(Owner::User(user)) => {
            let mut guest = guest_of(app, &app.config.voice, &user, None).await?;
            // who issued it has said that it holds: its end is read from what it says itself
            guest.expires_at = unchecked_end(token);
            Ok(guest)
        }
        Ok(Owner::Gone) => Err(Refusal::user_not_found()),
        Ok(Owner::Nobody) => Err(Refusal::invalid()),
        Err(error) => {
            tracing::warn!(%error, "cannot ask whose token it is");
            Err(Refusal::unknowable())
        }
    }
}

async fn of_claims(app: &App, token: &Token) -> Result<Guest, Refusal> {
    let user = token.text("sub").ok_or_else(Refusal::invalid)?;
    let mut guest = guest_of(app, &app.config.voice, user, tier(&token.claims)).await?;
    guest.expires_at = token.expires_at;
    Ok(guest)
}

async fn guest_of(
    app: &App,
    voice: &Voice,
    user: &str,
    tier: Option<String>,
) -> Result<Guest, Refusal> {
    if user.len() > USER_BYTES || user.chars().any(char::is_control) {
        return Err(Refusal::invalid());
    }
    let tenant = app.store.sql.find_tenant(&voice.tenant).await;
    let tenant = tenant.map_err(|error| {
        tracing::error!(error = %auth::chain(&error), "cannot read the tenant of this door");
        Refusal::unknowable()
    })?;
    let Some(tenant) = tenant.filter(|tenant| tenant.status == TenantStatus::Active) else {
        tracing::warn!(
            tenant = voice.tenant,
            "the tenant of users with a token may not come in"
        );
        return Err(Refusal::unavailable(
            "Voice calls are not available at present.",
        ));
    };
    Ok(Guest {
        principal: Principal {
            tenant: tenant.id,
            project: voice.project.clone(),
            key_id: "voice-token".to_owned(),
            scopes: [Scope::RealtimeConnect].into_iter().collect(),
            allowance: Allowance {
                plan: tenant.plan,
                limits: tenant.limits,
            },
            stored_session: None,
        },
        user: user.to_owned(),
        tier,
        expires_at: None,
        kind: Kind::User,
    })
}

/// The tier that a token names: at its top, or in what the app's server has put into it.
fn tier(claims: &Map<String, Value>) -> Option<String> {
    let of = |claims: &Map<String, Value>| {
        let mut found = TIER_CLAIMS.iter().filter_map(|name| claims.get(*name));
        found.find_map(Value::as_str).map(str::to_owned)
    };
    // `user_metadata` is not looked at: users write it themselves
    of(claims).or_else(|| of(claims.get("app_metadata")?.as_object()?))
}

/// A token in the request itself, for proxies that take no other: `?token=`, or a header.
fn of_request(parts: &Parts) -> Option<String> {
    let query = parts.uri.query().unwrap_or_default();
    let of_query = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "token")
        .map(|(_, value)| value.into_owned());
    let of_header = || {
        let value = parts.headers.get("authorization")?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    };
    of_query.or_else(of_header)
}

/// Whether a text has the form of a token (RFC 7515 §3.1): three parts, the first a JSON object in base64url.
fn is_jwt(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
}

/// What a token says of its end. Only for tokens that somebody else has found right.
fn unchecked_end(token: &str) -> Option<DateTime<Utc>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    DateTime::from_timestamp(claims["exp"].as_i64()?, 0)
}

fn refusal(error: &AuthError) -> Refusal {
    match error {
        AuthError::Store(_) | AuthError::Hashing => Refusal::unknowable(),
        AuthError::Suspended => Refusal::unavailable("The account is suspended."),
        _ => Refusal::invalid(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_tier_is_read_where_the_app_s_server_writes_it() {
        for (value, expected) in [
            (json!({ "subscription_tier": "studio" }), Some("studio")),
            (
                json!({ "app_metadata": { "subscription_tier": "core" } }),
                Some("core"),
            ),
            (
                json!({ "tier": "free", "app_metadata": { "tier": "core" } }),
                Some("free"),
            ),
            (
                json!({ "user_metadata": { "subscription_tier": "studio" } }),
                None,
            ),
            (json!({}), None),
        ] {
            assert_eq!(tier(&claims(&value)).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn tokens_and_keys_are_told_apart() {
        assert!(is_jwt("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x"));
        for key in [
            "ant_live_1.2.3",
            "a-bootstrap-key/1",
            "eyJ",
            "eyJ.x",
            "ek_x.y.z",
        ] {
            assert!(!is_jwt(key), "{key}");
        }
    }

    #[test]
    fn the_end_of_a_token_is_read() {
        // {"exp":1700000000}
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9.x";
        assert_eq!(unchecked_end(token).unwrap().timestamp(), 1_700_000_000);
        assert_eq!(unchecked_end("eyJ.x.y"), None);
    }
}
