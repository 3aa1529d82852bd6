//! One span, one id, one log line and one count per request.
//! The outermost layer of the router.
//! Never records a query string or a header: keys travel there.

use std::sync::Arc;

use aws_lc_rs::rand;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use crate::App;
use crate::observe::Event;

/// The header that carries a request's id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id accepted from a client, in characters.
const MAX_ID: usize = 128;

/// The id of a request: the client's own when it sent a usable one. Handlers and edges find it in the extensions
/// and put it into their logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    fn of(request: &Request) -> Self {
        let sent = request
            .headers()
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        let usable = |id: &&str| {
            !id.is_empty()
                && id.len() <= MAX_ID
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        match sent.filter(usable) {
            Some(id) => Self(id.into()),
            None => Self(fresh().into()),
        }
    }
}

fn fresh() -> String {
    let mut bytes = [0_u8; 16];
    // an id that repeats is a nuisance, not a hole: without randomness it is all zeros
    let _ = rand::fill(&mut bytes);
    let mut id = String::from("req_");
    for byte in bytes {
        use std::fmt::Write as _;
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// The layer.
pub async fn trace(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let method = request.method().as_str().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        // paths that match no route are one label, or a scanner could fill the memory
        .map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!(
        "request",
        request_id = &*id.0,
        method,
        route,
        key_id = tracing::field::Empty
    );
    request.extensions_mut().insert(id.clone());
    let begun = app.clock.now();
    async move {
        let mut response = next.run(request).await;
        if let Ok(value) = HeaderValue::from_str(&id.0) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        app.metrics.emit(&Event::RequestServed {
            method: &method,
            route: &route,
            status: response.status().as_u16(),
            took: app.clock.now() - begun,
        });
        response
    }
    .instrument(span)
    .await
}
