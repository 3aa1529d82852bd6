//! How a conversation ends: why, with what words, and what is left for whoever goes on with it.
//! Part of the session's task.
//! Never cuts a sentence that may still be said to its end.

use std::time::{Duration, Instant};

use engine::session::{Mark, Output};
use wire::realtime::ErrorBody;

use super::{Actor, Left};
use crate::edge::{Closing, Outbound};
use crate::observe::{Event, Outcome};
use crate::session::Record;

/// Close code for a server that is going away (RFC 6455 §7.4.1).
pub(super) const GOING_AWAY: u16 = 1001;
/// Close code of a tenant that may not come in any more (spec/platform §3.6).
const SUSPENDED: u16 = 4003;
/// Close code of a session that goes on over another connection (spec/platform §3.6: session ended).
const MOVED: u16 = 4005;
/// A suspended tenant's conversation may go on for so long with the answer that is being spoken.
const LAST_ANSWER: Duration = Duration::from_secs(30);

/// Why a session ends that its client would go on with.
#[derive(Clone, Copy)]
pub(super) enum Farewell {
    /// The server stops.
    Shutdown,
    /// The tenant may not come in any more; the answer that is being spoken has until then.
    Suspended(Instant),
    /// It goes on over another connection, which waits for it: what is being said is heard by nobody, from then on.
    Moved(Instant),
}

impl Farewell {
    /// When there is no more waiting for an answer; without it, the stop of the server says so.
    pub(super) const fn waits_until(self) -> Option<Instant> {
        match self {
            Self::Suspended(until) | Self::Moved(until) => Some(until),
            Self::Shutdown => None,
        }
    }
}

/// Whether the close frame is in the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LastWord {
    Unsaid,
    Said,
}

impl Actor {
    /// How the client left, where the edge knows.
    pub(super) fn departure(&mut self, otherwise: Outcome) -> Outcome {
        let left = self.how_left.or_else(|| self.left.try_recv().ok());
        self.how_left = left;
        left.unwrap_or(otherwise)
    }

    /// Why the session was told to end.
    pub(super) fn farewell(&self) -> Farewell {
        if self.lifecycle.stopping() {
            Farewell::Shutdown
        } else if self.closing.is_cancelled() {
            Farewell::Suspended(self.clock.now() + LAST_ANSWER)
        } else {
            Farewell::Moved(self.clock.now())
        }
    }

    pub(super) fn say_goodbye(&mut self, farewell: Farewell) -> Outcome {
        let (code, name, message, outcome) = match farewell {
            Farewell::Shutdown => (
                GOING_AWAY,
                "server_shutting_down",
                format!(
                    "This server is shutting down: connect again with session_id={} to go on, or without it to begin anew.",
                    self.session_id
                ),
                Outcome::Shutdown,
            ),
            Farewell::Suspended(_) => (
                SUSPENDED,
                "tenant_suspended",
                "The account of this conversation is suspended. Ask whoever runs this server."
                    .to_owned(),
                Outcome::Suspended,
            ),
            Farewell::Moved(_) => (
                MOVED,
                "session_moved",
                "This session goes on over another connection.".to_owned(),
                Outcome::Moved,
            ),
        };
        let error = ErrorBody::server(name, message);
        self.close_with(Some(error), code, name.to_owned());
        outcome
    }

    /// Queues the close frame behind everything else; the first one counts.
    pub(super) fn close(&mut self, code: u16, reason: String) {
        self.close_with(None, code, reason);
    }

    fn close_with(&mut self, error: Option<ErrorBody>, code: u16, reason: String) {
        if self.last_word == LastWord::Unsaid {
            self.last_word = LastWord::Said;
            let closing = Closing {
                error,
                code,
                reason,
            };
            self.outbound.send_last(Outbound::Close(Box::new(closing)));
        }
    }

    /// The conversation is over: so much for the numbers.
    pub(super) fn end(&mut self, outcome: Outcome) {
        for part in std::mem::take(&mut self.missing) {
            self.note_missing(part, false);
        }
        self.metrics.emit(&Event::SessionEnded {
            session: &self.session_id,
            outcome,
            lasted: self.clock.now().saturating_duration_since(self.started),
            micro_dollars: self.account.micro_dollars(),
        });
    }

    /// Ends what is under way and says what is left.
    pub(super) async fn leave(mut self, outcome: Outcome) -> Left {
        let mut untold = Vec::new();
        if outcome.may_go_on() {
            let mut outputs = Vec::new();
            self.session.part(self.now_ms(), &mut outputs);
            for output in outputs {
                match output {
                    Output::Send(event) => {
                        if Record::concerns(&event) {
                            self.record.note(&event, &self.session).await;
                        }
                        untold.push(event);
                    }
                    Output::Mark(Mark::ReplyEnded {
                        turn,
                        response: Some(response),
                        ..
                    }) => self.account.turn_ended(turn, &response),
                    // its providers end with it
                    _ => {}
                }
            }
        }
        let copy = self.record.end(outcome, &self.session).await;
        if !outcome.may_go_on() {
            copy.forget().await;
            return Left {
                outcome,
                untold,
                copy: None,
            };
        }
        Left {
            outcome,
            untold,
            copy: Some(Box::new(copy)),
        }
    }
}
