//! What a tenant's changes come to: which of them can be written together, in which order, and which a later one makes needless.
//! Used by [`super`] alone.
//! Never lets writing together come to anything else than writing one by one, in order.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use chrono::{DateTime, Utc};

use crate::sql::items::{Change, Entry};
use crate::sql::sessions::SessionKey;
use crate::sql::usage::Piece;

/// A session as it is after a round.
#[derive(Debug, PartialEq)]
pub(super) struct SettingsRow<'a> {
    pub(super) session: &'a SessionKey,
    pub(super) project: &'a str,
    pub(super) model: &'a str,
    pub(super) settings: &'a str,
    pub(super) revision: i64,
}

/// An item as it is after a round.
#[derive(Debug, PartialEq)]
pub(super) struct PutRow<'a> {
    pub(super) session: &'a SessionKey,
    pub(super) item: &'a str,
    pub(super) position: i64,
    pub(super) revision: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) content: &'a str,
}

#[derive(Debug, PartialEq)]
pub(super) struct RemovedRow<'a> {
    pub(super) session: &'a SessionKey,
    pub(super) item: &'a str,
    pub(super) revision: i64,
}

#[derive(Debug, PartialEq)]
pub(super) struct AnsweredRow<'a> {
    pub(super) session: &'a str,
    pub(super) run: &'a str,
    pub(super) turn: u32,
    pub(super) response: &'a str,
}

#[derive(Debug, PartialEq)]
pub(super) struct EndedRow<'a> {
    pub(super) session: &'a str,
    pub(super) at: DateTime<Utc>,
    pub(super) outcome: &'a str,
    pub(super) revision: i64,
}

/// Changes that are written in the order of these fields, those of a kind with one statement.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Round<'a> {
    pub(super) settings: Vec<SettingsRow<'a>>,
    pub(super) puts: Vec<PutRow<'a>>,
    pub(super) used: Vec<(&'a str, &'a Piece)>,
    pub(super) answered: Vec<AnsweredRow<'a>>,
    pub(super) removed: Vec<RemovedRow<'a>>,
    pub(super) ended: Vec<EndedRow<'a>>,
}

/// What a change is about.
#[derive(Debug, PartialEq, Eq, Hash)]
enum About<'a> {
    Settings(&'a str),
    /// Any item of the session.
    Items(&'a str),
    Item(&'a SessionKey, &'a str),
    Removed(&'a SessionKey, &'a str),
    Turn(&'a str, &'a str, u32),
    Ended(&'a str),
}

/// A round while it is put together, and where in it a row is.
#[derive(Default)]
struct Open<'a> {
    round: Round<'a>,
    places: HashMap<About<'a>, usize>,
}

/// `entries` of one tenant, in rounds that are written one after the other.
pub(super) fn rounds<'a>(entries: &[&'a Entry]) -> Vec<Round<'a>> {
    let (mut done, mut open) = (Vec::new(), Open::default());
    for entry in entries {
        if !open.takes(entry) {
            done.push(std::mem::take(&mut open).round);
        }
        open.add(entry);
    }
    if open.round != Round::default() {
        done.push(open.round);
    }
    done
}

impl<'a> Open<'a> {
    /// Whether a change may be written with those that are here, which come before it.
    fn takes(&self, entry: &'a Entry) -> bool {
        let has = |about: About<'a>| self.places.contains_key(&about);
        let (session, id) = (&entry.session, entry.session.id.as_str());
        match &entry.change {
            // items of a session that was not there when they came are nobody's
            Change::Settings { .. } => {
                !has(About::Ended(id)) && (has(About::Settings(id)) || !has(About::Items(id)))
            }
            Change::Put { item, .. } => !has(About::Removed(session, item)),
            Change::Used(piece) => !has(About::Turn(id, &piece.run, piece.turn)),
            Change::Ended { .. } => !has(About::Ended(id)),
            Change::Removed { .. } | Change::Answered { .. } => true,
        }
    }

    fn add(&mut self, entry: &'a Entry) {
        let (session, id) = (&entry.session, entry.session.id.as_str());
        let revision = entry.revision;
        match &entry.change {
            Change::Settings {
                project,
                model,
                settings,
            } => self.settle(SettingsRow {
                session,
                project,
                model,
                settings,
                revision,
            }),
            Change::Put {
                item,
                position,
                created_at,
                content,
            } => self.put(PutRow {
                session,
                item,
                position: *position,
                revision,
                created_at: *created_at,
                content,
            }),
            Change::Removed { item } => {
                self.places.insert(About::Removed(session, item), 0);
                self.round.removed.push(RemovedRow {
                    session,
                    item,
                    revision,
                });
            }
            Change::Used(piece) => self.round.used.push((id, piece)),
            Change::Answered {
                run,
                turn,
                response,
            } => {
                // the first one counts, and nothing was used in the turn since
                if let Slot::Vacant(place) = self.places.entry(About::Turn(id, run, *turn)) {
                    place.insert(0);
                    self.round.answered.push(AnsweredRow {
                        session: id,
                        run,
                        turn: *turn,
                        response,
                    });
                }
            }
            Change::Ended { at, outcome } => {
                self.places.insert(About::Ended(id), 0);
                self.round.ended.push(EndedRow {
                    session: id,
                    at: *at,
                    outcome,
                    revision,
                });
            }
        }
    }

    fn settle(&mut self, row: SettingsRow<'a>) {
        let rows = &mut self.round.settings;
        match self.places.entry(About::Settings(&row.session.id)) {
            Slot::Occupied(place) => {
                let known = &mut rows[*place.get()];
                if known.revision < row.revision {
                    (known.settings, known.revision) = (row.settings, row.revision);
                }
            }
            Slot::Vacant(place) => {
                place.insert(rows.len());
                rows.push(row);
            }
        }
    }

    fn put(&mut self, row: PutRow<'a>) {
        self.places.insert(About::Items(&row.session.id), 0);
        let rows = &mut self.round.puts;
        match self.places.entry(About::Item(row.session, row.item)) {
            Slot::Occupied(place) => {
                let known = &mut rows[*place.get()];
                if known.revision < row.revision {
                    let created_at = known.created_at;
                    *known = PutRow { created_at, ..row };
                }
            }
            Slot::Vacant(place) => {
                place.insert(rows.len());
                rows.push(row);
            }
        }
    }
}

#[cfg(test)]
mod tests;
