//! What is kept of a session: its settings and its items, as the client is told of them.
//! Held by the session's task, which shows it every event before the client sees it; writes to the journal, for good,
//! and to the live state, so that another gateway can go on.
//! Never touches the path of audio, and never ends a call because something could not be kept.

mod live;

use crate::edge::Sender;
use chrono::{DateTime, Utc};
use engine::session::{Input, Session};
use serde_json::Value;
use store::live::sessions::{Changes, Hold, LiveItem};
use store::{Change, Journal, Place, SessionKey};
use tokio_util::sync::CancellationToken;
use wire::realtime::{Item, ItemStatus, ServerEvent};

pub(crate) use self::live::{Copy, Head, Open, State};
use crate::App;
use crate::clock::Clock;
use crate::observe::Outcome;
use crate::presence::Presence;

/// Between the places of two items that follow each other: room for 32 insertions between the same two. After that they
/// share a place and stand in the order of their ids.
const STEP: i64 = 1 << 32;
/// Places remembered before those of items that are gone are forgotten.
const PLACES: usize = 64;
/// Changes of one hold of a session that have numbers of their own: those of a later hold are higher.
const REVISIONS_BITS: u32 = 40;

/// The record of one session.
#[derive(Debug)]
pub struct Record {
    /// Where it is kept for good, if it is.
    journal: Option<Journal>,
    /// Where another gateway finds it.
    copy: Copy,
    state: State,
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

/// Where a session is entered before it begins or goes on.
#[derive(Debug)]
pub struct Entry {
    pub(crate) journal: Option<Journal>,
    pub(crate) presence: Presence,
    pub(crate) hold: Hold,
    pub(crate) project: String,
    /// When it began.
    pub(crate) started_at: DateTime<Utc>,
    /// Its items so far and their places, in order.
    pub(crate) places: Vec<(String, i64)>,
    pub(crate) clock: Clock,
}

impl Entry {
    /// The entry of a session that begins now.
    pub fn new(app: &App, place: Place<'_>, session: &Session) -> Self {
        Self {
            journal: app.journal.clone(),
            presence: app.presence.clone(),
            hold: Hold::first(place.tenant, &session.settings().id),
            project: place.project.to_owned(),
            started_at: app.clock.utc(),
            places: Vec::new(),
            clock: app.clock.clone(),
        }
    }

    /// The record of the session. `let_go` is cancelled when it is to go on elsewhere; `wake` gets a tick when
    /// [`Record::renew`] has something to do.
    pub(super) fn record(
        self,
        session: &Session,
        let_go: CancellationToken,
        wake: Sender<Input>,
    ) -> Record {
        let (conversation, turns) = session.so_far();
        let settings = session.settings();
        let seat = self.presence.enter(&self.hold, let_go, wake);
        Record {
            journal: self.journal,
            state: State {
                conversation: conversation.to_owned(),
                turns,
                open: Vec::new(),
            },
            session: SessionKey::new(&self.hold.tenant, &settings.id, self.started_at),
            // the first hold counts from 1
            revision: (self.hold.number.saturating_sub(1) as i64) << REVISIONS_BITS,
            copy: Copy::new(
                &self.presence,
                self.hold,
                &self.project,
                self.clock.clone(),
                seat,
            ),
            project: self.project,
            model: settings.model.clone(),
            clock: self.clock,
            places_max: PLACES.max(2 * self.places.len()),
            places: self.places,
            open: Vec::new(),
            warned: false,
        }
    }
}

impl Record {
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
                | ServerEvent::ResponseCreated { .. }
                | ServerEvent::ResponseDone { .. }
        )
    }

    /// Keeps what `event` is about; when this returns, it is on disk and in the live state, or given up.
    pub(super) async fn note(&mut self, event: &ServerEvent, session: &Session) {
        match event {
            ServerEvent::SessionCreated { session: settings } => {
                self.copy.begin();
                self.keep(self.settings(settings), None, session).await;
            }
            ServerEvent::SessionUpdated { session: settings } => {
                let changes = Changes {
                    head: Some(live::json(&self.head(settings))),
                    ..Changes::default()
                };
                self.keep(self.settings(settings), Some(changes), session)
                    .await;
            }
            ServerEvent::ResponseCreated { response } => {
                self.state.turns = session.so_far().1;
                self.state.open.push(Open::new(response));
                self.keep_state(session).await;
            }
            ServerEvent::ResponseDone { response } => {
                self.state.open.retain(|open| !open.is(&response.id));
                self.keep_state(session).await;
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
                self.put(item, place, session).await;
            }
            ServerEvent::ItemTruncated { item_id, .. }
            | ServerEvent::TranscriptionCompleted { item_id, .. } => {
                let place = self.known(item_id).map(|at| self.places[at].1);
                if let (Some(item), Some(place)) = (session.item(item_id), place) {
                    self.put(item, place, session).await;
                }
            }
            ServerEvent::ItemDeleted { item_id } => {
                if let Some(at) = self.known(item_id) {
                    self.places.remove(at);
                }
                self.open.retain(|id| id != item_id);
                let changes = Changes {
                    removed: vec![item_id.clone()],
                    ..Changes::default()
                };
                let item = item_id.clone();
                self.keep(Some(Change::Removed { item }), Some(changes), session)
                    .await;
            }
            _ => {}
        }
    }

    /// Whether the live state does not have all of it.
    pub(super) fn is_stale(&self) -> bool {
        self.copy.is_stale()
    }

    /// Gives the live state all of it.
    pub(super) async fn renew(&mut self, session: &Session) {
        self.keep(None, None, session).await;
    }

    /// The session is over; what was still being written stays as it is, and says so. Somebody may go on with it by what
    /// is left here.
    pub(super) async fn end(mut self, outcome: Outcome, session: &Session) -> Copy {
        for id in std::mem::take(&mut self.open) {
            let place = self.known(&id).map(|at| self.places[at].1);
            if let (Some(item), Some(place)) = (session.item(&id), place) {
                let mut item = item.clone();
                if item.status == Some(ItemStatus::InProgress) {
                    item.status = Some(ItemStatus::Incomplete);
                }
                self.put(&item, place, session).await;
            }
        }
        let change = Change::Ended {
            // a clock that was set back in the meantime lets no session end before it began
            at: self.clock.utc().max(self.session.started_at()),
            outcome: outcome.name().to_owned(),
        };
        self.write_down(Some(change)).await;
        if self.is_stale() {
            self.renew(session).await;
        }
        self.copy
    }

    async fn put(&mut self, item: &Item, position: i64, session: &Session) {
        self.open.retain(|id| *id != item.id);
        if item.status == Some(ItemStatus::InProgress) {
            self.open.push(item.id.clone());
        }
        let content = live::json(item);
        let changes = Changes {
            put: vec![LiveItem {
                id: item.id.clone(),
                position,
                content: content.clone(),
            }],
            ..Changes::default()
        };
        let change = Change::Put {
            item: item.id.clone(),
            position,
            created_at: self.clock.utc(),
            content,
        };
        self.keep(Some(change), Some(changes), session).await;
    }

    async fn keep_state(&mut self, session: &Session) {
        let changes = Changes {
            state: Some(live::json(&self.state)),
            ..Changes::default()
        };
        self.keep(None, Some(changes), session).await;
    }

    /// Keeps a change for good, and in the live state: there all of it where it has not all of it.
    async fn keep(&mut self, change: Option<Change>, changes: Option<Changes>, session: &Session) {
        self.write_down(change).await;
        match changes {
            Some(changes) if !self.copy.is_stale() => self.copy.write(&changes).await,
            _ => {
                let head = self.head(session.settings());
                let items = live::last_items(session, &self.places);
                self.copy.write_whole(&head, &self.state, items).await;
            }
        }
    }

    async fn write_down(&mut self, change: Option<Change>) {
        let (Some(journal), Some(change)) = (&self.journal, change) else {
            return;
        };
        self.revision += 1;
        let entry = store::Entry {
            session: self.session.clone(),
            revision: self.revision,
            change,
        };
        let kept = journal.append(&entry).await;
        if let Err(error) = kept
            && !std::mem::replace(&mut self.warned, true)
        {
            tracing::error!(%error, "a part of this conversation is not kept");
        }
    }

    fn head(&self, settings: &wire::realtime::Session) -> Head {
        Head {
            model: self.model.clone(),
            started_at: self.session.started_at(),
            settings: settings_value(settings),
        }
    }

    fn settings(&self, settings: &wire::realtime::Session) -> Option<Change> {
        self.journal.as_ref()?;
        Some(Change::Settings {
            project: self.project.clone(),
            model: self.model.clone(),
            settings: settings_json(settings),
        })
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
    let mut settings = settings_value(session);
    if let Some(tools) = settings.get_mut("tools").and_then(Value::as_array_mut) {
        for tool in tools.iter_mut().filter_map(Value::as_object_mut) {
            tool.remove("authorization");
            tool.remove("headers");
        }
    }
    settings.to_string()
}

/// The settings as a client reads them: through the text, because a value made of them at once would widen every f32.
fn settings_value(session: &wire::realtime::Session) -> Value {
    serde_json::from_str(&live::json(session)).unwrap_or_default()
}
