//! One connection from the first event to the last, and what is left of it for the next.
//! Called by `upgrade` once a client has been let in and its session is ready.
//! Never loses what was to be sent: it goes out, or it waits for the client to come back.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::{Stream, StreamExt as _};
use wire::ids::Ids;
use wire::realtime::{Item, ServerEvent};

use super::Shape;
use super::backlog::{Backlog, Missed, Replay};
use super::read::{Gone, read};
use super::write::{Pen, Writer};
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

/// What ended first.
enum First {
    /// The client's side.
    Gone(Gone),
    /// The session.
    Session(Left),
    /// The way to the client.
    Written(Outcome),
}

/// A conversation from its first event to its last. Reader, session and writer take turns in one task: idle ones are
/// most of all, and a task each would cost each of them twice as much.
pub(super) fn converse(
    app: &App,
    call: Call,
    socket: WebSocket,
    shape: Shape,
    back: Option<Return>,
) -> impl Future<Output = ()> + Send + use<> {
    let (edge, line) = edge::connection(app.config.sessions.send_queue_events);
    let id = call.session.settings().id.clone();
    let pen = Pen {
        shape,
        ids: Ids::seeded(app.seed()),
        clock: call.clock.clone(),
        metrics: call.metrics.clone(),
        replay: back.map(|back| back.replay(&id)),
        backlog: Backlog::new(app.config.sessions.replay_bytes),
        session: id,
    };
    let (sink, mut stream) = socket.split();
    // boxed: what is moved within a future takes its room twice
    let mut writer = Box::new(Writer {
        socket: sink,
        outbound: line.outbound,
        pen,
    });
    let mut session = Box::pin(crate::session::run(call, edge));
    let (inbound, room, how) = (line.inbound, line.room, line.left);
    async move {
        let mut writing = Box::pin(writer.write());
        let first = tokio::select! {
            biased;
            gone = read(&mut stream, inbound, room, shape) => First::Gone(gone),
            left = session.as_mut() => First::Session(left),
            outcome = writing.as_mut() => First::Written(outcome),
        };
        let (left, heard) = match first {
            First::Session(left) => (left, true),
            First::Gone(gone) => {
                let _ = how.send(gone.outcome());
                // the reader's end of the queue is gone with it: the session ends, and with it its providers' work
                let left = tokio::select! {
                    biased;
                    left = session.as_mut() => Some(left),
                    _ = writing.as_mut() => None,
                };
                match left {
                    // who is lost hears no last words
                    Some(left) => (left, gone == Gone::Closed),
                    None => (session.await, false),
                }
            }
            First::Written(outcome) => {
                // nothing more reaches the client: the session ends, if that is not why
                let _ = how.send(outcome);
                (session.await, false)
            }
        };
        if heard {
            // what was queued, the close frame last, still goes out; a client that does not read it is cut off
            let limit = if left.outcome == Outcome::Moved {
                LAST_WORDS_MOVED
            } else {
                LAST_WORDS
            };
            let _ = tokio::time::timeout(limit, writing.as_mut()).await;
        }
        drop(writing);
        Box::pin(part(*writer, left)).await;
        Box::pin(linger(stream)).await;
    }
}

/// Leaves what the client has not got where it may come back for it.
async fn part(writer: Writer, left: Left) {
    let Some(copy) = left.copy else { return };
    let Writer {
        mut pen,
        mut outbound,
        ..
    } = writer;
    // the session is over: nobody puts anything in any more
    while let Some(unsent) = outbound.recv().await {
        if let Outbound::Event(event, _) = unsent {
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
pub(crate) async fn linger(mut stream: impl Stream<Item = Result<Message, axum::Error>> + Unpin) {
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    // a client that goes on all the same has had its chance
    let _ = tokio::time::timeout(LINGER, rest).await;
}
