//! All routes of the server.
//! Built once by [`crate::run`].
//! Never answers anything itself.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use super::{ApiError, cors, docs, trace};
use crate::config::Profile;
use crate::{App, api, edge, observe, portal};

/// The server's routes and layers.
pub fn router(app: Arc<App>) -> Router {
    let (rest, _) = api::routes(&app.config.limits).split_for_parts();
    let (realtime_rest, _) = api::realtime_routes().split_for_parts();
    let realtime = Router::new()
        .merge(realtime_rest)
        .merge(edge::realtime::routes());
    // below the layers that say which pages may call: they answer OPTIONS, which no route takes
    let realtime = realtime
        .method_not_allowed_fallback(method_not_allowed)
        .layer(cors::realtime());
    let rest = rest
        .method_not_allowed_fallback(method_not_allowed)
        .layer(cors::configured(&app.config.http.allowed_origins));
    let routes = Router::new()
        .merge(rest)
        .merge(realtime)
        .merge(edge::survey::routes())
        .merge(edge::telephony::routes())
        .merge(observe::health::routes())
        .merge(edge::voice::routes())
        .merge(edge::chat::routes())
        .route("/openapi.json", get(docs::openapi))
        .route("/asyncapi.json", get(docs::asyncapi))
        .route("/docs", get(docs::page))
        .fallback(portal::serve)
        .method_not_allowed_fallback(method_not_allowed);
    guarded(app, routes)
}

/// What a further address answers.
pub fn of_profile(app: Arc<App>, profile: Profile) -> Router {
    match profile {
        Profile::All => router(app),
        Profile::Voice => guarded(app, edge::voice::listener_routes()),
        Profile::Survey => guarded(app, edge::survey::listener_routes()),
        Profile::Chat => guarded(app, edge::chat::listener_routes()),
        Profile::Telephony => guarded(app, edge::telephony::bridge_routes()),
        Profile::Metrics => guarded(app, observe::health::routes()),
    }
}

/// The layers that every address has: sizes, time-outs, panics, the trace of each request.
fn guarded(app: Arc<App>, routes: Router<Arc<App>>) -> Router {
    routes
        .layer(DefaultBodyLimit::max(app.config.limits.json_bytes))
        .layer(RequestBodyTimeoutLayer::new(Duration::from_secs(
            app.config.limits.body_idle_s,
        )))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&app), trace::trace))
        .with_state(app)
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This route does not answer to that method. GET /docs lists what it does answer to.",
    )
}

/// A handler's panic is one failed request; the panic hook has logged where it happened.
fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::internal().into_response()
}
