//! The REST interface under `/v1`: folder = noun, file = verb.
//! Mounted and documented by `http`.
//! Never does more than extract, call, answer.

mod v1;

use std::sync::Arc;

pub(crate) use v1::chat::completions::agent::inside::answer_as_agent;

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::App;
use crate::config::Limits;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Antiphon",
        description = "Live conversations with AI agents. The realtime events are described in asyncapi.json.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&BearerKey),
    security(("bearer" = []))
)]
struct Description;

/// How callers prove who they are.
struct BearerKey;

impl utoipa::Modify for BearerKey {
    fn modify(&self, document: &mut OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", scheme);
    }
}

/// Everything under `/v1` but the realtime routes.
pub(crate) fn routes(limits: &Limits) -> OpenApiRouter<Arc<App>> {
    v1::routes(limits)
}

/// `/v1/realtime/*`: routes that web pages of any origin may call.
pub(crate) fn realtime_routes() -> OpenApiRouter<Arc<App>> {
    v1::realtime_routes()
}

/// One document of both.
pub(crate) fn describe(rest: OpenApi, realtime: OpenApi) -> OpenApi {
    let mut document = Description::openapi();
    document.merge(rest);
    document.merge(realtime);
    document
}
