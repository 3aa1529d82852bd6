//! Who somebody in a chat room is: what their token says, and what that lets them do.
//! Made from the claims of a token by [`super::upgrade`]; asked before anything is said or followed.
//! Never believes anything that the token does not say.

use chrono::{DateTime, Utc};
use serde_json::Value;
use wire::chat::{ChatRole, Sender};

use crate::auth::jwt::Token;

/// Rooms that may be followed beside one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Others {
    None,
    These(Vec<String>),
    /// The inbox of a support team.
    All,
}

/// Somebody in a chat room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// `userId`.
    pub(super) user: String,
    /// `chatId`: the room that the socket is in.
    pub(super) chat: String,
    /// `isAuthenticated`: whether they have signed in; customers may not have.
    pub(super) is_authenticated: bool,
    /// `exp`.
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// `roles`: as what they may speak; without, what `isAuthenticated` says.
    roles: Option<Vec<ChatRole>>,
    others: Others,
    /// `name`, `email` and `picture`, for rooms without a backend that knows them.
    pub(super) sender: Sender,
}

/// A token without what every token must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Incomplete;

impl Identity {
    /// Reads what a token says. `chatId` may be missing where the token opens several rooms.
    pub(super) fn of(token: &Token) -> Result<Self, Incomplete> {
        let claims = &token.claims;
        let text = |name: &str| {
            claims
                .get(name)
                .and_then(Value::as_str)
                .filter(|it| !it.is_empty())
        };
        let user = text("userId").ok_or(Incomplete)?;
        let chat = text("chatId")
            .filter(|it| is_usable(it))
            .ok_or(Incomplete)?;
        let others = match claims.get("chats") {
            Some(Value::String(all)) if all == "*" => Others::All,
            Some(Value::Array(chats)) => Others::These(texts(chats)),
            _ => Others::None,
        };
        let roles = claims.get("roles").and_then(Value::as_array);
        let owned = |name: &str| text(name).map(str::to_owned);
        Ok(Self {
            user: user.to_owned(),
            chat: chat.to_owned(),
            is_authenticated: claims.get("isAuthenticated") == Some(&Value::Bool(true)),
            expires_at: token.expires_at,
            roles: roles.map(|roles| {
                let named = texts(roles);
                named.iter().filter_map(|role| ChatRole::of(role)).collect()
            }),
            others,
            sender: Sender {
                id: user.to_owned(),
                name: owned("name"),
                email: owned("email"),
                avatar: owned("picture"),
            },
        })
    }

    /// Whether they may speak as `role`. What the original lets anybody do only those may who have signed in: otherwise every
    /// customer could speak for the support team.
    pub(super) fn may_speak_as(&self, role: ChatRole) -> bool {
        match &self.roles {
            Some(roles) => roles.contains(&role),
            None => match role {
                ChatRole::User => true,
                ChatRole::Assistant | ChatRole::Agent => self.is_authenticated,
                ChatRole::System => false,
            },
        }
    }

    /// Whether they are of the support team, as far as is known.
    pub(super) fn is_staff(&self) -> bool {
        self.may_speak_as(ChatRole::Assistant)
    }

    /// Whether they may hear this room.
    pub(super) fn may_hear(&self, chat: &str) -> bool {
        self.chat == chat
            || match &self.others {
                Others::None => false,
                Others::These(chats) => chats.iter().any(|it| it == chat),
                Others::All => is_usable(chat),
            }
    }

    /// As who they are told to others.
    pub(super) fn as_sender(&self) -> Sender {
        let mut sender = self.sender.clone();
        let unnamed = || "Anonymous User".to_owned();
        if self.user.starts_with("anon_") {
            sender.name.get_or_insert_with(unnamed);
        }
        sender
    }
}

/// Whether something can be the id of a room: it becomes part of keys, channels and addresses.
pub(crate) fn is_usable(chat: &str) -> bool {
    !chat.is_empty() && chat.len() <= 128 && !chat.chars().any(char::is_control)
}

fn texts(values: &[Value]) -> Vec<String> {
    let texts = values.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(claims: &Value) -> Result<Identity, Incomplete> {
        Identity::of(&Token {
            claims: claims.as_object().unwrap().clone(),
            expires_at: None,
        })
    }

    #[test]
    fn a_token_names_a_user_and_a_room() {
        for incomplete in [
            json!({}),
            json!({"userId": "u"}),
            json!({"userId": "", "chatId": "c"}),
            json!({"userId": "u", "chatId": null}),
            json!({"userId": 7, "chatId": "c"}),
            json!({"userId": "u", "chatId": "a\nb"}),
            json!({"userId": "u", "chatId": "c".repeat(200)}),
        ] {
            assert_eq!(of(&incomplete), Err(Incomplete), "{incomplete}");
        }
        let whole = of(&json!({"userId": "u", "chatId": "c"})).unwrap();
        assert_eq!((&*whole.user, &*whole.chat), ("u", "c"));
        assert!(!whole.is_authenticated && whole.may_hear("c") && !whole.may_hear("d"));
    }

    #[test]
    fn customers_do_not_speak_for_the_team() {
        let customer =
            of(&json!({"userId": "u", "chatId": "c", "isAuthenticated": false})).unwrap();
        assert!(customer.may_speak_as(ChatRole::User) && !customer.is_staff());
        assert!(!customer.may_speak_as(ChatRole::Agent));
        // only the truth value counts
        let claims = json!({"userId": "u", "chatId": "c", "isAuthenticated": "true"});
        assert!(!of(&claims).unwrap().is_staff());
        let staff = of(&json!({"userId": "u", "chatId": "c", "isAuthenticated": true})).unwrap();
        assert!(staff.is_staff() && !staff.may_speak_as(ChatRole::System));
        let claims =
            json!({"userId": "u", "chatId": "c", "isAuthenticated": true, "roles": ["USER"]});
        assert!(!of(&claims).unwrap().is_staff());
    }

    #[test]
    fn an_inbox_hears_the_rooms_that_it_is_given() {
        let some = of(&json!({"userId": "u", "chatId": "c", "chats": ["d"]})).unwrap();
        assert!(some.may_hear("c") && some.may_hear("d") && !some.may_hear("e"));
        let all = of(&json!({"userId": "u", "chatId": "c", "chats": "*"})).unwrap();
        assert!(all.may_hear("e") && !all.may_hear(""));
    }
}
