//! The interface described: OpenAPI, AsyncAPI, and a page to read.
//! Mounted by the router; the two documents are also written by xtask.
//! Never loads anything from another server.

use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse, Response};

use super::docs_page;
use crate::{api, config};

/// The page may style itself and do nothing else.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The OpenAPI document of the REST interface, pretty-printed.
pub fn openapi_json() -> String {
    serde_json::to_string_pretty(&document()).unwrap_or_default()
}

/// The AsyncAPI document of the realtime protocol, pretty-printed.
pub fn asyncapi_json() -> String {
    serde_json::to_string_pretty(&wire::asyncapi::document()).unwrap_or_default()
}

fn document() -> serde_json::Value {
    let (_, rest) = api::routes(&config::Limits::default()).split_for_parts();
    let (_, realtime) = api::realtime_routes().split_for_parts();
    serde_json::to_value(api::describe(rest, realtime)).unwrap_or_default()
}

/// Browsers take the content type at its word.
const NO_SNIFFING: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

pub(crate) async fn openapi() -> Response {
    json(openapi_json())
}

pub(crate) async fn asyncapi() -> Response {
    json(asyncapi_json())
}

fn json(text: String) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), NO_SNIFFING];
    (headers, text).into_response()
}

pub(crate) async fn page() -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, CSP), NO_SNIFFING];
    (headers, Html(docs_page::render(&document()))).into_response()
}
