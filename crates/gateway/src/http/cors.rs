//! Which web pages may call which routes (spec/realtime §2.2).
//! Layers of the router.
//! Never opens the whole interface: pages get client secrets, servers have keys.

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// Response headers that a page may read.
const EXPOSED: [HeaderName; 2] = [header::LOCATION, super::trace::REQUEST_ID];

/// Any origin, for `/v1/realtime/*`: client secrets are made for pages. Cookies play no part.
pub(crate) fn realtime() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(Any)
        .expose_headers(EXPOSED)
}

/// The configured origins, for the rest of `/v1`.
pub(crate) fn configured(origins: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> = origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            super::trace::REQUEST_ID,
        ])
        .expose_headers(EXPOSED)
}
