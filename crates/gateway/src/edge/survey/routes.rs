//! The plain routes of the survey: where it is, whether it lives, and a code by mail.
//! Mounted twice: under `/survey`, and at the root of a listener of its own (spec/chat-voice-survey A3, A4).
//! Never says whether somebody has answered, and takes no key: the code is the key.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Json, Router};
use engine::survey::{Address, Dialect};
use wire::survey::{CodeAnswer, Info, requested};

use super::upgrade;
use crate::App;
use crate::http::{client_ip, is_from_proxy};
use crate::survey::Requested;

/// Largest body of a request for a code, in bytes.
const BODY_BYTES: usize = 16 * 1024;

/// Under which path the door is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mount(pub(super) &'static str);

/// The door on the main port.
pub fn routes() -> Router<Arc<App>> {
    let mount = "/survey";
    Router::new().nest(mount, door(Mount(mount)))
}

/// The door on a port of its own.
pub fn listener_routes() -> Router<Arc<App>> {
    door(Mount(""))
}

fn door(mount: Mount) -> Router<Arc<App>> {
    Router::new()
        .route("/", any(root))
        .route("/ws", any(root))
        .route("/health", any(health))
        .route("/info", any(info))
        .route("/request-code", any(request_code))
        .fallback(elsewhere)
        .layer(Extension(mount))
}

/// The dialogue, or how to get to it.
async fn root(
    State(app): State<Arc<App>>,
    Extension(mount): Extension<Mount>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    if upgrade::is_wanted(&parts.headers) {
        return upgrade::upgrade(app, &mut parts).await;
    }
    if app.survey.dialect() == Dialect::V1 {
        return upgrade_required();
    }
    let base = base(&app, &parts, mount);
    plain(StatusCode::OK, help(&base))
}

/// What the first dialect answers to whoever does not speak it.
fn upgrade_required() -> Response {
    let mut response = plain(
        StatusCode::UPGRADE_REQUIRED,
        "This is a WebSocket: connect with a client such as `npx wscat -c`.\n",
    );
    let headers = response.headers_mut();
    headers.insert(
        header::UPGRADE,
        header::HeaderValue::from_static("websocket"),
    );
    response
}

async fn health() -> Response {
    plain(StatusCode::OK, "OK")
}

async fn info(
    State(app): State<Arc<App>>,
    Extension(mount): Extension<Mount>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let websocket_url = base(&app, &parts, mount).websocket;
    Json(Info { websocket_url }).into_response()
}

/// Any other path. The first dialect takes its dialogue there as well.
async fn elsewhere(State(app): State<Arc<App>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    if app.survey.dialect() != Dialect::V1 {
        return not_found();
    }
    if upgrade::is_wanted(&parts.headers) {
        return upgrade::upgrade(app, &mut parts).await;
    }
    upgrade_required()
}

fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, "Not Found")
}

async fn request_code(
    State(app): State<Arc<App>>,
    Extension(mount): Extension<Mount>,
    request: Request,
) -> Response {
    if request.method() != Method::POST {
        return not_found();
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large");
    };
    code(&app, (&parts, mount), body).await
}

async fn code(app: &App, (parts, mount): (&Parts, Mount), body: Bytes) -> Response {
    let email = match requested(&body) {
        Ok(email) => email,
        Err(bad) => return refuse(StatusCode::BAD_REQUEST, bad.to_string()),
    };
    let Some(address) = Address::parse(&email) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            wire::survey::BadRequest::Email.to_string(),
        );
    };
    if !crate::tenants::is_open(&app.store.sql, app.survey.tenant()).await {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, upgrade::CLOSED.trim_end());
    }
    let ip = client_ip(app, parts);
    let url = base(app, parts, mount).websocket;
    let requested = app.survey.request_code(&address, ip, Dialect::V3c, &url);
    match Box::pin(requested).await {
        Ok(Requested::Mailed(_)) => {
            let minutes = app.survey.code_minutes(Dialect::V3c);
            let unit = if minutes == 1 { "minute" } else { "minutes" };
            let message = format!("Verification code sent to {email}. Valid for {minutes} {unit}.");
            Json(CodeAnswer::sent(message)).into_response()
        }
        Ok(Requested::TooMany(wait_s)) => {
            let error = format!(
                "Too many codes were requested for this address or from your network. Try again in {wait_s} s."
            );
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, error);
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, wait_s.into());
            response
        }
        Ok(Requested::NotMailed) => refuse(
            StatusCode::BAD_GATEWAY,
            "The mail server does not take mail for this address. Check it, or use another.",
        ),
        Ok(Requested::NoMail) => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "No mail can be sent at present. Try again later.",
        ),
        Err(error) => {
            tracing::error!(error = %crate::auth::chain(&error), "cannot make a code");
            refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "No code can be made at present. Try again in a moment.",
            )
        }
    }
}

fn refuse(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(CodeAnswer::refused(error))).into_response()
}

pub(super) fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, text.into()).into_response()
}

/// Where the door is, as its clients see it.
struct Base {
    http: String,
    websocket: String,
}

/// From the configuration, else from the request. A proxy in front is believed what it says of TLS; nobody else is.
fn base(app: &App, parts: &Parts, mount: Mount) -> Base {
    let Mount(mount) = mount;
    let configured = app.config.survey.external_url.as_deref();
    let (is_secure, rest) = match configured.and_then(|url| url.split_once("://")) {
        Some((scheme, rest)) => (
            matches!(scheme, "https" | "wss"),
            rest.trim_end_matches('/').to_owned(),
        ),
        None => (
            is_secure(app, parts),
            format!("{}{mount}", host(app, parts)),
        ),
    };
    let s = if is_secure { "s" } else { "" };
    Base {
        http: format!("http{s}://{rest}"),
        websocket: format!("ws{s}://{rest}"),
    }
}

fn is_secure(app: &App, parts: &Parts) -> bool {
    is_from_proxy(app, parts)
        && last(&parts.headers, "x-forwarded-proto").is_some_and(|it| it == "https")
}

fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

/// The host that was asked for, if it is one: it is written into a page.
fn host(app: &App, parts: &Parts) -> String {
    let named = parts
        .headers
        .get(header::HOST)
        .and_then(|it| it.to_str().ok());
    let named = named.or_else(|| {
        parts
            .uri
            .authority()
            .map(axum::http::uri::Authority::as_str)
    });
    let is_host = |host: &&str| {
        !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-:[]_".contains(c))
    };
    named
        .filter(is_host)
        .unwrap_or(&app.config.server.listen)
        .to_owned()
}

fn help(base: &Base) -> String {
    let Base { http, websocket } = base;
    format!(
        "Agent Polls WebSocket Server\n\n\
         1. Ask for a code:\n   curl -X POST {http}/request-code -H 'Content-Type: application/json' -d '{{\"email\":\"you@example.com\"}}'\n\
         2. Look into your mail for the six digits.\n\
         3. Connect:\n   websocat {websocket}/ws\n\
         4. Type your email address, then the code, then your answers. Type quit to leave.\n\n\
         Health check: {http}/health\n"
    )
}
