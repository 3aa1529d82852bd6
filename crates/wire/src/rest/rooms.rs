//! `/v1/rooms/{id}/…`: tokens for chat rooms, and what was said in them.
//! Read and answered by the gateway.
//! Never carries a token in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::chat::{ChatRole, Posted};

/// How long a token lasts when the request does not say, in s.
pub const TOKEN_LIFETIME_S: u32 = 7_200;
/// Longest lifetime of a token, in s.
pub const TOKEN_LIFETIME_MOST_S: u32 = 86_400;

/// Whom a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RoomTokenRequest {
    /// The user's id; a new anonymous one without.
    pub user_id: Option<String>,
    /// Whether the user has signed in with the application: who has may speak for the support team.
    pub is_authenticated: bool,
    /// As what the user may speak, where that differs: `USER`, `ASSISTANT`, `AGENT`.
    pub roles: Option<Vec<ChatRole>>,
    /// What the user is called.
    pub name: Option<String>,
    /// The user's e-mail address.
    pub email: Option<String>,
    /// Other rooms that the user may follow over the same socket.
    pub chats: Vec<String>,
    /// How long the token lasts, in s: 60 to 86,400; 7,200 without.
    pub expires_in_s: Option<u32>,
}

/// A token for a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomToken {
    /// The token.
    pub token: String,
    /// Where to open the socket; `?token=` and the token are added to it.
    pub ws_url: String,
    /// The user's id.
    pub user_id: String,
    /// The room.
    pub chat_id: String,
    /// When the token expires, Unix time in s.
    pub expires_at: i64,
}

/// What was said in a room, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomMessages {
    /// The messages.
    pub messages: Vec<Posted>,
    /// Whether there are older ones; `before` the first of these finds them.
    pub more: bool,
}
