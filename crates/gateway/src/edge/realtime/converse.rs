//! One connection from the first event to the last, and what is left of it for the next.
//! Called by `upgrade` once a client has been let in and its session is ready.
//! Never loses what was to be sent: it goes out, or it waits for the client to come back.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use wire::ids::Ids;
use wire::realtime::{Item, ServerEvent};

use super::Shape;
use super::backlog::{Backlog, Missed, Replay};
use super::read::{Gone, read};
use super::write::{Pen, Written, write};
use crate::app::App;
use crate::edge::{self, Outbound};
use crate::observe::Outcome;
use crate::session::{Call, Left};

/// How long the last events and the close frame may take.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The same for a connection whose session waits to go on over another.
const LAST_WORDS_MOVED: Duration = Duration::from_millis(100);
/// How long a client may take to see the close frame.
const LINGER: Duration = Duration::from_secs(1);

/// How a client came back.
pub(super) struct Return {
    /// What its last connection has left; `None` when nobody could say.
    pub(super) missed: Option<String>,
    /// The last event that it has seen, if it says so.
    pub(super) last_event: Option<String>,
    /// What was said.
    pub(super) items: Vec<Item>,
}

impl Return {
    /// What it is told behind the first event.
    fn replay(self, session: &str) -> (ServerEvent, Vec<(String, String)>) {
        let missed = self
            .missed
            .and_then(|text| serde_json::from_str::<Missed>(&text).ok());
        let Replay { events, complete } = match missed {
            Some(missed) => missed.behind(self.last_event.as_deref()),
            None => Replay {
                events: Vec::new(),
                complete: false,
            },
        };
        let resumed = ServerEvent::SessionResumed {
            session_id: session.to_owned(),
            replayed: events.len() as u32,
            complete,
            items: if complete { Vec::new() } else { self.items },
        };
        (resumed, events)
    }
}

pub(super) async fn converse(
    app: &App,
    call: Call,
    socket: WebSocket,
    shape: Shape,
    back: Option<Return>,
) {
    let (edge, line) = edge::connection(app.config.sessions.send_queue_events);
    let session = call.session.settings().id.clone();
    let pen = Pen {
        shape,
        ids: Ids::seeded(app.seed()),
        clock: call.clock.clone(),
        metrics: call.metrics.clone(),
        replay: back.map(|back| back.replay(&session)),
        backlog: Backlog::new(app.config.sessions.replay_bytes),
        session,
    };
    let (sink, mut stream) = socket.split();
    let lifecycle = call.lifecycle.clone();
    // to the very end: a process that exits resets its connections
    let _awaited = lifecycle.awaited();
    let stop = CancellationToken::new();
    let mut writing = lifecycle.spawn(write(sink, line.outbound, pen, stop.clone()));
    let mut actor = lifecycle.spawn(crate::session::run(call, edge));
    let mut written = None;
    let left = tokio::select! {
        gone = read(&mut stream, line.inbound, line.room, shape) => {
            line.left.send_replace(Some(gone.outcome()));
            // the reader's channel is gone with it: the session ends, and with it its providers' work
            let left = actor.await;
            if gone != Gone::Closed {
                stop.cancel();
            }
            left
        }
        ended = &mut writing => {
            // nothing more reaches the client: the session ends, if that is not why
            let outcome = ended.as_ref().map_or(Outcome::Failed, |written| written.outcome);
            line.left.send_replace(Some(outcome));
            written = Some(ended);
            actor.await
        }
        left = &mut actor => left,
    };
    let written = match written {
        Some(written) => written,
        None => {
            // what was queued, the close frame last, still goes out; a client that does not read it is cut off
            let moved = left
                .as_ref()
                .is_ok_and(|left| left.outcome == Outcome::Moved);
            let limit = if moved { LAST_WORDS_MOVED } else { LAST_WORDS };
            let stopping = async {
                tokio::time::sleep(limit).await;
                stop.cancel();
                std::future::pending().await
            };
            tokio::select! {
                written = &mut writing => written,
                () = stopping => return,
            }
        }
    };
    if let (Ok(written), Ok(left)) = (written, left) {
        part(written, left).await;
    }
    linger(stream).await;
}

/// Leaves what the client has not got where it may come back for it.
async fn part(written: Written, left: Left) {
    let Some(copy) = left.copy else { return };
    let Written {
        mut pen,
        mut unsent,
        ..
    } = written;
    while let Ok(outbound) = unsent.try_recv() {
        if let Outbound::Event(event, _) = outbound {
            pen.keep(&event);
        }
    }
    for event in &left.untold {
        pen.keep(event);
    }
    copy.part(&pen.backlog.into_missed()).await;
}

/// Reads over what a client sent before it saw the close. A connection that is closed with unread bytes is reset
/// (RFC 1122 §4.2.2.13), and a reset destroys a close frame that the client has not read yet.
pub(super) async fn linger(mut stream: impl Stream<Item = Result<Message, axum::Error>> + Unpin) {
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    // a client that goes on all the same has had its chance
    let _ = tokio::time::timeout(LINGER, rest).await;
}
