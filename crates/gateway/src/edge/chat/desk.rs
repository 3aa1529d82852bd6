//! What the messages of one client do.
//! Called by its socket ([`super::connection`]), one message after the other.
//! Never answers anybody but its own client, except through the room.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use store::ChatPage;
use store::live::rooms::After;
use tokio::sync::mpsc::error::TrySendError;
use wire::chat::{
    Acked, ChatClientMessage, ChatExtra, ChatExtras, ChatRole, ChatServerMessage, HandedOver,
    Joined, Posted, ReadUpTo, Say, text,
};

use super::Chat;
use super::backend::Unwilling;
use super::following::{Followed, Place};
use super::hub::News;
use super::identity::Identity;
use super::keeper::{HISTORY_MOST, Keeper, Saying};
use super::room::{Out, Room};
use super::times::iso;
use crate::App;
use crate::config::ChatRoles;
use crate::edge::Sender as Queue;

/// Messages in an answer to `history` that names no number.
const HISTORY: u32 = 50;
/// Longest answer to `history`, in bytes; the client asks again for what is before it.
const HISTORY_BYTES: usize = 1024 * 1024;
/// What a message takes beside its words, about.
const MESSAGE_BYTES: usize = 300;

/// Why something was not done: `error`, and `message`.
pub(super) struct Refusal(pub(super) &'static str, pub(super) Option<String>);

impl From<Unwilling> for Refusal {
    fn from(Unwilling(why): Unwilling) -> Self {
        Self("Failed to send message", Some(why))
    }
}

fn unsaid(why: impl Into<String>) -> Refusal {
    Refusal("Failed to send message", Some(why.into()))
}

/// One client.
pub(super) struct Desk {
    pub(super) app: Arc<App>,
    pub(super) identity: Arc<Identity>,
    pub(super) extras: ChatExtras,
    /// Of its socket.
    pub(super) number: u64,
    pub(super) queue: Queue<Out>,
    /// The room of its token.
    pub(super) room: Arc<Room>,
    pub(super) followed: Mutex<Vec<Followed>>,
}

impl Desk {
    pub(super) fn chat(&self) -> &Chat {
        &self.app.chat
    }

    pub(super) fn now(&self) -> String {
        iso(self.app.clock.utc())
    }

    /// Answers this client alone.
    pub(super) fn answer(&self, message: &ChatServerMessage) {
        let full = self.queue.try_send(Out::Text(text(message).into()));
        if let Err(TrySendError::Full(_)) = full {
            self.queue.send_last(Out::TooSlow);
        }
    }

    /// Says that something was not done.
    pub(super) fn refuse(&self, error: &str, message: Option<String>, client_id: Option<String>) {
        self.answer(&ChatServerMessage::Error {
            error: error.to_owned(),
            message,
            client_id,
        });
    }

    /// Does what a message asks for, in the room that it names.
    pub(super) async fn take(&self, message: ChatClientMessage, chat: Option<String>) {
        let client_id = match &message {
            ChatClientMessage::Message(Say { client_id, .. })
            | ChatClientMessage::Edit { client_id, .. } => client_id.clone(),
            _ => None,
        };
        if let Err(Refusal(error, why)) = self.try_take(message, chat).await {
            self.refuse(error, why, client_id);
        }
    }

    async fn try_take(
        &self,
        message: ChatClientMessage,
        chat: Option<String>,
    ) -> Result<(), Refusal> {
        if let ChatClientMessage::Follow { token, since } = message {
            return self.follow(chat, token, since).await;
        }
        let place = self.place_of(chat.as_deref())?;
        let room = &place.room;
        match message {
            ChatClientMessage::Message(say) => self.say(&place, say).await,
            ChatClientMessage::Typing { is_typing } => {
                let typist = (self.identity.user.as_str(), self.number);
                self.chat().hub.types(room, typist, is_typing).await;
                Ok(())
            }
            ChatClientMessage::AgentJoined => self.join(&place).await,
            ChatClientMessage::Ping => {
                self.answer(&ChatServerMessage::Pong);
                Ok(())
            }
            ChatClientMessage::Read { id } => self.read(room, id).await,
            ChatClientMessage::Edit {
                id,
                content,
                client_id,
            } => self.edit(&place, (id, content), client_id).await,
            ChatClientMessage::History { before, limit } => self.history(room, before, limit).await,
            ChatClientMessage::Unfollow => self.unfollow(room).await,
            ChatClientMessage::HandOver { reason } => self.hand_over(&place, "human", reason).await,
            ChatClientMessage::Release => {
                if !self.is_staff(&place.identity) {
                    let why = "only the support team may let the machine answer again";
                    return Err(Refusal("Not allowed", Some(why.to_owned())));
                }
                self.hand_over(&place, "agent", None).await
            }
            ChatClientMessage::Follow { .. } => Ok(()),
        }
    }

    fn may_speak_as(&self, identity: &Identity, role: ChatRole) -> bool {
        self.chat().roles == ChatRoles::Free || identity.may_speak_as(role)
    }

    fn is_staff(&self, identity: &Identity) -> bool {
        self.chat().roles == ChatRoles::Free || identity.is_staff()
    }

    async fn say(&self, Place { room, identity }: &Place, say: Say) -> Result<(), Refusal> {
        let role = ChatRole::of(&say.role).filter(|role| *role != ChatRole::System);
        let role = role.ok_or_else(|| {
            unsaid("API error: 400 - Valid role is required (USER, ASSISTANT, or AGENT)")
        })?;
        if !self.may_speak_as(identity, role) {
            let role = role.name();
            return Err(unsaid(format!(
                "this token does not allow to speak as {role}; customers send the role USER"
            )));
        }
        let content = self.words(&say.content)?;
        let sender = identity.as_sender();
        let saying = Saying {
            chat: &room.id,
            sender: &sender,
            role,
            content,
            client_id: say.client_id.as_deref(),
        };
        let chat = self.chat();
        let kept = chat.keeper.keep(saying, &self.app.clock, self.app.seed());
        let posted = kept.await?;
        let id = posted.id.clone();
        let message = ChatServerMessage::Message {
            data: posted,
            timestamp: self.now(),
        };
        room.types(&identity.user, Some(self.number), None);
        let news = News::kept(&message, format!("m:{id}"));
        let delivery = chat.hub.tell(room, news).await;
        if let Some(client_id) = say.client_id {
            self.acknowledge(client_id, id, delivery);
        }
        if role == ChatRole::User {
            super::agent::answer(&self.app, room);
        }
        Ok(())
    }

    fn acknowledge(&self, client_id: String, id: String, delivery: wire::chat::Delivery) {
        let data = Acked {
            client_id,
            id,
            delivery,
        };
        let timestamp = self.now();
        self.answer(&ChatServerMessage::Ack { data, timestamp });
    }

    /// What was said without the spaces around it.
    fn words<'a>(&self, content: &'a str) -> Result<&'a str, Refusal> {
        let content = content.trim();
        if content.is_empty() {
            return Err(unsaid("API error: 400 - Message content is required"));
        }
        let most = self.app.config.chat.max_content_chars;
        if content.chars().count() > most {
            return Err(unsaid(format!(
                "a message has at most {most} characters; send it in parts"
            )));
        }
        Ok(content)
    }

    /// Tells the room that a person has come to help.
    async fn join(&self, place: &Place) -> Result<(), Refusal> {
        let Place { room, identity } = place;
        if !self.is_staff(identity) {
            let why = "this token does not belong to the support team".to_owned();
            return Err(Refusal("Failed to process agent_joined event", Some(why)));
        }
        let chat = self.chat();
        let (agent_id, agent_name) = match &chat.keeper {
            Keeper::Backend(backend) => {
                let found = backend
                    .user(&identity.user)
                    .await
                    .map_err(|why| Refusal("Failed to process agent_joined event", Some(why.0)))?;
                let user = found.ok_or(Refusal("Failed to fetch agent info", None))?;
                (user.id.clone(), user.called().to_owned())
            }
            Keeper::Own(_) | Keeper::Nobody => {
                let sender = &identity.sender;
                let known = [&sender.name, &sender.email].into_iter().flatten().next();
                let name = known.map_or("Agent", String::as_str);
                (sender.id.clone(), name.to_owned())
            }
        };
        let timestamp = self.now();
        let key = format!("j:{agent_id}:{timestamp}");
        let message = ChatServerMessage::AgentJoined {
            data: Joined {
                agent_id,
                agent_name,
                timestamp: timestamp.clone(),
            },
            timestamp,
        };
        chat.hub.tell(room, News::kept(&message, key)).await;
        self.hand_over(place, "human", None).await
    }

    /// Notes and tells who answers from now on.
    async fn hand_over(
        &self,
        Place { room, identity }: &Place,
        to: &'static str,
        reason: Option<String>,
    ) -> Result<(), Refusal> {
        let reason = reason.as_deref().map(str::trim).filter(|it| !it.is_empty());
        let reason = reason.map(|reason| self.words(reason)).transpose()?;
        let reason = reason.map(str::to_owned);
        let by_staff = to == "human" && self.is_staff(identity);
        let person = by_staff.then_some(identity.user.as_str());
        super::agent::hand_over(&self.app, room, (to, person), reason)
            .await
            .map_err(Refusal::from)
    }

    async fn read(&self, room: &Arc<Room>, id: String) -> Result<(), Refusal> {
        let (chat, now) = (self.chat(), self.app.clock.utc());
        if let Some(own) = chat.keeper.own() {
            let read = (&*room.id, self.identity.user.as_str(), id.as_str());
            match own.sql.read_chat(&own.tenant, read, now).await {
                Ok(true) => {}
                // nothing new: nobody need be told
                Ok(false) => return Ok(()),
                Err(error) => {
                    let error = crate::auth::chain(&error);
                    tracing::error!(error, "cannot note how far somebody has read");
                    return Err(Refusal("Failed to note what was read", None));
                }
            }
        }
        let message = ChatServerMessage::Read {
            data: ReadUpTo {
                user_id: self.identity.user.clone(),
                id,
                timestamp: iso(now),
            },
            timestamp: iso(now),
        };
        let news = News::passing(&message, Some(ChatExtra::Read));
        chat.hub.tell(room, news).await;
        Ok(())
    }

    async fn edit(
        &self,
        Place { room, identity }: &Place,
        (id, content): (String, String),
        client_id: Option<String>,
    ) -> Result<(), Refusal> {
        let words = self.words(&content)?;
        let chat = self.chat();
        let Some(own) = chat.keeper.own() else {
            return Err(unsaid(
                "messages are changed where they are kept: in the application",
            ));
        };
        let sender = identity.as_sender();
        let now = self.app.clock.utc();
        let changed = own.change((&room.id, &id), &sender, words, now).await?;
        let posted = changed.ok_or_else(|| unsaid("you have sent no message with this id"))?;
        let at = posted.updated_at.clone().unwrap_or_default();
        let message = ChatServerMessage::MessageUpdated {
            data: posted,
            timestamp: self.now(),
        };
        let news = News::kept(&message, format!("u:{id}:{at}"));
        let delivery = chat.hub.tell(room, news).await;
        if let Some(client_id) = client_id {
            self.acknowledge(client_id, id, delivery);
        }
        Ok(())
    }

    async fn history(
        &self,
        room: &Arc<Room>,
        before: Option<String>,
        limit: Option<u32>,
    ) -> Result<(), Refusal> {
        let limit = limit.unwrap_or(HISTORY).clamp(1, HISTORY_MOST);
        let chat = self.chat();
        let (messages, more) = if let Some(own) = chat.keeper.own() {
            let page = before.as_deref().map_or(ChatPage::Newest, ChatPage::Before);
            let read = own.read(&room.id, page, limit).await;
            read.map_err(|Unwilling(why)| Refusal("Failed to read the history", Some(why)))?
        } else {
            let away = || Some("redis does not answer; try again".to_owned());
            let behind = self
                .app
                .store
                .live
                .rooms
                .behind(&room.id, After::Cursor(""));
            let behind = behind.await;
            let told = behind.map_err(|_| Refusal("Failed to read the history", away()))?;
            let texts = told.told.iter().map(|told| told.text.as_str());
            page(&lately(texts), before.as_deref(), limit)
        };
        let (messages, cut) = newest(messages, HISTORY_BYTES);
        let more = more || cut;
        let history = ChatServerMessage::History { messages, more };
        if room.id == self.room.id {
            self.answer(&history);
        } else {
            let text = wire::chat::in_room(&room.id, &text(&history));
            // a client that does not read is let go by the next thing that it is told
            let _ = self.queue.try_send(Out::Text(text.into()));
        }
        Ok(())
    }
}

/// The messages among what was told lately, each as it is now.
pub(super) fn lately<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Posted> {
    let mut messages: Vec<Posted> = Vec::new();
    for text in texts {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            continue;
        };
        let is_message = value["type"] == "message" || value["type"] == "message_updated";
        let Ok(posted) = serde_json::from_value::<Posted>(value["data"].take()) else {
            continue;
        };
        match messages.iter_mut().find(|it| it.id == posted.id) {
            Some(known) if is_message => *known = posted,
            None if is_message => messages.push(posted),
            _ => {}
        }
    }
    messages
}

/// The last of them that have at most so many bytes together, at least one; and whether any were left out.
fn newest(mut messages: Vec<Posted>, most: usize) -> (Vec<Posted>, bool) {
    let mut left = most;
    let fits = |posted: &&Posted| {
        let taken = left.checked_sub(posted.content.len() + MESSAGE_BYTES);
        left = taken.unwrap_or_default();
        taken.is_some()
    };
    let fit = messages.iter().rev().take_while(fits).count().max(1);
    let cut = messages.len().saturating_sub(fit);
    (messages.split_off(cut), cut > 0)
}

/// The last `limit` of them before `before`, and whether there are older ones.
fn page(messages: &[Posted], before: Option<&str>, limit: u32) -> (Vec<Posted>, bool) {
    let at = before.and_then(|id| messages.iter().position(|it| it.id == id));
    let end = at.unwrap_or(messages.len());
    let first = end.saturating_sub(limit as usize);
    (messages[first..end].to_vec(), first > 0)
}

/// What is told of who answers.
pub(super) fn handed_over(to: &str, reason: Option<String>, now: String) -> ChatServerMessage {
    ChatServerMessage::Handover {
        data: HandedOver {
            to: to.to_owned(),
            reason,
            timestamp: now.clone(),
        },
        timestamp: now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_comes_in_parts() {
        let posted = |id: usize| Posted {
            id: id.to_string(),
            content: "x".repeat(700),
            role: "user".to_owned(),
            timestamp: String::new(),
            sender: wire::chat::Sender::default(),
            updated_at: None,
        };
        let all: Vec<Posted> = (0..5).map(posted).collect();
        let ids = |most: usize| {
            let (messages, cut) = newest(all.clone(), most);
            let ids: Vec<String> = messages.into_iter().map(|it| it.id).collect();
            (ids.concat(), cut)
        };
        assert_eq!(ids(5000), ("01234".to_owned(), false));
        assert_eq!(ids(2500), ("34".to_owned(), true));
        // one is always given, however long it is: otherwise nobody would come past it
        assert_eq!(ids(10), ("4".to_owned(), true));
        assert_eq!(newest(Vec::new(), 10), (Vec::new(), false));
    }
}
