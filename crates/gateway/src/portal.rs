//! Serves the page at `/` and its files from inside the binary.
//! The router's fallback.
//! Never serves anything outside `portal/public` and never lets a page load code from elsewhere.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;

use crate::App;
use crate::http::ApiError;

#[derive(RustEmbed)]
#[folder = "../../portal/public"]
#[allow_missing = true]
struct Files;

/// What the page may do: its own scripts and styles, its own sockets, audio from memory.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
connect-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; \
frame-ancestors ";

/// The page that others may show in a frame, where `chat.embed_origins` names them.
const EMBEDDABLE: &str = "chat.html";

/// What `/` says in a build without the page.
const NO_PAGE: &str = "Antiphon is running. This build has no page; see /docs for the interface and /health for its state.\n";

pub(crate) async fn serve(
    State(app): State<Arc<App>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return not_found(uri.path());
    }
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    match Files::get(path) {
        Some(file) => answer(path, &file, &headers, &policy(&app, path)),
        None if path == "index.html" => NO_PAGE.into_response(),
        None => not_found(uri.path()),
    }
}

/// What the page may do, and who may show it.
fn policy(app: &App, path: &str) -> String {
    let origins = &app.config.chat.embed_origins;
    if path == EMBEDDABLE && !origins.is_empty() {
        return format!("{CSP}'self' {}", origins.join(" "));
    }
    format!("{CSP}'none'")
}

fn answer(
    path: &str,
    file: &rust_embed::EmbeddedFile,
    headers: &HeaderMap,
    policy: &str,
) -> Response {
    let etag = etag(&file.metadata.sha256_hash());
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|sent| {
            sent.split(',')
                .any(|tag| tag.trim().trim_start_matches("W/") == etag)
        });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file.data.clone().into_owned().into_response()
    };
    let out = response.headers_mut();
    out.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(path)),
    );
    // names carry no hash, so every use asks whether the file is still the same
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(policy) = HeaderValue::from_str(policy) {
        out.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    out.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    out.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    if let Ok(value) = HeaderValue::from_str(&etag) {
        out.insert(header::ETAG, value);
    }
    response
}

/// The first half of the file's SHA-256: enough to tell two versions apart.
fn etag(hash: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    let mut tag = String::from("\"");
    for byte in &hash[..16] {
        // writing to a String does not fail
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("wav") => "audio/wav",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn not_found(path: &str) -> Response {
    ApiError::not_found(format!(
        "There is nothing at {path}. GET /docs lists what there is."
    ))
    .into_response()
}
