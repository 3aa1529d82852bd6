//! Lets a carrier's media stream in: believed before the upgrade, bound to its call at its start.
//! Mounted at `GET /telephony/{carrier}` and, on a listener of the telephone's own, at every path (spec/telephony §2.4).
//! Never accepts a socket that is not believed, and never loses sound that comes while its call is being looked up.

use std::sync::Arc;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use wire::telephony::Dialect;

use super::answer::dialect;
use super::door::{self, Believed, Knock};
use super::opening::Opening;
use super::trust::twilio::Kind;
use super::{bind, line, parameters};
use crate::App;
use crate::edge;
use crate::http::ApiError;
use crate::http::trace::RequestId;

/// Longest message that is taken from a carrier, in bytes. The codecs refuse what is longer than 64 kB with a close code
/// that says so; beyond this the socket itself gives up.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// Taken from the connection at once, in bytes: some frames of 20 ms.
const READ_BUFFER_BYTES: usize = 2048;

/// `GET /telephony/{carrier}`.
pub(super) async fn upgrade(
    State(app): State<Arc<App>>,
    Path(carrier): Path<String>,
    parts: Parts,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let carrier = dialect(&app, &carrier)?;
    enter(app, (carrier, Some(carrier)), parts, socket).await
}

/// Any path of a listener that is the telephone's own: the carrier is told by what it says.
pub(super) async fn upgrade_anywhere(
    State(app): State<Arc<App>>,
    parts: Parts,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let carrier = guess(&parts.headers);
    dialect(&app, carrier.name())?;
    enter(app, (carrier, None), parts, socket).await
}

/// Whose keys a request is checked with, where its path does not say.
fn guess(headers: &HeaderMap) -> Dialect {
    let has = |name: &str| headers.contains_key(name);
    if has("signature-input") {
        Dialect::AudioHook
    } else if has("x-signalwire-signature") || has("x-signalwire-sha256-signature") {
        Dialect::SignalWire
    } else if has(super::trust::telnyx::STREAM_TOKEN) {
        Dialect::Telnyx
    } else {
        Dialect::Twilio
    }
}

async fn enter(
    app: Arc<App>,
    (carrier, route): (Dialect, Option<Dialect>),
    parts: Parts,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let knock = Knock {
        carrier,
        parts: &parts,
        body: &[],
        kind: Kind::Upgrade,
    };
    let mut believed = door::believe(&app, &knock).await?;
    if carrier == Dialect::Telnyx {
        believed.claim = parameters::of_query(parts.uri.query().unwrap_or_default());
    }
    if app.lifecycle.stopping() {
        return Err(ApiError::shutting_down());
    }
    let socket = socket.map_err(|_| {
        ApiError::invalid(
            "websocket_required",
            "This address takes media streams of carriers: send a WebSocket upgrade.",
        )
    })?;
    let request_id = parts.extensions.get::<RequestId>().cloned();
    let socket = limits(socket, &parts.headers);
    Ok(socket
        .on_upgrade(move |socket| async move {
            let span = tracing::info_span!(
                "call",
                carrier = carrier.name(),
                request_id = request_id.as_ref().map(|id| &*id.0),
            );
            let serving = serve(Arc::clone(&app), socket, route, believed);
            span.in_scope(|| app.lifecycle.spawn(serving));
        })
        .into_response())
}

/// Socket limits; tungstenite's own are 128 KiB reserved per connection and unbounded writes. The subprotocol is the
/// client's own, where it names one: Genesys' reference client does.
fn limits(socket: WebSocketUpgrade, headers: &HeaderMap) -> WebSocketUpgrade {
    let wanted = headers.get("sec-websocket-protocol");
    let wanted = wanted.and_then(|value| value.to_str().ok());
    let wanted = wanted.and_then(|value| value.split(',').next());
    let socket = match wanted {
        Some(protocol) => socket.protocols([protocol.trim().to_owned()]),
        None => socket,
    };
    socket
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(edge::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(edge::MAX_WRITE_BUFFER_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
}

/// One socket from its first frame to its last.
async fn serve(app: Arc<App>, socket: WebSocket, route: Option<Dialect>, believed: Believed) {
    let opening = Opening::new(&app, socket, route);
    let Some((mut opening, start)) = Box::pin(opening.started()).await else {
        return;
    };
    if start.probe {
        Box::pin(opening.answer_probe()).await;
        return;
    }
    if !believed.covers(&start) {
        app.metrics
            .calls()
            .distrusted(opening.dialect().name(), "mismatch");
        tracing::warn!("a session names another organization or id than was signed for");
        opening.refuse(bind::refused("not_signed_for")).await;
        return;
    }
    let binding = bind::bind(&app, opening.dialect(), &start, &believed);
    match Box::pin(opening.while_binding(binding)).await {
        Ok(bound) => Box::pin(line::serve(app, opening, *start, bound)).await,
        Err(refused) => {
            app.metrics
                .calls()
                .refused(opening.dialect().name(), refused.word);
            tracing::warn!(reason = refused.word, "a media stream is turned away");
            opening.refuse(refused).await;
        }
    }
}
