//! The four routes that operators and orchestrators ask.
//! Mounted by the router, open to everyone.
//! Never tells anything about a conversation or a key.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use store::live::{Health, Queue, WorkKind, WorkLimits};
use wire::rest::status::{Check, Health as Alive, Info, Readiness};

use crate::App;
use crate::auth::chain;
use crate::http::ApiError;

/// `/health`, `/ready`, `/info`, `/metrics`.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/info", get(info))
        .route("/metrics", get(metrics))
}

/// The process answers.
async fn health() -> axum::Json<Alive> {
    axum::Json(Alive::ok(env!("CARGO_PKG_VERSION")))
}

/// Whether to send traffic here: the database answers, the models are loaded, the server is not stopping.
async fn ready(State(app): State<Arc<App>>) -> Response {
    let database = app.store.sql.ping().await.map_err(|error| chain(&error));
    let models = app
        .catalog
        .get()
        .map(drop)
        .map_err(|error| error.to_string());
    let running = if app.lifecycle.stopping() {
        Err("the server is shutting down".to_owned())
    } else {
        Ok(())
    };
    let needed = vec![
        check("database", database),
        check("models", models),
        check("lifecycle", running),
    ];
    let useful = redis(&app).await.into_iter().chain(conversations(&app));
    let readiness = Readiness::of(needed, useful.collect());
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, axum::Json(readiness)).into_response()
}

/// Whether Redis answers, where there is one. Without it calls go on: limits are this server's own, and no client secret
/// is made or taken.
async fn redis(app: &App) -> Option<Check> {
    let answer = app.store.live.link()?.ping().await;
    Some(check(
        "redis",
        answer.map_err(|error| {
            format!(
                "{error}: rate limits are kept by this server alone, client secrets do not work"
            )
        }),
    ))
}

/// Whether what is said reaches the database, where it is kept. While it does not, calls go on and it waits on disk.
fn conversations(app: &App) -> Option<Check> {
    let state = app.journal.as_ref()?.state();
    let outcome = match state.failing {
        None if state.held_tenants > 0 => Err(format!(
            "{} changes of {} tenants wait in the journal for a key that cannot be had: the log names them",
            state.held, state.held_tenants
        )),
        None => Ok(()),
        Some(reason) => Err(format!(
            "{} changes ({} bytes) wait in the journal: {reason}",
            state.waiting, state.bytes
        )),
    };
    Some(check("conversations", outcome))
}

pub(crate) fn check(name: &str, outcome: Result<(), String>) -> Check {
    Check {
        name: name.to_owned(),
        ok: outcome.is_ok(),
        detail: outcome.err(),
    }
}

/// What this server is and who answers.
async fn info(State(app): State<Arc<App>>) -> Result<axum::Json<Info>, ApiError> {
    let pipeline = app.catalog.get()?.default_pipeline();
    Ok(axum::Json(Info {
        name: "antiphon".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pipeline: pipeline.name.to_string(),
        speech_to_text: pipeline.stt.name().to_owned(),
        language_model: pipeline
            .llm_model
            .clone()
            .unwrap_or_else(|| pipeline.llm.name().to_owned()),
        text_to_speech: pipeline.tts.name().to_owned(),
        voices: pipeline
            .tts
            .voices()
            .into_iter()
            .map(|voice| voice.name)
            .collect(),
        notice: super::llm_notice(&app.config),
    }))
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    if let Some(link) = app.store.live.link() {
        app.metrics.redis_away(link.health() != Health::Here);
        if app.config.asks_workers() {
            for kind in WorkKind::ALL {
                let queue = Queue::new(link.clone(), kind, WorkLimits::default());
                if let Ok(standing) = queue.standing().await {
                    app.metrics.work().standing(kind, &standing);
                }
            }
        }
    }
    let journal = app.journal.as_ref().map(store::Journal::state);
    app.metrics.machine(journal.as_ref(), app.clock.stepped());
    if let Ok(catalog) = app.catalog.get() {
        let depths = catalog.queue_depths();
        for (queue, depth) in [
            ("stt", depths.stt),
            ("turn", depths.turn),
            ("tts", depths.tts),
            ("llm", depths.llm),
        ] {
            app.metrics.queue_depth(queue, depth);
        }
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text())
}
