//! The copy of a session by which any gateway can go on with it.
//! Held by [`super::Record`], which shows it what changed; read by [`crate::session::resume`].
//! Never ends a call because the copy could not be written: it is written whole once that is possible again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use engine::session::{OpenResponse, Session};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::live::sessions::{Changes, Heard, Hold, ITEMS_MAX, Kept, LiveItem};
use wire::realtime::response::Metadata;

use crate::clock::Clock;
use crate::presence::{Presence, Seat};

/// What of a session does not change often.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The model that was asked for.
    pub(crate) model: String,
    /// When the session began.
    pub(crate) started_at: DateTime<Utc>,
    /// Its settings, as the client is told them.
    pub(crate) settings: Value,
}

/// What of a session changes with every response.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// `conv_…`.
    pub(crate) conversation: String,
    /// Responses that have begun.
    pub(crate) turns: u32,
    /// Those that have not ended.
    pub(crate) open: Vec<Open>,
}

/// A response that has not ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Open {
    id: String,
    conversation: Option<String>,
    metadata: Option<Metadata>,
}

impl Open {
    pub(crate) fn new(response: &wire::realtime::Response) -> Self {
        Self {
            id: response.id.clone(),
            conversation: response.conversation_id.clone(),
            metadata: response.metadata.clone(),
        }
    }

    pub(crate) fn is(&self, id: &str) -> bool {
        self.id == id
    }
}

impl From<Open> for OpenResponse {
    fn from(open: Open) -> Self {
        Self {
            id: open.id,
            conversation_id: open.conversation,
            metadata: open.metadata,
        }
    }
}

/// The copy of one session.
#[derive(Debug)]
pub(crate) struct Copy {
    presence: Presence,
    hold: Hold,
    project: String,
    clock: Clock,
    /// Its place among the sessions that this gateway gives signs of life for.
    _seat: Seat,
    /// What is there is not all: it has to be written whole.
    stale: Arc<AtomicBool>,
}

impl Copy {
    /// The copy that `hold` is for; written by the first [`Self::write_whole`].
    pub(crate) fn new(
        presence: &Presence,
        hold: Hold,
        project: &str,
        clock: Clock,
        seat: Seat,
    ) -> Self {
        Self {
            presence: presence.clone(),
            stale: seat.stale(),
            hold,
            project: project.to_owned(),
            clock,
            _seat: seat,
        }
    }

    /// Nothing of it is there yet.
    pub(crate) fn begin(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// Whether it has to be written whole.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Writes everything there is.
    pub(crate) async fn write_whole(&mut self, head: &Head, state: &State, items: Vec<LiveItem>) {
        let kept = Kept {
            head: json(head),
            state: json(state),
            items,
            parted: None,
        };
        let sessions = self.presence.sessions();
        let node = self.presence.node();
        let begun = sessions.begin(&mut self.hold, &self.project, node, &kept, self.clock.utc());
        let heard = begun.await;
        self.note(heard.as_ref().ok().copied());
        if let Err(error) = heard {
            tracing::debug!(%error, "a live session is not written");
        }
    }

    /// Writes what changed.
    pub(crate) async fn write(&self, changes: &Changes) {
        let sessions = self.presence.sessions();
        let heard = sessions.write(&self.hold, changes, self.clock.utc()).await;
        self.note(heard.ok());
    }

    fn note(&self, heard: Option<Heard>) {
        // who has lost the session is told so by the next sign of life
        let stale = !matches!(heard, Some(Heard::Done | Heard::Lost));
        self.stale.store(stale, Ordering::Relaxed);
    }

    /// The client has gone; `missed` is what it may not have seen. Whoever goes on with the session finds that.
    pub(crate) async fn part(self, missed: &impl Serialize) {
        let changes = Changes {
            parted: Some(json(missed)),
            ..Changes::default()
        };
        self.write(&changes).await;
    }

    /// The session has come to its end: nobody goes on with it.
    pub(crate) async fn forget(self) {
        if let Err(error) = self.presence.sessions().end(&self.hold).await {
            tracing::debug!(%error, "a session that has ended is still there for a while");
        }
    }
}

/// The last items of a session, with their places.
pub(super) fn last_items(session: &Session, places: &[(String, i64)]) -> Vec<LiveItem> {
    let from = places.len().saturating_sub(ITEMS_MAX);
    let items = places[from..].iter().filter_map(|(id, position)| {
        Some(LiveItem {
            id: id.clone(),
            position: *position,
            content: json(session.item(id)?),
        })
    });
    items.collect()
}

/// Text of what is made of texts and numbers alone, and so has one.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
