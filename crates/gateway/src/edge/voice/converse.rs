//! One call from its first event to its last.
//! Called by the lobby once a session is ready.
//! Never goes on without its app: who comes back begins a new session of the same conversation.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;
use wire::voice::Status;

use super::begin::Begun;
use super::read::{self, Gone, Note, Reader};
use super::speech::Packing;
use super::write::{Cut, Pen, Told, Warning, Writer};
use crate::App;
use crate::edge::realtime::linger;
use crate::edge::{self, Inbound, Sender};
use crate::observe::Outcome;
use crate::session::Left;

/// How long the last messages and the close frame may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Somebody who was greeted.
pub(super) struct Greeted {
    /// As the app knows the session.
    pub(super) session_id: String,
    /// When the connection was opened.
    pub(super) opened_at: DateTime<Utc>,
    /// Sound that came before the session, and is its first; empty where a message has begun it.
    pub(super) first_sound: Bytes,
}

/// What ended first.
enum First {
    Gone(Gone),
    Session(Left),
    Written(Outcome),
}

/// Runs a call to its end.
pub(super) async fn converse(app: Arc<App>, begun: Begun, greeted: Greeted, socket: WebSocket) {
    let id = begun.call.session.settings().id.clone();
    let span = tracing::info_span!("session", session = id, door = "voice");
    Box::pin(run(app, begun, greeted, socket))
        .instrument(span)
        .await;
}

async fn run(app: Arc<App>, begun: Begun, greeted: Greeted, socket: WebSocket) {
    let (edge, line) = edge::connection(app.config.sessions.send_queue_events);
    let (to_writer, notes) = read::notes();
    let (sink, mut stream) = socket.split();
    let ends = (line.inbound.clone(), to_writer);
    let reader = reader(&app, &begun, ends, greeted.first_sound);
    let Begun {
        call,
        purse,
        book,
        renewal,
        start,
        history,
        places,
        max_s,
    } = begun;
    let duplex = call.pipeline.duplex.is_some();
    let pen = Pen {
        session_id: greeted.session_id,
        session: call.session.settings().id.clone(),
        clock: app.clock.clone(),
        metrics: app.metrics.clone(),
        messages: start.audio_messages,
        packing: Packing::of(start.audio_format),
        purse,
        book: book.clone(),
        renewal,
        max_s,
        status: Status::Listening,
        muted: false,
        warning: Warning::Unsaid,
        cut: if duplex { Cut::Time } else { Cut::Sentences },
        reply: None,
        sentences: 0,
        told: Told::default(),
    };
    for event in history {
        // what was said before is read before anything is heard; a queue that is full has enough of it
        let _ = line.inbound.try_send(event);
    }
    let writer = Box::new(Writer {
        socket: sink,
        outbound: line.outbound,
        notes,
        inbound: line.inbound,
        pen,
    });
    let session = Box::pin(crate::session::run(call, edge));
    let left = Box::pin(to_the_end(
        (session, line.left),
        reader,
        writer,
        &mut stream,
    ))
    .await;
    drop(places);
    book.end(left.outcome);
    if let Some(copy) = left.copy {
        // nobody comes back to it: an app begins anew
        copy.forget().await;
    }
    Box::pin(linger(stream)).await;
}

/// Reader, session and writer take turns until one of them ends; then so do the others.
async fn to_the_end(
    (mut session, how): (
        Pin<Box<impl Future<Output = Left>>>,
        oneshot::Sender<Outcome>,
    ),
    reader: Reader,
    mut writer: Box<Writer>,
    stream: &mut SplitStream<WebSocket>,
) -> Left {
    let mut writing = Box::pin(writer.write());
    let first = tokio::select! {
        biased;
        gone = reader.read(stream) => First::Gone(gone),
        left = session.as_mut() => First::Session(left),
        outcome = writing.as_mut() => First::Written(outcome),
    };
    let outcome = match first {
        First::Session(left) => {
            // what was queued, the close frame last, still goes out; an app that does not read it is cut off
            let _ = tokio::time::timeout(LAST_WORDS, writing.as_mut()).await;
            return left;
        }
        First::Gone(gone) => gone.outcome(),
        First::Written(outcome) => outcome,
    };
    let _ = how.send(outcome);
    // the writer holds an end of the session's queue: without it the session ends
    drop(writing);
    drop(writer);
    session.await
}

fn reader(
    app: &App,
    begun: &Begun,
    (inbound, notes): (Sender<Inbound>, mpsc::Sender<Note>),
    first: Bytes,
) -> Reader {
    Reader {
        inbound,
        notes,
        resampler: begun.call.pipeline.duplex.is_some().then(read::resampler),
        silence_ms: app.config.voice.silence_ms,
        idle: Duration::from_secs(app.config.voice.idle_timeout_s),
        chunks: 0,
        muted: false,
        first,
    }
}
