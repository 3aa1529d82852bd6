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
use providers::Catalog;
use serde::Deserialize;
use wire::realtime::extra::{ExtraEvent, ExtraEvents};
use wire::realtime::{ErrorBody, ServerEvent, SessionKind, SessionUpdate, decode};

use super::Shape;
use super::converse::{Return, converse, linger};
use crate::app::{App, CatalogUnavailable};
use crate::auth::{self, Credential, Principal};
use crate::edge;
use crate::http::error::ApiError;
use crate::http::trace::RequestId;
use crate::metering::Opening;
use crate::quota;
use crate::registry::Owned;
use crate::session::{self, Call, Entry, Prepared, Resumed, Wish};

/// Close code of a permanent refusal after the upgrade; not one that SDKs try again on (spec/realtime §2.1).
const REFUSED: u16 = 1008;
/// Close code where there is no such session to go on with (spec/platform §3.6).
const NO_SESSION: u16 = 4004;
/// How long a connection waits for models that are still being loaded.
const MODELS_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);
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
    /// The session to go on with, `sess_…`; ours.
    session_id: Option<String>,
    /// The last event that was seen of it; what came behind is sent again.
    last_event_id: Option<String>,
    /// Events of ours that the client wants to have, with commas between them.
    extra_events: Option<String>,
}

impl Wanted {
    /// The events of ours that it wants to have.
    fn extras(&self) -> Result<ExtraEvents, ApiError> {
        let list = self.extra_events.as_deref().unwrap_or_default();
        ExtraEvents::parse(list).map_err(|unknown| {
            let known = ExtraEvent::ALL.map(ExtraEvent::name).join(", ");
            let message = format!("There is no extra event '{unknown}'; there are {known}.");
            ApiError::invalid_value("extra_events", message)
        })
    }
}

/// A session that can be started, and how it is kept.
struct Ready {
    prepared: Prepared,
    entry: Entry,
    back: Option<Return>,
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
    let extras = wanted.extras()?;
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
    if let Some(id) = &wanted.session_id {
        // where it still runs, it makes room for itself
        app.presence.free(&principal.tenant, id).await;
    }
    let active = quota::place(&app, &principal, active).await?;
    let shape = shape(headers);
    let request_id = parts.extensions.get::<RequestId>().cloned();
    let socket = limits(socket).protocols([PROTOCOL]);
    Ok(socket
        .on_upgrade(move |socket| async move {
            // a client that comes while the models are still being loaded is let in as soon as they are there
            let prepared = match app.catalog.wait(MODELS_WITHIN).await {
                Ok(catalog) => ready(&app, &catalog, &principal, wanted).await,
                Err(error) => Err(ErrorBody::server(code(&error), error.to_string())),
            };
            match prepared {
                Ok(Ready {
                    mut prepared,
                    entry,
                    back,
                }) => {
                    prepared.session.tell_also(extras);
                    let call = call(&app, &principal, (prepared, entry), active);
                    let span = tracing::info_span!(
                        "session",
                        session = call.session.settings().id,
                        request_id = request_id.as_ref().map(|id| &*id.0),
                    );
                    // a task of its own: this one holds all that was needed to get here, and ends
                    let begin = || {
                        let conversation = converse(&app, call, socket, shape, back);
                        app.lifecycle.spawn(conversation)
                    };
                    span.in_scope(begin);
                }
                Err(error) => refuse(socket, error, active).await,
            }
        })
        .into_response())
}

/// A conversation that is ready to begin, with its place in the books and in the database.
pub(in crate::edge) fn call(
    app: &App,
    principal: &Principal,
    (prepared, entry): (Prepared, Entry),
    active: Owned,
) -> Call {
    let Prepared {
        session,
        pipeline,
        toolbox,
    } = prepared;
    let opening = Opening {
        tenant: principal.tenant.clone(),
        project: principal.project.clone(),
        model: session.settings().model.clone(),
        pipeline: pipeline.name.to_string(),
        started_at: app.clock.unix_s(),
    };
    let tab = app.quotas.open(&app.config, principal, &active);
    Call {
        counted: app.meter.attach(&session.settings().id, tab),
        account: app.meter.open(&session.settings().id, opening),
        entry,
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

/// The session that this connection begins or goes on with.
async fn ready(
    app: &App,
    catalog: &Catalog,
    principal: &Principal,
    wanted: Wanted,
) -> Result<Ready, ErrorBody> {
    let Some(id) = &wanted.session_id else {
        let prepared = prepare(app, catalog, principal, &wanted).await?;
        let entry = Entry::new(app, principal.place(), &prepared.session);
        return Ok(Ready {
            prepared,
            entry,
            back: None,
        });
    };
    let Resumed {
        prepared,
        entry,
        missed,
        items,
    } = session::resume(app, catalog, principal.place(), id).await?;
    let back = Return {
        missed,
        last_event: wanted.last_event_id,
        items,
    };
    Ok(Ready {
        prepared,
        entry,
        back: Some(back),
    })
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
        going_on: None,
        door: session::Door::default(),
    };
    crate::session::prepare(app, catalog, wish).await
}
/// One `error` event, then the close (spec/realtime §4.2, case 11).
async fn refuse(mut socket: WebSocket, error: ErrorBody, active: Owned) {
    let reason = error.code.clone().unwrap_or_default();
    let code = if reason == "session_not_found" {
        NO_SESSION
    } else {
        REFUSED
    };
    let mut text = String::new();
    let event = ServerEvent::Error { error };
    wire::realtime::fast::write_event(&event, "event_refused", &mut text);
    let _ = socket.send(Message::Text(text.into())).await;
    let _ = socket
        .send(Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        })))
        .await;
    drop(active);
    linger(socket).await;
}
