//! How a conversation ends: why, with what words, and what is left for whoever goes on with it.
//! Part of the session's task.
//! Never cuts a sentence that may still be said to its end.

use std::time::{Duration, Instant};

use engine::session::{Mark, Output};
use wire::realtime::ErrorBody;

use super::{Actor, Left, sleep_until};
use crate::clock::Clock;
use crate::edge::{Closing, Outbound};
use crate::observe::Outcome;
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
    /// It goes on over another connection, which waits for it.
    Moved,
}

impl Actor {
    /// How the client left, where the edge knows.
    pub(super) fn departure(&self, otherwise: Outcome) -> Outcome {
        self.left.borrow().unwrap_or(otherwise)
    }

    /// Why the session was told to end.
    pub(super) fn farewell(&self) -> Farewell {
        if self.lifecycle.stopping() {
            Farewell::Shutdown
        } else if self.closing.is_cancelled() {
            Farewell::Suspended(self.clock.now() + LAST_ANSWER)
        } else {
            Farewell::Moved
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
            Farewell::Moved => (
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
        if let Some(place) = self.last_word.take() {
            let closing = Closing {
                error,
                code,
                reason,
            };
            place.send(Outbound::Close(Box::new(closing)));
        }
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
            copy: Some(copy),
        }
    }
}

/// Until a session that is to end has had its time.
pub(super) async fn patience(leaving: Option<Farewell>, clock: &Clock) {
    let until = match leaving {
        Some(Farewell::Suspended(until)) => Some(until),
        // its client is not there any more: what is being said is heard by nobody
        Some(Farewell::Moved) => Some(clock.now()),
        Some(Farewell::Shutdown) | None => None,
    };
    sleep_until(until, clock).await;
}
