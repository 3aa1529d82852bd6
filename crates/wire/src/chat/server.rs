//! What a client of a chat room is told.
//! Written once for each message by the chat edge and shared by all sockets of a room.
//! Never in another order of members than the original's, whose clients may compare texts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who has said something.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = ChatSender)]
pub struct Sender {
    /// As the backend knows them; of anonymous ones not the id in the token.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// Where known.
    pub email: Option<String>,
    /// Address of a picture, where known.
    pub avatar: Option<String>,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatPosted)]
pub struct Posted {
    /// Of the message; what came last is the `since` of a client that comes back.
    pub id: String,
    /// As it is kept: without spaces around it.
    pub content: String,
    /// `user`, `assistant`, `agent` or `system`.
    pub role: String,
    /// When it was said, ISO 8601.
    pub timestamp: String,
    /// Who has said it.
    pub sender: Sender,
    /// When its words were changed, in `message_updated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

/// Somebody types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatTyped)]
pub struct Typed {
    /// As in the token.
    pub user_id: String,
    /// Whether they still do.
    pub is_typing: bool,
}

/// Somebody has come to help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatJoined)]
pub struct Joined {
    /// As the backend knows them.
    pub agent_id: String,
    /// Name, else e-mail, else `Agent`.
    pub agent_name: String,
    /// When, ISO 8601.
    pub timestamp: String,
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ChatDelivery)]
pub enum Delivery {
    /// To everybody in the room, on all servers.
    All,
    /// To those on this server; the others get it once the servers reach each other again.
    Local,
}

/// A message has been kept and told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatAcked)]
pub struct Acked {
    /// The sender's own id of it.
    pub client_id: String,
    /// The id that everybody knows it by.
    pub id: String,
    /// How far it has come.
    pub delivery: Delivery,
}

/// Somebody has come or gone, or who is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatPresent)]
pub struct Present {
    /// Ids of those who are here, as in their tokens.
    pub users: Vec<String>,
}

/// How far somebody has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatReadUpTo)]
pub struct ReadUpTo {
    /// As in the token.
    pub user_id: String,
    /// The last message that they have read.
    pub id: String,
    /// When, ISO 8601.
    pub timestamp: String,
}

/// Words of a message that is still being written by a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatDelta)]
pub struct Delta {
    /// Of the message that will come; if it does not, it is empty and `done`.
    pub id: String,
    /// Words to append.
    pub delta: String,
    /// Whether nothing more will come but the message itself.
    pub done: bool,
}

/// Who answers from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatHandedOver)]
pub struct HandedOver {
    /// `human` or `agent`.
    pub to: String,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// When, ISO 8601.
    pub timestamp: String,
}

/// A message to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatServerMessage {
    /// Always first, and not before the room's messages reach this client.
    #[serde(rename_all = "camelCase")]
    Connected {
        /// The room.
        chat_id: String,
        /// When, ISO 8601.
        timestamp: String,
    },
    /// Somebody has said something; to everybody in the room, the sender too.
    Message {
        /// What.
        data: Posted,
        /// When it was told, ISO 8601.
        timestamp: String,
    },
    /// Other words for what was said.
    MessageUpdated {
        /// The message as it is now.
        data: Posted,
        /// When it was told, ISO 8601.
        timestamp: String,
    },
    /// Somebody types; never to themselves.
    Typing {
        /// Who.
        data: Typed,
        /// When it was told, ISO 8601.
        timestamp: String,
    },
    /// Somebody has come to help.
    AgentJoined {
        /// Who.
        data: Joined,
        /// When it was told, ISO 8601.
        timestamp: String,
    },
    /// Yes.
    Pong,
    /// Something could not be done; the connection stays.
    #[serde(rename_all = "camelCase")]
    Error {
        /// What, in the original's words where it has any.
        error: String,
        /// What to do about it, where there is more to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// The sender's own id of the message that was not said, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
    },
    /// To the sender of a message with a `clientId`.
    Ack {
        /// Which, and how far it has come.
        data: Acked,
        /// When, ISO 8601.
        timestamp: String,
    },
    /// Older messages, oldest first; to who has asked.
    History {
        /// The messages.
        messages: Vec<Posted>,
        /// Whether there are older ones.
        more: bool,
    },
    /// What came while a client was away has been sent again; behind `connected` for clients with `since`.
    Replayed {
        /// How many messages.
        count: usize,
        /// Whether that is all there was; otherwise `history` has more.
        complete: bool,
    },
    /// Who is here; for those who ask for it.
    Presence {
        /// Everybody.
        data: Present,
        /// When, ISO 8601.
        timestamp: String,
    },
    /// How far somebody has read; for those who ask for it.
    Read {
        /// Who, and how far.
        data: ReadUpTo,
        /// When, ISO 8601.
        timestamp: String,
    },
    /// A machine's words as they come; for those who ask for it.
    MessageDelta {
        /// The words.
        data: Delta,
        /// When, ISO 8601.
        timestamp: String,
    },
    /// Who answers from here on; for those who ask for it.
    Handover {
        /// Who.
        data: HandedOver,
        /// When, ISO 8601.
        timestamp: String,
    },
    /// The room that a client asked to follow is followed, or not any more.
    #[serde(rename_all = "camelCase")]
    Following {
        /// The room.
        chat_id: String,
        /// Which.
        following: bool,
        /// When, ISO 8601.
        timestamp: String,
    },
    /// Something that happened in a room that is followed.
    #[serde(rename_all = "camelCase")]
    Room {
        /// The room.
        chat_id: String,
        /// What a client of that room is told.
        #[schema(value_type = Object)]
        event: serde_json::Value,
    },
}

/// Its JSON.
pub fn text(message: &ChatServerMessage) -> String {
    // texts, numbers and truth values: there is nothing that cannot be written
    serde_json::to_string(message).unwrap_or_default()
}

/// The JSON of [`ChatServerMessage::Room`] around a message that is JSON already.
pub fn in_room(chat_id: &str, event: &str) -> String {
    let chat_id = serde_json::to_string(chat_id).unwrap_or_default();
    format!(r#"{{"type":"room","chatId":{chat_id},"event":{event}}}"#)
}
