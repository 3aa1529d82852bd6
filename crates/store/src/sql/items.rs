//! The table of conversation items, and the changes that are written to it and to the sessions.
//! Written by `super::changes`, read by whoever continues a session.
//! Never reads an item of another tenant: each function takes the tenant it looks in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::sessions::SessionKey;
use super::usage::Piece;
use super::{Scope, Sql};
use crate::StoreError;
use crate::seal::Spot;

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
pub(super) const fn spot<'a>(tenant: &'a str, row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        tenant,
        table: "conversation_items",
        row,
    }
}
