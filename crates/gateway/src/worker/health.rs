//! What a worker tells operators, orchestrators and autoscalers.
//! Mounted on the worker's own address, open to everyone.
//! Never tells anything about a job.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use store::live::Health;
use wire::rest::status::{Health as Alive, Readiness};

use super::Shop;
use crate::observe::health::check;

pub(super) fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(shop)
}

/// The process answers.
async fn health() -> axum::Json<Alive> {
    axum::Json(Alive::ok(env!("CARGO_PKG_VERSION")))
}

/// Whether it does work: its models are loaded, Redis answers, it is not stopping.
async fn ready(State(shop): State<Arc<Shop>>) -> Response {
    let models = match &*shop.loaded.borrow() {
        None => Err("the models are still being loaded".to_owned()),
        Some(Err(message)) => Err(message.clone()),
        Some(Ok(())) => Ok(()),
    };
    let redis = shop.link.ping().await;
    let redis = redis.map_err(|error| format!("{error}: no work comes"));
    let running = if shop.lifecycle.stopping() {
        Err("the worker is shutting down".to_owned())
    } else {
        Ok(())
    };
    let needed = vec![
        check("models", models),
        check("redis", redis),
        check("lifecycle", running),
    ];
    let readiness = Readiness::of(needed, Vec::new());
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, axum::Json(readiness)).into_response()
}

async fn metrics(State(shop): State<Arc<Shop>>) -> impl IntoResponse {
    shop.metrics.redis_away(shop.link.health() != Health::Here);
    for bench in &shop.benches {
        let running = bench.running.load(Ordering::Relaxed);
        let (kind, work) = (bench.queue.kind(), shop.metrics.work());
        work.places(kind, running, bench.places);
        if let Ok(standing) = bench.queue.standing().await {
            work.standing(kind, &standing);
        }
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shop.metrics.text())
}
