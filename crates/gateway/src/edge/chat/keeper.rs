//! Who keeps what is said in rooms: the web application behind them, this server's own database, or nobody.
//! Asked by [`super::desk`] and by the agents before a message is told.
//! Never tells a room anything.

use std::sync::Arc;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::{ChatMessage, ChatPage, NewChatMessage, Sql};
use wire::chat::{ChatRole, Posted, Sender};
use wire::ids::Ids;

use super::backend::{Backend, Letter, Unwilling};
use super::times::iso;
use crate::clock::Clock;

/// Most messages that are read at once.
pub(super) const HISTORY_MOST: u32 = 200;

/// Who keeps them.
#[derive(Debug, Clone)]
pub(super) enum Keeper {
    /// The web application.
    Backend(Backend),
    /// This server's database.
    Own(Own),
    /// Nobody: what was said is gone once nobody is left who heard it.
    Nobody,
}

/// Rooms in this server's database.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) sql: Sql,
    /// Whose rooms they are.
    pub(super) tenant: Arc<str>,
}

/// Something that is to be kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saying<'a> {
    /// The room.
    pub(super) chat: &'a str,
    /// Who says it.
    pub(super) sender: &'a Sender,
    /// As what they speak.
    pub(super) role: ChatRole,
    /// What they say.
    pub(super) content: &'a str,
    /// The sender's own id of it.
    pub(super) client_id: Option<&'a str>,
}

/// What is stored of a message beside what it is found by.
#[derive(Serialize, Deserialize)]
struct Content {
    content: String,
    sender: Sender,
}

impl Keeper {
    /// Keeps something that was said; as it is to be told.
    pub(super) async fn keep(
        &self,
        saying: Saying<'_>,
        clock: &Clock,
        seed: u128,
    ) -> Result<Posted, Unwilling> {
        let id = id(saying, seed);
        match self {
            Self::Backend(backend) => {
                let letter = Letter {
                    chat: saying.chat,
                    user: &saying.sender.id,
                    role: saying.role,
                    content: saying.content,
                    key: &id,
                };
                backend.send(letter).await
            }
            Self::Own(own) => own.keep(&id, saying, clock.utc()).await,
            Self::Nobody => Ok(Posted {
                id,
                content: saying.content.to_owned(),
                role: saying.role.lower().to_owned(),
                timestamp: iso(clock.utc()),
                sender: saying.sender.clone(),
                updated_at: None,
            }),
        }
    }

    /// The rooms that this server keeps itself.
    pub(super) fn own(&self) -> Option<&Own> {
        match self {
            Self::Own(own) => Some(own),
            Self::Backend(_) | Self::Nobody => None,
        }
    }
}

/// The same message, sent again with the sender's own id, has the same id.
fn id(saying: Saying<'_>, seed: u128) -> String {
    let Some(client_id) = saying.client_id else {
        return Ids::seeded(seed).next("msg");
    };
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [saying.chat, &saying.sender.id, client_id] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let mut id = String::from("msg_");
    for byte in &hash.finish().as_ref()[..12] {
        use std::fmt::Write as _;
        // writing to a String does not fail
        let _ = write!(id, "{byte:02x}");
    }
    id
}

impl Own {
    async fn keep(
        &self,
        id: &str,
        saying: Saying<'_>,
        now: DateTime<Utc>,
    ) -> Result<Posted, Unwilling> {
        let content = content(saying.content, saying.sender);
        let new = NewChatMessage {
            chat: saying.chat,
            id,
            role: saying.role.name(),
            sender: &saying.sender.id,
            content: &content,
        };
        let kept = self.sql.add_chat_message(&self.tenant, new, now).await;
        kept.map(|(message, _)| posted(message)).map_err(unkept)
    }

    /// Messages of a room, oldest first, and whether there are more.
    pub(super) async fn read(
        &self,
        chat: &str,
        page: ChatPage<'_>,
        limit: u32,
    ) -> Result<(Vec<Posted>, bool), Unwilling> {
        let limit = limit.clamp(1, HISTORY_MOST);
        let found = self
            .sql
            .chat_messages(&self.tenant, chat, page, limit)
            .await;
        let (messages, more) = found.map_err(unkept)?;
        Ok((messages.into_iter().map(posted).collect(), more))
    }

    /// Gives a message of `sender` other words; `None` where they have said none with this id.
    pub(super) async fn change(
        &self,
        (chat, id): (&str, &str),
        sender: &Sender,
        words: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Posted>, Unwilling> {
        let content = content(words, sender);
        let place = (chat, id, sender.id.as_str());
        let changed = self
            .sql
            .change_chat_message(&self.tenant, place, &content, now);
        Ok(changed.await.map_err(unkept)?.map(posted))
    }
}

fn content(words: &str, sender: &Sender) -> String {
    let content = Content {
        content: words.to_owned(),
        sender: sender.clone(),
    };
    serde_json::to_string(&content).unwrap_or_default()
}

/// As it is told.
pub(super) fn posted(message: ChatMessage) -> Posted {
    let content: Option<Content> = serde_json::from_slice(&message.content).ok();
    let (content, sender) = content.map_or_else(
        || (String::new(), Sender::default()),
        |content| (content.content, content.sender),
    );
    Posted {
        id: message.id,
        content,
        role: message.role.to_lowercase(),
        timestamp: iso(message.created_at),
        sender,
        updated_at: message.updated_at.map(iso),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "handed to map_err, which gives the error away"
)]
fn unkept(error: store::StoreError) -> Unwilling {
    if matches!(error, store::StoreError::Nul) {
        return Unwilling("text with the character U+0000 cannot be kept; leave it out".to_owned());
    }
    tracing::error!(
        error = crate::auth::chain(&error),
        "cannot keep a chat message"
    );
    Unwilling("the message could not be kept; send it again".to_owned())
}
