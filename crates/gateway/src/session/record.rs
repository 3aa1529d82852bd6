//! What is kept of a session: its settings and its items, as the client is told of them.
//! Held by the session's task, which shows it every event before the client sees it; writes to the journal.
//! Never touches the path of audio, and never ends a call because something could not be kept.

use engine::session::Session;
use serde_json::Value;
use store::{Change, Entry, Journal, Place, SessionKey};
use wire::realtime::{Item, ItemStatus, ServerEvent};

use crate::clock::Clock;
use crate::observe::Outcome;

/// Between the places of two items that follow each other: room for 32 insertions between the same two. After that they
/// share a place and stand in the order of their ids.
const STEP: i64 = 1 << 32;
/// Places remembered before those of items that are gone are forgotten.
const PLACES: usize = 64;

/// The record of one session.
#[derive(Debug)]
pub struct Record {
    journal: Journal,
    session: SessionKey,
    project: String,
    model: String,
    clock: Clock,
    revision: i64,
    /// Items and their places, in order.
    places: Vec<(String, i64)>,
    /// When there are so many, those of forgotten items go.
    places_max: usize,
    /// Items that a response is still writing.
    open: Vec<String>,
    /// Whether a warning was given that something is not kept.
    warned: bool,
}

impl Record {
    /// The record of `session`, which begins now.
    pub fn new(journal: Journal, place: Place<'_>, session: &Session, clock: Clock) -> Self {
        let settings = session.settings();
        Self {
            journal,
            session: SessionKey::new(place.tenant, &settings.id, clock.utc()),
            project: place.project.to_owned(),
            model: settings.model.clone(),
            clock,
            revision: 0,
            places: Vec::new(),
            places_max: PLACES,
            open: Vec::new(),
            warned: false,
        }
    }

    /// Whether an event changes what is kept; most do not.
    pub(super) const fn concerns(event: &ServerEvent) -> bool {
        matches!(
            event,
            ServerEvent::SessionCreated { .. }
                | ServerEvent::SessionUpdated { .. }
                | ServerEvent::ItemAdded { .. }
                | ServerEvent::ItemDone { .. }
                | ServerEvent::ItemDeleted { .. }
                | ServerEvent::ItemTruncated { .. }
                | ServerEvent::TranscriptionCompleted { .. }
        )
    }

    /// Keeps what `event` is about; when this returns, it is on disk or given up.
    pub(super) async fn note(&mut self, event: &ServerEvent, session: &Session) {
        match event {
            ServerEvent::SessionCreated { session } | ServerEvent::SessionUpdated { session } => {
                let change = Change::Settings {
                    project: self.project.clone(),
                    model: self.model.clone(),
                    settings: settings_json(session),
                };
                self.keep(change).await;
            }
            ServerEvent::ItemAdded {
                item,
                previous_item_id,
            }
            | ServerEvent::ItemDone {
                item,
                previous_item_id,
            } => {
                let place = self.place(&item.id, previous_item_id.as_deref(), session);
                self.put(item, place).await;
            }
            ServerEvent::ItemTruncated { item_id, .. }
            | ServerEvent::TranscriptionCompleted { item_id, .. } => {
                let place = self.known(item_id).map(|at| self.places[at].1);
                if let (Some(item), Some(place)) = (session.item(item_id), place) {
                    self.put(item, place).await;
                }
            }
            ServerEvent::ItemDeleted { item_id } => {
                if let Some(at) = self.known(item_id) {
                    self.places.remove(at);
                }
                self.open.retain(|id| id != item_id);
                let item = item_id.clone();
                self.keep(Change::Removed { item }).await;
            }
            _ => {}
        }
    }

    /// The session is over; what was still being written stays as it is, and says so.
    pub(super) async fn end(mut self, outcome: Outcome, session: &Session) {
        for id in std::mem::take(&mut self.open) {
            let place = self.known(&id).map(|at| self.places[at].1);
            if let (Some(item), Some(place)) = (session.item(&id), place) {
                let mut item = item.clone();
                if item.status == Some(ItemStatus::InProgress) {
                    item.status = Some(ItemStatus::Incomplete);
                }
                self.put(&item, place).await;
            }
        }
        let change = Change::Ended {
            // a clock that was set back in the meantime lets no session end before it began
            at: self.clock.utc().max(self.session.started_at()),
            outcome: outcome.name().to_owned(),
        };
        self.keep(change).await;
    }

    async fn put(&mut self, item: &Item, position: i64) {
        self.open.retain(|id| *id != item.id);
        if item.status == Some(ItemStatus::InProgress) {
            self.open.push(item.id.clone());
        }
        let change = Change::Put {
            item: item.id.clone(),
            position,
            created_at: self.clock.utc(),
            // made of texts and numbers alone: it has a JSON form
            content: serde_json::to_string(item).unwrap_or_default(),
        };
        self.keep(change).await;
    }

    async fn keep(&mut self, change: Change) {
        self.revision += 1;
        let entry = Entry {
            session: self.session.clone(),
            revision: self.revision,
            change,
        };
        let kept = self.journal.append(&entry).await;
        if let Err(error) = kept
            && !std::mem::replace(&mut self.warned, true)
        {
            tracing::error!(%error, "a part of this conversation is not kept");
        }
    }

    fn known(&self, id: &str) -> Option<usize> {
        self.places.iter().rposition(|(known, _)| known == id)
    }

    /// The place of an item behind `previous`, or at the head where there is none.
    fn place(&mut self, id: &str, previous: Option<&str>, session: &Session) -> i64 {
        if let Some(at) = self.known(id) {
            return self.places[at].1;
        }
        if self.places.len() >= self.places_max {
            self.places.retain(|(id, _)| session.item(id).is_some());
            self.places_max = PLACES.max(2 * self.places.len());
        }
        let at = match previous {
            None => 0,
            // behind one that was forgotten comes what comes behind everything
            Some(previous) => self.known(previous).map_or(self.places.len(), |at| at + 1),
        };
        let before = at.checked_sub(1).map(|at| self.places[at].1);
        let after = self.places.get(at).map(|(_, place)| *place);
        let place = match (before, after) {
            (None, None) => 0,
            (Some(before), None) => before + STEP,
            (None, Some(after)) => after - STEP,
            (Some(before), Some(after)) => before + (after - before) / 2,
        };
        self.places.insert(at, (id.to_owned(), place));
        place
    }
}

/// The settings as the client is told them, without what opens the doors of others.
fn settings_json(session: &wire::realtime::Session) -> String {
    let mut settings = serde_json::to_value(session).unwrap_or_default();
    if let Some(tools) = settings.get_mut("tools").and_then(Value::as_array_mut) {
        for tool in tools.iter_mut().filter_map(Value::as_object_mut) {
            tool.remove("authorization");
            tool.remove("headers");
        }
    }
    settings.to_string()
}
