//! The last events of a connection: what its client may not have got when it breaks.
//! Filled by the writer; kept with the session when the client has gone, and sent again when it comes back.
//! Never grows beyond its bytes: the oldest events go, and it says so.

use std::collections::VecDeque;

use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize, Serialize};

/// What an event takes beside its text, in bytes.
const EVENT_BYTES: usize = 96;

#[derive(Debug)]
struct Sent {
    id: String,
    /// Empty where the event is not sent again and only its place counts.
    text: Utf8Bytes,
}

impl Sent {
    fn bytes(&self) -> usize {
        EVENT_BYTES + self.text.len()
    }
}

/// The last events, oldest first.
#[derive(Debug)]
pub(super) struct Backlog {
    events: VecDeque<Sent>,
    bytes: usize,
    limit: usize,
    trimmed: bool,
}

impl Backlog {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            // most connections never hear of more than that they are open
            events: VecDeque::with_capacity(1),
            bytes: 0,
            limit,
            trimmed: false,
        }
    }

    /// Keeps an event.
    pub(super) fn push(&mut self, id: String, text: Utf8Bytes) {
        let sent = Sent { id, text };
        self.bytes += sent.bytes();
        self.events.push_back(sent);
        while self.bytes > self.limit
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.trimmed = true;
        }
    }

    pub(super) fn into_missed(self) -> Missed {
        let event = |sent: Sent| (sent.id, sent.text.as_str().to_owned());
        Missed {
            events: self.events.into_iter().map(event).collect(),
            trimmed: self.trimmed,
        }
    }
}

/// The backlog of a connection that has gone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Missed {
    /// Ids and texts.
    events: Vec<(String, String)>,
    trimmed: bool,
}

/// What is sent again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replay {
    /// Ids and texts.
    pub(super) events: Vec<(String, String)>,
    /// Whether that is all that the client missed.
    pub(super) complete: bool,
}

impl Missed {
    /// What came behind the event `last`, the last one that the client has seen; all there is when it does not say.
    pub(super) fn behind(mut self, last: Option<&str>) -> Replay {
        let seen = last.map(|last| self.events.iter().rposition(|(id, _)| id == last));
        let complete = match seen {
            Some(Some(at)) => {
                self.events.drain(..=at);
                true
            }
            // one that is not known is older than what is left, or of another session
            Some(None) => false,
            None => !self.trimmed,
        };
        self.events.retain(|(_, text)| !text.is_empty());
        Replay {
            events: self.events,
            complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(limit: usize) -> Backlog {
        let mut backlog = Backlog::new(limit);
        backlog.push("created".to_owned(), Utf8Bytes::default());
        for id in ["a", "b", "c"] {
            backlog.push(id.to_owned(), Utf8Bytes::from(format!("{{\"{id}\":1}}")));
        }
        backlog
    }

    fn ids(replay: &Replay) -> Vec<&str> {
        replay.events.iter().map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn what_is_behind_the_last_event_is_sent_again() {
        for (last, expected, complete) in [
            (Some("created"), vec!["a", "b", "c"], true),
            (Some("b"), vec!["c"], true),
            (Some("c"), vec![], true),
            (Some("unknown"), vec!["a", "b", "c"], false),
            (None, vec!["a", "b", "c"], true),
        ] {
            let replay = backlog(10_000).into_missed().behind(last);
            assert_eq!((ids(&replay), replay.complete), (expected, complete));
        }
    }

    #[test]
    fn the_oldest_go_and_that_is_said() {
        let two = 2 * (EVENT_BYTES + 7);
        for (last, complete) in [(None, false), (Some("a"), false), (Some("b"), true)] {
            let replay = backlog(two).into_missed().behind(last);
            let expected = if complete { vec!["c"] } else { vec!["b", "c"] };
            assert_eq!((ids(&replay), replay.complete), (expected, complete));
        }
        let nothing = backlog(0).into_missed().behind(None);
        assert_eq!((ids(&nothing), nothing.complete), (vec![], false));
    }
}
