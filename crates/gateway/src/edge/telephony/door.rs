//! Who is at the door: the address that a carrier has asked, and whether it is the carrier that it claims to be.
//! Asked first by every route of this folder; a request that is not believed is answered with 403 and goes no further.
//! Never logs a signature, a token or a number, and never believes a header about our address that a proxy did not write.

use std::time::Duration;

use aws_lc_rs::hmac;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use wire::telephony::{Dialect, Start};

use super::addresses;
use super::parameters::Claim;
use super::trust::twilio::Kind;
use super::trust::{self, Asked, Distrust, Once};
use crate::App;
use crate::config::CarrierAccount;
use crate::http::{ApiError, is_from_proxy};

/// How long a request of Genesys that is not believed waits for its answer (spec/telephony §3.3).
const GENESYS_PAUSE: Duration = Duration::from_millis(500);

/// For so long after its time something that may be used once is remembered: clocks of two servers may differ.
const ONCE_MORE: TimeDelta = TimeDelta::minutes(5);

/// A request that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Believed {
    /// The carrier account, as it is called in the configuration; none where there is none.
    pub(super) account: Option<String>,
    /// What the stream must prove besides.
    pub(super) bound_by: BoundBy,
    /// Whose session was signed for (Genesys).
    pub(super) signed_for: Option<SignedFor>,
    /// What the address of the socket says of its call, where the carrier was given it with the call (Telnyx).
    pub(super) claim: Option<Claim>,
}

impl Believed {
    const fn over(account: Option<String>, bound_by: BoundBy) -> Self {
        Self {
            account,
            bound_by,
            signed_for: None,
            claim: None,
        }
    }

    /// Whether the stream that starts is the one that was signed for.
    pub(super) fn covers(&self, start: &Start) -> bool {
        self.signed_for.as_ref().is_none_or(|signed| {
            signed.session == start.stream_id
                && Some(signed.organization.as_str()) == start.account_id.as_deref()
        })
    }
}

/// What the headers of an `AudioHook` upgrade name; its `open` must name the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignedFor {
    organization: String,
    session: String,
}

/// What binds a stream to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BoundBy {
    /// Our token in its parameters.
    Token,
    /// The request itself: its signature holds for one session, or its password is known to the carrier alone.
    Request,
    /// Nothing: carriers are believed without a signature.
    Nothing,
}

/// A request as the carrier has made it.
pub(super) struct Knock<'a> {
    pub(super) carrier: Dialect,
    pub(super) parts: &'a Parts,
    pub(super) body: &'a [u8],
    pub(super) kind: Kind,
}

/// Our public address, `https://voice.example`, as configured or as the request says; without a slash at the end.
pub(super) fn external(app: &App, parts: &Parts) -> String {
    if let Some(configured) = &app.config.telephony.external_url {
        return configured.trim_end_matches('/').to_owned();
    }
    let text = |headers: &HeaderMap, name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        let first = value.and_then(|value| value.split(',').next());
        first.map(|value| value.trim().to_owned())
    };
    let headers = &parts.headers;
    let (mut scheme, mut host) = (None, text(headers, header::HOST.as_str()));
    if is_from_proxy(app, parts) {
        scheme = text(headers, "x-forwarded-proto");
        host = text(headers, "x-forwarded-host").or(host);
    }
    let scheme = match scheme.as_deref() {
        Some("https" | "wss") => "https",
        _ => "http",
    };
    let host = host.filter(|host| is_host(host));
    let host = host.unwrap_or_else(|| app.config.server.listen.clone());
    format!("{scheme}://{host}")
}

fn is_host(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    !text.is_empty() && text.len() <= 255 && text.bytes().all(fits)
}

/// Says whether the request is the carrier's.
///
/// # Errors
/// 403 for one that is not; it is counted, and logged without what it holds.
pub(super) async fn believe(app: &App, knock: &Knock<'_>) -> Result<Believed, ApiError> {
    let origin = external(app, knock.parts);
    let path = knock.parts.uri.path_and_query();
    let url = format!("{origin}{}", path.map_or("/", |path| path.as_str()));
    let method = if knock.parts.method == Method::GET {
        "GET"
    } else {
        "POST"
    };
    let asked = Asked {
        method,
        url: &url,
        headers: &knock.parts.headers,
        body: knock.body,
    };
    let found = judge(app, knock, &asked, &origin).await;
    let distrust = match found {
        Ok(believed) => return Ok(believed),
        Err(distrust) => distrust,
    };
    let carrier = account_of(knock.carrier);
    let first = app.config.telephony.accounts_with(carrier).next();
    // a signature that is there and wrong is never believed
    let unsigned = first.is_none() || matches!(distrust, Distrust::Missing(_));
    if unsigned && app.config.telephony.allow_unsigned {
        let account = first.map(|(name, _)| name.to_owned());
        return Ok(Believed::over(account, BoundBy::Nothing));
    }
    app.metrics
        .calls()
        .distrusted(knock.carrier.name(), reason(distrust));
    tracing::warn!(
        carrier = knock.carrier.name(),
        reason = %distrust,
        "a request that claims to be a carrier's is not believed"
    );
    if knock.carrier == Dialect::AudioHook {
        tokio::time::sleep(GENESYS_PAUSE).await;
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "not_signed",
        format!(
            "This is not believed to be the carrier: {distrust}. Check the account's keys and telephony.external_url."
        ),
    ))
}

/// Why, as a label.
const fn reason(distrust: Distrust) -> &'static str {
    match distrust {
        Distrust::Missing(_) => "missing",
        Distrust::Malformed(_) => "malformed",
        Distrust::Mismatch => "mismatch",
        Distrust::Stale => "stale",
        Distrust::BadKey => "bad_key",
    }
}

/// Whose account a dialect is with: text mode is Twilio's.
pub(super) const fn account_of(carrier: Dialect) -> Dialect {
    match carrier {
        Dialect::Relay => Dialect::Twilio,
        other => other,
    }
}

async fn judge(
    app: &App,
    knock: &Knock<'_>,
    asked: &Asked<'_>,
    origin: &str,
) -> Result<Believed, Distrust> {
    let carrier = account_of(knock.carrier);
    // where there is no account, no key is one
    let mut last = Distrust::BadKey;
    let now_s = app.clock.unix_s().unsigned_abs();
    if carrier == Dialect::AudioHook {
        return genesys(app, asked, origin, now_s).await;
    }
    for (name, account) in app.config.telephony.accounts_with(carrier) {
        match check(app, knock.kind, (name, account, carrier), asked, now_s) {
            Ok(bound_by) => return Ok(Believed::over(Some(name.to_owned()), bound_by)),
            Err(distrust) => last = distrust,
        }
    }
    Err(last)
}

/// Checks one account of a carrier.
fn check(
    app: &App,
    kind: Kind,
    (name, account, carrier): (&str, &CarrierAccount, Dialect),
    asked: &Asked<'_>,
    now_s: u64,
) -> Result<BoundBy, Distrust> {
    let token = secret(account.auth_token.as_ref());
    let signing = account.signing_key.as_ref();
    let upgrade = kind == Kind::Upgrade;
    match carrier {
        Dialect::Twilio | Dialect::Relay => trust::twilio::verify(asked, kind, token)?,
        Dialect::SignalWire => {
            let ours = stream_secret(app, name, account);
            let bearer = trust::shared_secret(asked, "authorization", ours.as_bytes());
            if !upgrade || bearer.is_err() {
                let key = signing.map_or(token, |key| key.reveal().as_bytes());
                trust::signalwire::verify(asked, kind, key)?;
            }
        }
        Dialect::Telnyx if upgrade => {
            if let Some(ours) = &account.stream_token {
                let header = trust::telnyx::STREAM_TOKEN;
                trust::shared_secret(asked, header, ours.reveal().as_bytes())?;
            }
        }
        Dialect::Telnyx => {
            let key = signing.map_or("", |key| key.reveal());
            trust::telnyx::verify(asked, key, now_s)?;
        }
        // its upgrades are not signed: the token in their parameters is what they prove
        Dialect::Plivo if upgrade => {}
        Dialect::Plivo => trust::plivo::verify(asked, token)?,
        Dialect::Exotel => {
            let query = asked.url.split_once('?').map_or("", |(_, query)| query);
            // it reports of a call of ours to an address that nobody else was given
            if !upgrade && addresses::named(app, query).is_some() {
                return Ok(BoundBy::Token);
            }
            let ours = account.stream_token.as_ref().map_or("", |it| it.reveal());
            let (user, password) = ours.split_once(':').unwrap_or((ours, ""));
            trust::basic(asked, user, password)?;
            return Ok(BoundBy::Request);
        }
        Dialect::Vonage if upgrade => {
            let ours = stream_secret(app, name, account);
            trust::shared_secret(asked, "authorization", ours.as_bytes())?;
        }
        Dialect::Vonage => trust::vonage::verify(asked, secret(signing), now_s)?,
        Dialect::AudioHook => return Err(Distrust::Mismatch),
    }
    Ok(BoundBy::Token)
}

fn secret(secret: Option<&crate::config::Secret>) -> &[u8] {
    secret.map_or(&[], |secret| secret.reveal().as_bytes())
}

async fn genesys(
    app: &App,
    asked: &Asked<'_>,
    origin: &str,
    now_s: u64,
) -> Result<Believed, Distrust> {
    let key = trust::genesys::api_key(asked)?;
    let known = app
        .config
        .telephony
        .accounts_with(Dialect::AudioHook)
        .find(|(_, account)| account.api_key_id.as_deref() == Some(key));
    let secret = known.and_then(|(_, account)| account.signing_key.as_ref());
    let secret = secret.map(|secret| STANDARD.decode(secret.reveal()).unwrap_or_default());
    let authority = origin.split_once("://").map_or(origin, |(_, host)| host);
    let once = trust::genesys::verify(asked, authority, secret.as_deref(), now_s)?;
    use_up(app, &once).await?;
    let named = |name: &str| {
        let value = asked.headers.get(name).and_then(|it| it.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let account = known.map(|(name, _)| name.to_owned());
    Ok(Believed {
        signed_for: Some(SignedFor {
            organization: named("audiohook-organization-id"),
            session: named("audiohook-session-id"),
        }),
        ..Believed::over(account, BoundBy::Request)
    })
}

/// Uses something up that may be used once, on all servers.
///
/// # Errors
/// [`Distrust::Stale`] when it was used before, or when nobody can say.
pub(super) async fn use_up(app: &App, once: &Once) -> Result<(), Distrust> {
    let now = app.clock.utc();
    let request = store::Request {
        tenant: crate::auth::DEFAULT_TENANT,
        source: "telephony once",
        key: &once.id,
        print: "",
    };
    let node = app.presence.node();
    let until_s = i64::try_from(once.until_s).unwrap_or(i64::MAX);
    let until = DateTime::from_timestamp(until_s, 0).unwrap_or(now) + ONCE_MORE;
    match app.store.sql.receive(request, node, now, until).await {
        Ok(store::Receipt::Fresh) => {}
        Ok(_) => return Err(Distrust::Stale),
        Err(error) => {
            tracing::error!(error = %crate::auth::chain(&error), "cannot see whether a token was used before");
            return Err(Distrust::Stale);
        }
    }
    Ok(())
}

/// What a carrier is given to send along when it opens a stream: what is configured, or one that only this installation can
/// make.
pub(super) fn stream_secret(app: &App, name: &str, account: &CarrierAccount) -> String {
    if let Some(own) = &account.stream_token {
        return own.reveal().to_owned();
    }
    let text = format!("antiphon stream bearer {name}");
    let mac = hmac::sign(&app.phone.token_key, text.as_bytes());
    mac.as_ref().iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        // writing to a string cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}
