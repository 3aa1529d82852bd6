//! The table of conversation items, and what is written to it and to the sessions in one go.
//! Written by the journal's reader, read by whoever continues a session.
//! Never writes anything twice: a change that is written again changes nothing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::error::DatabaseError;

use super::sessions::{self, SessionKey};
use super::usage::Piece;
use super::{Scope, Sql};
use crate::StoreError;
use crate::seal::Spot;

const SETTINGS: &str = "INSERT INTO sessions (tenant, id, started_at, project, model, settings, revision) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT (tenant, id) DO UPDATE \
     SET settings = excluded.settings, revision = excluded.revision \
     WHERE sessions.revision < excluded.revision";

const PUT: &str = "INSERT INTO conversation_items \
     (tenant, session_at, session, id, position, revision, created_at, content) \
     SELECT tenant, started_at, id, $4, $5, $6, $7, $8 FROM sessions \
     WHERE tenant = $1 AND id = $2 AND started_at = $3 \
     ON CONFLICT (tenant, session_at, session, id) DO UPDATE \
     SET position = excluded.position, revision = excluded.revision, \
     content = excluded.content \
     WHERE conversation_items.revision < excluded.revision";

const REMOVED: &str = "DELETE FROM conversation_items \
     WHERE tenant = $1 AND session_at = $2 AND session = $3 AND id = $4 \
     AND revision < $5";

const ENDED: &str = "UPDATE sessions SET ended_at = $3, outcome = $4, revision = $5 \
     WHERE tenant = $1 AND id = $2 AND revision < $5";

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose.
    pub session: SessionKey,
    /// Number of the change, counted in its session from 1; the later one counts.
    pub revision: i64,
    /// What.
    pub change: Change,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// It began, or its settings are these now.
    Settings {
        /// Its project.
        project: String,
        /// The model that was asked for.
        model: String,
        /// The settings, as JSON.
        settings: String,
    },
    /// An item is this now.
    Put {
        /// `item_…`.
        item: String,
        /// Its place: items are in the order of this number.
        position: i64,
        /// When it came into the conversation.
        created_at: DateTime<Utc>,
        /// The item, as JSON.
        content: String,
    },
    /// An item is no part of the conversation any more.
    Removed {
        /// `item_…`.
        item: String,
    },
    /// A provider did something for it; the entry's revision does not count.
    Used(Box<Piece>),
    /// A turn was ended by this response.
    Answered {
        /// Who counted what was used in it.
        run: String,
        /// The turn.
        turn: u32,
        /// `resp_…`.
        response: String,
    },
    /// The session is over.
    Ended {
        /// When.
        at: DateTime<Utc>,
        /// How.
        outcome: String,
    },
}

/// An item as stored.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct StoredItem {
    /// `item_…`.
    pub id: String,
    /// Its place.
    pub position: i64,
    /// Number of its last change.
    pub revision: i64,
    /// When it came into the conversation.
    pub created_at: DateTime<Utc>,
    /// The item, as JSON.
    pub content: Vec<u8>,
}

impl Sql {
    /// Writes what happened in sessions of one tenant, in this order, all or nothing. What is already written and what
    /// belongs to a session that was deleted changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn write_changes(&self, tenant: &str, entries: &[&Entry]) -> Result<(), StoreError> {
        let mut sealed = Vec::with_capacity(entries.len());
        for entry in entries {
            sealed.push(self.sealed(tenant, entry).await?);
        }
        let refused = match self.try_write_changes(tenant, entries, &sealed).await {
            Err(StoreError::Query { action, source }) => (action, source),
            done => return done,
        };
        let (action, source) = refused;
        match source.as_database_error().and_then(DatabaseError::code) {
            // PostgreSQL: no partition for the month, which may be long past or has just begun
            Some(code) if code == "23514" => {
                for entry in entries {
                    self.make_months(entry.session.started_at(), 0).await?;
                }
            }
            // a session was deleted between two statements
            Some(code) if code == "23503" => {}
            _ => return Err(StoreError::Query { action, source }),
        }
        self.try_write_changes(tenant, entries, &sealed).await
    }

    /// What of a change is stored sealed.
    async fn sealed(&self, tenant: &str, entry: &Entry) -> Result<Vec<u8>, StoreError> {
        let session = entry.session.id.as_str();
        match &entry.change {
            Change::Settings { settings, .. } => {
                self.seal(sessions::spot(tenant, &[session]), settings)
                    .await
            }
            Change::Put { item, content, .. } => {
                self.seal(spot(tenant, &[session, item]), content).await
            }
            Change::Removed { .. }
            | Change::Ended { .. }
            | Change::Used(_)
            | Change::Answered { .. } => Ok(Vec::new()),
        }
    }

    async fn try_write_changes(
        &self,
        tenant: &str,
        entries: &[&Entry],
        sealed: &[Vec<u8>],
    ) -> Result<(), StoreError> {
        let action = "write what was said";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            for (entry, sealed) in entries.iter().zip(sealed) {
                let SessionKey { id, .. } = &entry.session;
                let started_at = entry.session.started_at();
                match &entry.change {
                    Change::Settings { project, model, .. } => {
                        sqlx::query(SETTINGS)
                            .bind(tenant)
                            .bind(id)
                            .bind(started_at)
                            .bind(project)
                            .bind(model)
                            .bind(sealed)
                            .bind(entry.revision)
                            .execute(&mut *on)
                            .await?;
                    }
                    Change::Put {
                        item,
                        position,
                        created_at,
                        ..
                    } => {
                        sqlx::query(PUT)
                            .bind(tenant)
                            .bind(id)
                            .bind(started_at)
                            .bind(item)
                            .bind(position)
                            .bind(entry.revision)
                            .bind(created_at)
                            .bind(sealed)
                            .execute(&mut *on)
                            .await?;
                    }
                    Change::Removed { item } => {
                        sqlx::query(REMOVED)
                            .bind(tenant)
                            .bind(started_at)
                            .bind(id)
                            .bind(item)
                            .bind(entry.revision)
                            .execute(&mut *on)
                            .await?;
                    }
                    Change::Used(piece) => insert_piece!(on, tenant, id, piece),
                    Change::Answered {
                        run,
                        turn,
                        response,
                    } => name_turn!(on, tenant, id, run, turn, response),
                    Change::Ended { at, outcome } => {
                        sqlx::query(ENDED)
                            .bind(tenant)
                            .bind(id)
                            .bind(at)
                            .bind(outcome)
                            .bind(entry.revision)
                            .execute(&mut *on)
                            .await?;
                    }
                }
            }
            Ok(())
        })
    }

    /// The last `limit` items of a session, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn last_items(
        &self,
        session: &SessionKey,
        limit: u32,
    ) -> Result<Vec<StoredItem>, StoreError> {
        let tenant = session.tenant.as_str();
        let action = "read what was said";
        let mut items: Vec<StoredItem> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT id, position, revision, created_at, content FROM conversation_items \
                     WHERE tenant = $1 AND session_at = $2 AND session = $3 \
                     ORDER BY position DESC, id DESC LIMIT $4",
            )
            .bind(tenant)
            .bind(session.started_at())
            .bind(&session.id)
            .bind(i64::from(limit))
            .fetch_all(on)
            .await
        })?;
        items.reverse();
        for item in &mut items {
            let stored = std::mem::take(&mut item.content);
            let row = [session.id.as_str(), item.id.as_str()];
            item.content = self.unseal(spot(tenant, &row), stored).await?;
        }
        Ok(items)
    }
}

/// Where an item lies.
const fn spot<'a>(tenant: &'a str, row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        tenant,
        table: "conversation_items",
        row,
    }
}
