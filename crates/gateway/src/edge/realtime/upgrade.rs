//! Lets a client in: who it is, what it wants, which pipeline answers.
//! Mounted at `GET /v1/realtime` (spec/realtime §2.1).
//! Never accepts a socket for a caller without a usable key, never echoes the key, and never uses a client secret up
//! for a refusal before the upgrade.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{Stream, StreamExt as _};
use providers::Catalog;
use serde::Deserialize;
use wire::ids::Ids;
use wire::realtime::{ErrorBody, ServerEvent, SessionKind, SessionUpdate, decode};

use super::Shape;
use super::read::{Gone, read};
use super::write::{Pen, write};
use crate::app::{App, CatalogUnavailable};
use crate::auth::{self, Credential, Principal};
use crate::edge;
use crate::http::error::ApiError;
use crate::http::trace::RequestId;
use crate::metering::Opening;
use crate::observe::Outcome;
use crate::registry::{Active, Owned};
use crate::session::{Call, Prepared, Wish};

/// Close code of a permanent refusal after the upgrade; not one that SDKs try again on (spec/realtime §2.1).
const REFUSED: u16 = 1008;
/// How long a connection waits for models that are still being loaded.
const MODELS_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);
/// How long the last events and the close frame may take.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(5);
/// How long a client may take to see the close frame.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);
/// The subprotocol we answer with, and the one that marks the beta shape.
const PROTOCOL: &str = "realtime";
const BETA_PROTOCOL: &str = "openai-beta.realtime-v1";

/// Routes of this protocol.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/realtime", get(upgrade))
}

/// Query of the upgrade; keys we do not know (`api-version`, `deployment`) are ignored.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    model: Option<String>,
    intent: Option<String>,
    call_id: Option<String>,
}

async fn upgrade(
    State(app): State<Arc<App>>,
    Query(wanted): Query<Wanted>,
    parts: Parts,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let headers = &parts.headers;
    let credential =
        Credential::from_request(headers, &parts.uri).ok_or_else(ApiError::missing_key)?;
    // a server key is looked at first: strangers get no further. A client secret is looked at last: looking uses it up,
    // and it was counted when it was made
    let known = if credential.is_ephemeral() {
        None
    } else {
        Some(auth::rates::admit(&app, &credential, &parts).await?)
    };
    if app.lifecycle.stopping() {
        return Err(ApiError::shutting_down());
    }
    if let Some(id) = &wanted.call_id {
        return Err(ApiError::not_found(format!(
            "No call with id '{id}' is running here."
        )));
    }
    let socket = socket.map_err(|_| {
        ApiError::invalid(
            "websocket_required",
            "GET /v1/realtime is a WebSocket: send an upgrade request.",
        )
    })?;
    let active = app
        .sessions
        .enter()
        .ok_or_else(ApiError::too_many_sessions)?;
    let principal = match known {
        Some(principal) => principal,
        None => auth::admit(&app, &credential, &parts).await?,
    };
    let active = place(&app, &principal, active)?;
    let shape = shape(headers);
    let request_id = parts.extensions.get::<RequestId>().cloned();
    let socket = limits(socket).protocols([PROTOCOL]);
    Ok(socket
        .on_upgrade(move |socket| async move {
            // a client that comes while the models are still being loaded is let in as soon as they are there
            let prepared = match app.catalog.wait(MODELS_WITHIN).await {
                Ok(catalog) => prepare(&app, &catalog, &principal, &wanted).await,
                Err(error) => Err(ErrorBody::server(code(&error), error.to_string())),
            };
            match prepared {
                Ok(prepared) => {
                    let call = call(&app, &principal, prepared, active);
                    let span = tracing::info_span!(
                        "session",
                        session = call.session.settings().id,
                        request_id = request_id.as_ref().map(|id| &*id.0),
                    );
                    // a task of its own: this one holds all that was needed to get here, and ends
                    let begin = || app.lifecycle.spawn(converse(&app, call, socket, shape));
                    span.in_scope(begin);
                }
                Err(error) => refuse(socket, error, active).await,
            }
        })
        .into_response())
}

/// A conversation that is ready to begin, with its place in the books and in the database.
fn call(app: &App, principal: &Principal, prepared: Prepared, active: Owned) -> Call {
    let Prepared {
        session,
        pipeline,
        toolbox,
    } = prepared;
    let opening = Opening {
        tenant: principal.tenant.clone(),
        model: session.settings().model.clone(),
        pipeline: pipeline.name.to_string(),
        started_at: app.clock.unix_s(),
    };
    Call {
        account: app.meter.open(&session.settings().id, opening),
        record: app.record(principal.place(), &session),
        session,
        pipeline,
        meter: app.meter.clone(),
        toolbox,
        tenant: principal.tenant.clone(),
        active,
        clock: app.clock.clone(),
        metrics: app.metrics.clone(),
        lifecycle: app.lifecycle.clone(),
    }
}

/// The place of one of the tenant's conversations.
fn place(app: &App, principal: &Principal, active: Active) -> Result<Owned, ApiError> {
    let most = auth::rates::allowed(&app.config, &principal.allowance).concurrent_sessions;
    active
        .of(&principal.tenant, most)
        .ok_or_else(|| ApiError::too_many_sessions_of_tenant(most))
}

/// Socket limits; tungstenite's own are 128 KiB reserved per connection and unbounded writes.
fn limits(socket: WebSocketUpgrade) -> WebSocketUpgrade {
    socket
        .read_buffer_size(edge::READ_BUFFER_BYTES)
        .write_buffer_size(edge::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(edge::MAX_WRITE_BUFFER_BYTES)
        .max_message_size(edge::MAX_MESSAGE_BYTES)
        .max_frame_size(edge::MAX_MESSAGE_BYTES)
}

/// The code of a connection that came before the models, or to a server that cannot load them.
const fn code(error: &CatalogUnavailable) -> &'static str {
    match error {
        CatalogUnavailable::Loading => "models_loading",
        CatalogUnavailable::Failed(_) => "models_unavailable",
    }
}

fn shape(headers: &HeaderMap) -> Shape {
    let says = |name: &str, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|entry| entry.trim() == wanted)
    };
    if says("openai-beta", "realtime=v1") || says("sec-websocket-protocol", BETA_PROTOCOL) {
        Shape::Beta
    } else {
        Shape::Ga
    }
}

/// The session this connection wants, and who answers in it.
async fn prepare(
    app: &App,
    catalog: &Catalog,
    principal: &Principal,
    wanted: &Wanted,
) -> Result<Prepared, ErrorBody> {
    let stored = match &principal.stored_session {
        Some(stored) => {
            decode::session_update(stored, "session").map_err(|refused| refused.error)?
        }
        None => SessionUpdate::default(),
    };
    let transcribes = wanted.intent.as_deref() == Some("transcription");
    let kind = if transcribes {
        SessionKind::Transcription
    } else {
        stored.kind.unwrap_or_default()
    };
    let wish = Wish {
        place: principal.place(),
        kind,
        model: wanted.model.clone().or_else(|| stored.model.clone()),
        settings: SessionUpdate {
            kind: Some(kind),
            ..stored
        },
    };
    crate::session::prepare(app, catalog, wish).await
}

/// What ended first.
enum First {
    /// The client's side.
    Gone(Gone),
    /// The session.
    Session,
    /// The way to the client.
    Written(Outcome),
}

/// A conversation from its first event to its last. Reader, session and writer take turns in one task: idle ones are
/// most of all, and a task each would cost each of them twice as much.
fn converse(
    app: &App,
    call: Call,
    socket: WebSocket,
    shape: Shape,
) -> impl Future<Output = ()> + Send + use<> {
    let (edge, line) = edge::connection(app.config.sessions.send_queue_events);
    let pen = Pen {
        shape,
        session: call.session.settings().id.clone(),
        ids: Ids::seeded(app.seed()),
        clock: call.clock.clone(),
        metrics: call.metrics.clone(),
    };
    let (sink, mut stream) = socket.split();
    // boxed: what is moved within a future takes its room twice
    let mut writing = Box::pin(write(sink, line.outbound, pen));
    let mut session = Box::pin(crate::session::run(call, edge));
    let (inbound, room, left) = (line.inbound, line.room, line.left);
    async move {
        let first = tokio::select! {
            biased;
            gone = read(&mut stream, inbound, room, shape) => First::Gone(gone),
            _ = session.as_mut() => First::Session,
            written = writing.as_mut() => First::Written(written),
        };
        // the reader's end of the queue is gone with it: the session ends, and with it its providers' work
        let written = match first {
            First::Session => None,
            First::Gone(gone) => {
                let _ = left.send(gone.outcome());
                let written = tokio::select! {
                    biased;
                    _ = session.as_mut() => None,
                    written = writing.as_mut() => Some(written),
                };
                if written.is_some() {
                    session.await;
                }
                // who is lost hears no last words
                written.or((gone != Gone::Closed).then(|| gone.outcome()))
            }
            First::Written(written) => {
                let _ = left.send(written);
                session.await;
                Some(written)
            }
        };
        if written.is_none() {
            // what was queued, the close frame last, still goes out; a client that does not read it is cut off
            let _ = tokio::time::timeout(LAST_WORDS, writing).await;
        }
        linger(stream).await;
    }
}

/// Reads over what a client sent before it saw the close. A connection that is closed with unread bytes is reset
/// (RFC 1122 §4.2.2.13), and a reset destroys a close frame that the client has not read yet.
async fn linger(mut stream: impl Stream<Item = Result<Message, axum::Error>> + Unpin) {
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    // a client that goes on all the same has had its chance
    let _ = tokio::time::timeout(LINGER, rest).await;
}

/// One `error` event, then the close (spec/realtime §4.2, case 11).
async fn refuse(mut socket: WebSocket, error: ErrorBody, active: Owned) {
    let reason = error.code.clone().unwrap_or_default();
    let mut text = String::new();
    let event = ServerEvent::Error { error };
    wire::realtime::fast::write_event(&event, "event_refused", &mut text);
    let _ = socket.send(Message::Text(text.into())).await;
    let _ = socket
        .send(Message::Close(Some(CloseFrame {
            code: REFUSED,
            reason: reason.into(),
        })))
        .await;
    drop(active);
    linger(socket).await;
}
