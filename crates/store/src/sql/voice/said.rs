//! What was said in sessions of the app voice socket, and how a conversation goes on.
//! Written by the voice door as it is said; read when its app comes back.
//! Never shows a conversation to another user than the one who had it.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::FromRow;

use super::effect;
use crate::StoreError;
use crate::sql::calls::spot;
use crate::sql::outbox::NewEffect;
use crate::sql::{Scope, Sql};

/// Table of what was said, in the names of sealed values.
const MESSAGES: &str = "messages";

/// Something that was said, to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct VoiceMessage {
    /// A UUID; one that is there already is not stored again.
    pub id: String,
    /// The session it was said in.
    pub session_id: String,
    /// The conversation that this is part of.
    pub conversation_id: Option<String>,
    /// The caller.
    pub user_id: String,
    /// `user` or `assistant`.
    pub role: String,
    /// What was said. Stored sealed.
    pub content: String,
    /// How sure transcription was, 0 to 1; of the caller's words only.
    pub confidence: Option<f64>,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl VoiceMessage {
    /// What is stored beside the words, as JSON.
    pub fn metadata(&self) -> String {
        let mut metadata = json!({ "voice_call": true, "session_id": self.session_id });
        if let Some(confidence) = self.confidence {
            metadata["confidence"] = json!(confidence);
        }
        metadata.to_string()
    }
}

/// Something that was said, as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceLine {
    /// A UUID.
    pub id: String,
    /// `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
    /// Session, confidence and the like, as JSON.
    pub metadata: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct MessageRow {
    id: String,
    session_id: String,
    conversation_id: Option<String>,
    user_id: String,
    role: String,
    content: Vec<u8>,
    metadata: String,
    created_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct LineRow {
    id: String,
    role: String,
    content: Vec<u8>,
    metadata: String,
    created_at: DateTime<Utc>,
}

impl Sql {
    /// Stores something that was said in a session that is stored; once.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn add_voice_message(
        &self,
        tenant: &str,
        message: &VoiceMessage,
        mirrored: bool,
    ) -> Result<(), StoreError> {
        let place = [message.id.as_str()];
        let content = self
            .seal(spot(tenant, MESSAGES, &place), &message.content)
            .await?;
        let metadata = message.metadata();
        // as in the original: what belongs to no conversation is not written elsewhere
        let effects: Vec<NewEffect> = (mirrored && message.conversation_id.is_some())
            .then(|| effect("messages", &message.id, message.created_at))
            .into_iter()
            .collect();
        let action = "store what was said in a voice session";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "INSERT INTO messages \
                 (tenant, id, session_id, conversation_id, user_id, role, type, content, metadata, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, 'text', $7, $8, $9) ON CONFLICT (tenant, id) DO NOTHING",
            )
            .bind(tenant)
            .bind(&message.id)
            .bind(&message.session_id)
            .bind(&message.conversation_id)
            .bind(&message.user_id)
            .bind(&message.role)
            .bind(&content)
            .bind(&metadata)
            .bind(message.created_at)
            .execute(&mut *on)
            .await?;
            put_effects!(on, tenant, &effects, message.created_at);
            Ok(())
        })
    }

    /// The last `most` messages of a conversation, the oldest first; `None` when it is another user's.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn voice_history(
        &self,
        tenant: &str,
        user: &str,
        conversation: &str,
        most: u32,
    ) -> Result<Option<Vec<VoiceLine>>, StoreError> {
        let action = "read a conversation";
        let (others, rows) = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            let others: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM (SELECT 1 AS one FROM voice_sessions \
                 WHERE tenant = $1 AND conversation_id = $2 AND user_id <> $3 LIMIT 1) AS others",
            )
            .bind(tenant)
            .bind(conversation)
            .bind(user)
            .fetch_one(&mut *on)
            .await?;
            let rows: Vec<LineRow> = sqlx::query_as(
                "SELECT id, role, content, metadata, created_at FROM messages \
                 WHERE tenant = $1 AND conversation_id = $2 AND user_id = $3 \
                 ORDER BY created_at DESC, id DESC LIMIT $4",
            )
            .bind(tenant)
            .bind(conversation)
            .bind(user)
            .bind(i64::from(most))
            .fetch_all(&mut *on)
            .await?;
            Ok((others, rows))
        })?;
        if others > 0 {
            return Ok(None);
        }
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows.into_iter().rev() {
            lines.push(self.unsealed(tenant, row).await?);
        }
        Ok(Some(lines))
    }

    /// What was said in a session, in order.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn voice_messages(
        &self,
        tenant: &str,
        session_id: &str,
    ) -> Result<Vec<VoiceLine>, StoreError> {
        let action = "read what was said in a voice session";
        let rows: Vec<LineRow> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT id, role, content, metadata, created_at FROM messages \
                 WHERE tenant = $1 AND session_id = $2 ORDER BY created_at, id",
            )
            .bind(tenant)
            .bind(session_id)
            .fetch_all(on)
            .await
        })?;
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            lines.push(self.unsealed(tenant, row).await?);
        }
        Ok(lines)
    }

    async fn unsealed(&self, tenant: &str, row: LineRow) -> Result<VoiceLine, StoreError> {
        let place = [row.id.as_str()];
        let content = self
            .unseal(spot(tenant, MESSAGES, &place), row.content)
            .await?;
        Ok(VoiceLine {
            content: String::from_utf8_lossy(&content).into_owned(),
            id: row.id,
            role: row.role,
            metadata: row.metadata,
            created_at: row.created_at,
        })
    }

    /// A message of a tenant's.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn voice_message(
        &self,
        tenant: &str,
        id: &str,
    ) -> Result<Option<VoiceMessage>, StoreError> {
        let action = "read a message of a voice session";
        let row: Option<MessageRow> = work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT id, session_id, conversation_id, user_id, role, content, metadata, created_at FROM messages \
                 WHERE tenant = $1 AND id = $2",
            )
            .bind(tenant)
            .bind(id)
            .fetch_optional(on)
            .await
        })?;
        let Some(row) = row else {
            return Ok(None);
        };
        let metadata: serde_json::Value = serde_json::from_str(&row.metadata).unwrap_or_default();
        let line = LineRow {
            id: row.id,
            role: row.role,
            content: row.content,
            metadata: row.metadata,
            created_at: row.created_at,
        };
        let line = self.unsealed(tenant, line).await?;
        Ok(Some(VoiceMessage {
            id: line.id,
            session_id: row.session_id,
            conversation_id: row.conversation_id,
            user_id: row.user_id,
            role: line.role,
            content: line.content,
            confidence: metadata["confidence"].as_f64(),
            created_at: line.created_at,
        }))
    }
}
