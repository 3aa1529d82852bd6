//! Chat rooms, what was said in them, and who has read how far.
//! Written and read by the gateway's chat rooms where no application keeps them, and by their REST routes.
//! Never stores a message twice: whoever stores one again gets the one that is there.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::calls::spot;
use super::{Scope, Sql};
use crate::{NUL, StoreError};

/// Something to keep.
#[derive(Debug, Clone, Copy)]
pub struct NewChatMessage<'a> {
    /// The room.
    pub chat: &'a str,
    /// Tells it from the others of the room.
    pub id: &'a str,
    /// `USER`, `ASSISTANT`, `AGENT` or `SYSTEM`.
    pub role: &'a str,
    /// Who has said it.
    pub sender: &'a str,
    /// What, and who they are, as JSON: personal.
    pub content: &'a str,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ChatMessage {
    /// Tells it from the others of the room.
    pub id: String,
    /// `USER`, `ASSISTANT`, `AGENT` or `SYSTEM`.
    pub role: String,
    /// Who has said it.
    pub sender: String,
    /// What, and who they are, as JSON: personal.
    pub content: Vec<u8>,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When its words were changed, if they were.
    pub updated_at: Option<DateTime<Utc>>,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ChatRoom {
    /// Names it among the tenant's.
    pub id: String,
    /// `active`, `archived` or `deleted`.
    pub status: String,
    /// `agent` or `human`.
    pub answered_by: String,
    /// The person who answers, if any.
    pub assigned_to: Option<String>,
    /// Since when.
    pub assigned_at: Option<DateTime<Utc>>,
    /// Since when there is a room.
    pub created_at: DateTime<Utc>,
    /// When something was last said or changed.
    pub updated_at: DateTime<Utc>,
}

/// How far somebody has read.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ChatRead {
    /// Who.
    pub reader: String,
    /// The last message that they have read.
    pub message: String,
    /// When.
    pub read_at: DateTime<Utc>,
}

/// Which messages of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatPage<'a> {
    /// The newest.
    Newest,
    /// Those before this one, the nearest.
    Before(&'a str),
    /// Those behind this one, the nearest.
    Behind(&'a str),
}

const NEWEST: &str = "SELECT id, role, sender, content, created_at, updated_at FROM chat_messages \
     WHERE tenant = $1 AND chat = $2 AND $3 = '' ORDER BY created_at DESC, id DESC LIMIT $4";
const BEFORE: &str = "SELECT m.id, m.role, m.sender, m.content, m.created_at, m.updated_at \
     FROM chat_messages m JOIN chat_messages e ON e.tenant = m.tenant AND e.chat = m.chat AND e.id = $3 \
     WHERE m.tenant = $1 AND m.chat = $2 AND (m.created_at, m.id) < (e.created_at, e.id) \
     ORDER BY m.created_at DESC, m.id DESC LIMIT $4";
const BEHIND: &str = "SELECT m.id, m.role, m.sender, m.content, m.created_at, m.updated_at \
     FROM chat_messages m JOIN chat_messages e ON e.tenant = m.tenant AND e.chat = m.chat AND e.id = $3 \
     WHERE m.tenant = $1 AND m.chat = $2 AND (m.created_at, m.id) > (e.created_at, e.id) \
     ORDER BY m.created_at, m.id LIMIT $4";

impl Sql {
    /// Keeps a message, in a room that is made where there is none; the message as it is kept, and whether it is new.
    ///
    /// # Errors
    /// [`StoreError::Nul`], [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn add_chat_message(
        &self,
        tenant: &str,
        new: NewChatMessage<'_>,
        now: DateTime<Utc>,
    ) -> Result<(ChatMessage, bool), StoreError> {
        let names = [new.chat, new.id, new.sender, new.content];
        if names.iter().any(|text| text.contains(NUL)) {
            return Err(StoreError::Nul);
        }
        let row = [new.chat, new.id];
        let content = self
            .seal(spot(tenant, "chat_messages", &row), new.content)
            .await?;
        let action = "keep a chat message";
        let added = work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "INSERT INTO chat_rooms (tenant, id, status, answered_by, created_at, updated_at) \
                 VALUES ($1, $2, 'active', 'agent', $3, $3) \
                 ON CONFLICT (tenant, id) DO UPDATE SET updated_at = excluded.updated_at",
            )
            .bind(tenant)
            .bind(new.chat)
            .bind(now)
            .execute(&mut *on)
            .await?;
            sqlx::query(
                "INSERT INTO chat_messages (tenant, chat, id, role, sender, content, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, chat, id) DO NOTHING",
            )
            .bind(tenant)
            .bind(new.chat)
            .bind(new.id)
            .bind(new.role)
            .bind(new.sender)
            .bind(&content)
            .bind(now)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })?;
        if !added && let Some(kept) = self.chat_message(tenant, new.chat, new.id).await? {
            return Ok((kept, false));
        }
        let message = ChatMessage {
            id: new.id.to_owned(),
            role: new.role.to_owned(),
            sender: new.sender.to_owned(),
            content: new.content.as_bytes().to_vec(),
            created_at: now,
            updated_at: None,
        };
        Ok((message, true))
    }

    /// One message.
    ///
    /// # Errors
    /// As [`Self::add_chat_message`].
    pub async fn chat_message(
        &self,
        tenant: &str,
        chat: &str,
        id: &str,
    ) -> Result<Option<ChatMessage>, StoreError> {
        let action = "read a chat message";
        let found: Option<ChatMessage> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT id, role, sender, content, created_at, updated_at FROM chat_messages \
                 WHERE tenant = $1 AND chat = $2 AND id = $3",
            )
            .bind(tenant)
            .bind(chat)
            .bind(id)
            .fetch_optional(on)
            .await
        })?;
        let opened = self.open_messages((tenant, chat), found.into_iter().collect());
        Ok(opened.await?.pop())
    }

    /// Messages of a room, oldest first, and whether there are more beyond them.
    ///
    /// # Errors
    /// As [`Self::add_chat_message`].
    pub async fn chat_messages(
        &self,
        tenant: &str,
        chat: &str,
        page: ChatPage<'_>,
        limit: u32,
    ) -> Result<(Vec<ChatMessage>, bool), StoreError> {
        let action = "read what was said in a chat room";
        let (query, edge) = match page {
            ChatPage::Newest => (NEWEST, ""),
            ChatPage::Before(id) => (BEFORE, id),
            ChatPage::Behind(id) => (BEHIND, id),
        };
        let rows = i64::from(limit) + 1;
        let mut found: Vec<ChatMessage> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(query)
                .bind(tenant)
                .bind(chat)
                .bind(edge)
                .bind(rows)
                .fetch_all(on)
                .await
        })?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        if !matches!(page, ChatPage::Behind(_)) {
            found.reverse();
        }
        Ok((self.open_messages((tenant, chat), found).await?, more))
    }

    /// Gives a message other words, if its sender is `sender`; as it is now.
    ///
    /// # Errors
    /// As [`Self::add_chat_message`].
    pub async fn change_chat_message(
        &self,
        tenant: &str,
        (chat, id, sender): (&str, &str, &str),
        content: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<ChatMessage>, StoreError> {
        if [chat, id, sender, content]
            .iter()
            .any(|text| text.contains(NUL))
        {
            return Err(StoreError::Nul);
        }
        let sealed = self
            .seal(spot(tenant, "chat_messages", &[chat, id]), content)
            .await?;
        let action = "change a chat message";
        let changed = work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "UPDATE chat_messages SET content = $5, updated_at = $6 \
                 WHERE tenant = $1 AND chat = $2 AND id = $3 AND sender = $4",
            )
            .bind(tenant)
            .bind(chat)
            .bind(id)
            .bind(sender)
            .bind(&sealed)
            .bind(now)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })?;
        if changed {
            self.chat_message(tenant, chat, id).await
        } else {
            Ok(None)
        }
    }

    /// Notes that somebody has read up to a message; false when they had read as far, or when there is no such message.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn read_chat(
        &self,
        tenant: &str,
        (chat, reader, message): (&str, &str, &str),
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        if [chat, reader, message]
            .iter()
            .any(|text| text.contains(NUL))
        {
            return Ok(false);
        }
        let action = "note how far somebody has read";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "INSERT INTO chat_reads (tenant, chat, reader, message, said_at, read_at) \
                 SELECT $1, $2, $3, $4, m.created_at, $5 FROM chat_messages m \
                 WHERE m.tenant = $1 AND m.chat = $2 AND m.id = $4 \
                 ON CONFLICT (tenant, chat, reader) DO UPDATE \
                 SET message = excluded.message, said_at = excluded.said_at, read_at = excluded.read_at \
                 WHERE chat_reads.said_at < excluded.said_at",
            )
            .bind(tenant)
            .bind(chat)
            .bind(reader)
            .bind(message)
            .bind(now)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// How far everybody has read in a room.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn chat_reads(&self, tenant: &str, chat: &str) -> Result<Vec<ChatRead>, StoreError> {
        let action = "see how far people have read";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT reader, message, read_at FROM chat_reads \
                 WHERE tenant = $1 AND chat = $2 ORDER BY reader",
            )
            .bind(tenant)
            .bind(chat)
            .fetch_all(on)
            .await
        })
    }

    /// A room, where something was said in it.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn chat_room(
        &self,
        tenant: &str,
        chat: &str,
    ) -> Result<Option<ChatRoom>, StoreError> {
        if chat.contains(NUL) {
            return Ok(None);
        }
        work!(
            self,
            Read,
            Scope::Tenant(tenant),
            "read a chat room",
            |on| {
                sqlx::query_as(
                "SELECT id, status, answered_by, assigned_to, assigned_at, created_at, updated_at \
                 FROM chat_rooms WHERE tenant = $1 AND id = $2",
            )
            .bind(tenant)
            .bind(chat)
            .fetch_optional(on)
            .await
            }
        )
    }

    /// Notes who answers in a room from now on, `agent` or `human`, and which person; the room is made where there is none.
    /// False when that was so already.
    ///
    /// # Errors
    /// [`StoreError::Nul`], [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn answer_chat(
        &self,
        tenant: &str,
        (chat, by, person): (&str, &str, Option<&str>),
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        if [chat, by, person.unwrap_or_default()]
            .iter()
            .any(|text| text.contains(NUL))
        {
            return Err(StoreError::Nul);
        }
        let action = "note who answers in a chat room";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "INSERT INTO chat_rooms \
                 (tenant, id, status, answered_by, assigned_to, assigned_at, created_at, updated_at) \
                 VALUES ($1, $2, 'active', $3, $4, CASE WHEN $4 IS NULL THEN NULL ELSE $5 END, $5, $5) \
                 ON CONFLICT (tenant, id) DO UPDATE SET answered_by = excluded.answered_by, \
                 assigned_to = excluded.assigned_to, assigned_at = excluded.assigned_at, \
                 updated_at = excluded.updated_at \
                 WHERE chat_rooms.answered_by <> excluded.answered_by \
                 OR COALESCE(chat_rooms.assigned_to, '') <> COALESCE(excluded.assigned_to, '')",
            )
            .bind(tenant)
            .bind(chat)
            .bind(by)
            .bind(person)
            .bind(now)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// The key that tokens of our own are signed with: drawn once for this installation.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`]; [`StoreError::Keys`] when the system gives no random numbers.
    pub async fn chat_token_key(&self) -> Result<Vec<u8>, StoreError> {
        let mut fresh = [0; 32];
        aws_lc_rs::rand::fill(&mut fresh).map_err(|_| crate::seal::KeyError::NoRandomness)?;
        self.installation_value("chat_token", &fresh).await
    }

    async fn open_messages(
        &self,
        (tenant, chat): (&str, &str),
        mut messages: Vec<ChatMessage>,
    ) -> Result<Vec<ChatMessage>, StoreError> {
        for message in &mut messages {
            let stored = std::mem::take(&mut message.content);
            let row = [chat, message.id.as_str()];
            message.content = self
                .unseal(spot(tenant, "chat_messages", &row), stored)
                .await?;
        }
        Ok(messages)
    }
}
