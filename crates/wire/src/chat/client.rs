//! What a client of a chat room sends.
//! Read by the chat edge from every frame, text or binary.
//! Never stricter than the original with what its clients send: see each error for what it said.

use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChatSay)]
pub struct Say {
    /// The words; not empty.
    pub content: String,
    /// `USER`, `ASSISTANT` or `AGENT`; not empty, and whoever keeps the message says whether it is one.
    pub role: String,
    /// The sender's own id: it is told `ack` with it, and the same id is not said twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// A message of a client. Beyond `message`, `typing`, `agent_joined` and `ping` they are ours.
///
/// Each may name the room it is meant for in `chatId`, for sockets that follow several.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatClientMessage {
    /// Says something to the room.
    Message(Say),
    /// Is typing, or is not any more.
    #[serde(rename_all = "camelCase")]
    Typing {
        /// Which.
        is_typing: bool,
    },
    /// A person has come to help; who it is says the token.
    AgentJoined,
    /// Is anybody there?
    Ping,
    /// Has read everything up to a message.
    Read {
        /// The message.
        id: String,
    },
    /// Other words for a message of one's own.
    #[serde(rename_all = "camelCase")]
    Edit {
        /// The message.
        id: String,
        /// The new words; not empty.
        content: String,
        /// The sender's own id, for `ack`.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
    },
    /// Wants older messages.
    History {
        /// The message before which they are; the newest without.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        /// How many at most.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    /// Hears another room as well.
    Follow {
        /// A token for that room, where one's own does not open it.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// The last message that was seen there.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<String>,
    },
    /// Does not hear it any more.
    Unfollow,
    /// A person is to answer from here on, not the machine.
    HandOver {
        /// Why, for that person.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The machine may answer again.
    Release,
}

/// Why a frame is no message; [`Self::error`] is what the original answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No JSON, or `null`.
    #[error("the frame is not a JSON object")]
    NotJson,
    /// A `type` that nobody knows, or none.
    #[error("the type is none of the known ones")]
    UnknownType,
    /// A message without words or role.
    #[error("content and role must be texts that are not empty")]
    Incomplete,
    /// `typing` without a truth value: the original says nothing.
    #[error("isTyping must be true or false")]
    Unsaid,
    /// One of ours without what it needs.
    #[error("{0}")]
    Missing(&'static str),
}

impl Refused {
    /// The text in `error`; `None` where nothing is answered.
    pub const fn error(self) -> Option<&'static str> {
        match self {
            Self::NotJson => Some("Failed to process message"),
            Self::UnknownType => Some("Unknown message type"),
            Self::Incomplete => Some("Missing content or role"),
            Self::Missing(what) => Some(what),
            Self::Unsaid => None,
        }
    }
}

/// Longest id in a message, in bytes; what is longer is none.
const ID_BYTES: usize = 256;

/// Reads a frame: the message, and the room that it names.
///
/// # Errors
/// [`Refused`].
pub fn decode(frame: &[u8]) -> Result<(ChatClientMessage, Option<String>), Refused> {
    let value: Value = serde_json::from_slice(frame).map_err(|_| Refused::NotJson)?;
    let mut object = match value {
        Value::Object(object) => object,
        Value::Null => return Err(Refused::NotJson),
        _ => return Err(Refused::UnknownType),
    };
    let kind = object.remove("type");
    let message = match kind.as_ref().and_then(Value::as_str) {
        Some("message") => ChatClientMessage::Message(Say {
            content: words(&mut object, "content").ok_or(Refused::Incomplete)?,
            role: words(&mut object, "role").ok_or(Refused::Incomplete)?,
            client_id: id(&mut object, "clientId"),
        }),
        Some("typing") => match object.get("isTyping") {
            Some(&Value::Bool(is_typing)) => ChatClientMessage::Typing { is_typing },
            _ => return Err(Refused::Unsaid),
        },
        Some("agent_joined") => ChatClientMessage::AgentJoined,
        Some("ping") => ChatClientMessage::Ping,
        Some(kind) => ours(kind, &mut object)?,
        None => return Err(Refused::UnknownType),
    };
    Ok((message, id(&mut object, "chatId")))
}

fn ours(kind: &str, object: &mut Map<String, Value>) -> Result<ChatClientMessage, Refused> {
    Ok(match kind {
        "read" => ChatClientMessage::Read {
            id: id(object, "id").ok_or(Refused::Missing("Missing id"))?,
        },
        "edit" => ChatClientMessage::Edit {
            id: id(object, "id").ok_or(Refused::Missing("Missing id"))?,
            content: words(object, "content").ok_or(Refused::Missing("Missing content"))?,
            client_id: id(object, "clientId"),
        },
        "history" => ChatClientMessage::History {
            before: id(object, "before"),
            limit: object
                .get("limit")
                .and_then(Value::as_u64)
                .map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
        },
        "follow" => ChatClientMessage::Follow {
            token: words(object, "token"),
            since: id(object, "since"),
        },
        "unfollow" => ChatClientMessage::Unfollow,
        "hand_over" => ChatClientMessage::HandOver {
            reason: words(object, "reason"),
        },
        "release" => ChatClientMessage::Release,
        _ => return Err(Refused::UnknownType),
    })
}

/// A text that is not empty.
fn words(object: &mut Map<String, Value>, key: &str) -> Option<String> {
    match object.remove(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// The same, of the length of an id.
fn id(object: &mut Map<String, Value>, key: &str) -> Option<String> {
    words(object, key).filter(|id| id.len() <= ID_BYTES)
}
