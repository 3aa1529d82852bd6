//! What every route that asks a provider does: take a place, find the pipeline, tell of failures, stream.
//! Used by the audio and chat routes.
//! Never knows what is asked.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use providers::{Catalog, Pipeline, ProviderError};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use wire::ids::Ids;

use crate::App;
use crate::auth::Principal;
use crate::http::ApiError;
use crate::metering::{Billed, Opening};
use crate::observe::Event;

/// How long a request waits for models that are being loaded.
const MODELS_PATIENCE: Duration = Duration::from_secs(10);

/// A place among the requests to providers that run at the same time.
pub(super) fn admit(app: &App) -> Result<OwnedSemaphorePermit, ApiError> {
    Arc::clone(&app.audio_requests)
        .try_acquire_owned()
        .map_err(|_| {
            ApiError::unavailable(
                "server_overloaded",
                "As many requests are running as this server takes. Try again in a moment.",
                1,
            )
        })
}

/// What a request is called towards providers and on bills. Never the id that the client sent: that could be another's.
pub(super) fn account(app: &App) -> String {
    Ids::seeded(app.seed()).next("req")
}

/// Has what the request of `who` uses counted and stored under the name `account`, as long as what is returned is held.
pub(super) fn billed(
    app: &App,
    who: &Principal,
    account: &str,
    model: &str,
    pipeline: &Pipeline,
) -> Billed {
    let opening = Opening {
        tenant: who.tenant.clone(),
        project: who.project.clone(),
        model: model.to_owned(),
        pipeline: pipeline.name.to_string(),
        started_at: app.clock.unix_s(),
    };
    app.meter.request(account, opening)
}

pub(super) async fn catalog(app: &App) -> Result<Catalog, ApiError> {
    Ok(app.catalog.wait(MODELS_PATIENCE).await?)
}

/// Counts and logs a provider's failure and turns it into the answer.
pub(super) fn failed(app: &App, error: ProviderError) -> ApiError {
    app.metrics.emit(&Event::ProviderFailed {
        session: None,
        provider: &error.provider,
        code: error.code(),
        message: &error.message,
    });
    error.into()
}

/// One server-sent event.
pub(super) fn sse<T: Serialize>(event: &T) -> Bytes {
    // our events have no maps, the only thing that cannot be written
    wire::rest::sse(event).map(Bytes::from).unwrap_or_default()
}

/// Marks `response` as a stream of events that nobody may store or hold back.
pub(super) fn as_event_stream(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // proxies such as nginx collect answers unless told not to
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
