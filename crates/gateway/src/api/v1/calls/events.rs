//! `GET /v1/calls/{id}/events`.
//! Called by whoever watches a call: what happened so far, then everything as it happens, as server-sent events.
//! Never ends before the call does, and never shows another tenant's.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use engine::call::state::CallState;
use futures_util::Stream;
use serde::Deserialize;
use serde_json::Value;
use store::StoreError;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;
use wire::rest::calls::CallEvent;

use super::found;
use crate::App;
use crate::auth::{Caller, chain};
use crate::calls::watchers::WATCHERS;
use crate::http::{ApiError, Query};

/// Between two looks at what has happened. A call runs on any server: what all of them share is the database.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The same while the call waits to be placed, which may be for days.
const LOOK_AT_REST: Duration = Duration::from_secs(5);
/// After a failure of the database.
const AFTER_TROUBLE: Duration = Duration::from_secs(2);
/// Events read at once, and on their way to the client at the same time; one that does not read is waited for.
const AT_ONCE: u32 = 100;

/// From where on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct From {
    /// Only events behind this `seq`.
    after: Option<i64>,
}

/// Watch a call.
#[utoipa::path(
    get,
    path = "/v1/calls/{id}/events",
    tag = "calls",
    params(("id" = String, Path, description = "The call's id"), From),
    responses(
        (status = 200, description = "What happens, one event each, until the call was dealt with",
            content((CallEvent = "text/event-stream"))),
        (status = 401, description = "No usable key"),
        (status = 404, description = "There is no such call"),
        (status = 429, description = "The tenant watches as many calls as it may"),
    )
)]
pub(crate) async fn events(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(from): Query<From>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    found(&app, &principal.tenant, &id).await?;
    let place = app.phone.watchers.enter(&principal.tenant).ok_or_else(|| {
        ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_watchers",
            format!("Your tenant watches {WATCHERS} calls on this server already. Close one of them first."),
        )
    })?;
    let (sender, receiver) = tokio::sync::mpsc::channel(AT_ONCE as usize);
    let watching = watch(
        Arc::clone(&app),
        (principal.tenant, id),
        from.after.unwrap_or(0),
        sender,
    );
    app.lifecycle.spawn(async move {
        watching.await;
        drop(place);
    });
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::default()))
}

async fn watch(
    app: Arc<App>,
    (tenant, id): (String, String),
    mut after: i64,
    sender: tokio::sync::mpsc::Sender<Result<Event, Infallible>>,
) {
    let sql = &app.store.sql;
    loop {
        // looked at first: what happens up to the end is shown behind it
        let looked = async {
            let call = sql.find_call(&tenant, &id).await?;
            let events = sql.call_events((&tenant, &id), after, AT_ONCE).await?;
            Ok::<_, StoreError>((call, events))
        };
        let (call, events) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                // whoever watches is told nothing of it: the call goes on
                tracing::warn!(error = %chain(&error), "cannot look at what happens in a call");
                tokio::select! {
                    () = app.lifecycle.soft().cancelled() => return,
                    () = sender.closed() => return,
                    () = tokio::time::sleep(AFTER_TROUBLE) => {}
                }
                continue;
            }
        };
        let rests = call.as_ref().and_then(|call| CallState::parse(&call.state));
        let pause = if rests.is_some_and(CallState::is_before_dialing) {
            LOOK_AT_REST
        } else {
            LOOK_EVERY
        };
        let over = call.is_none_or(|call| call.finalized_at.is_some());
        let all = events.len() < AT_ONCE as usize;
        for event in events {
            after = event.seq;
            if sender.send(Ok(shown(&event))).await.is_err() {
                return;
            }
        }
        if over && all {
            return;
        }
        tokio::select! {
            () = app.lifecycle.soft().cancelled() => return,
            () = sender.closed() => return,
            () = tokio::time::sleep(pause), if all => {}
        }
    }
}

fn shown(event: &store::CallEvent) -> Event {
    let details: Value = serde_json::from_slice(&event.content).unwrap_or_default();
    let shown = CallEvent {
        seq: event.seq,
        kind: event.kind.clone(),
        source: event.source.clone(),
        at: event.at.timestamp_millis() as f64 / 1e3,
        details,
    };
    let text = serde_json::to_string(&shown).unwrap_or_default();
    Event::default()
        .id(event.seq.to_string())
        .event(shown.kind)
        .data(text)
}
