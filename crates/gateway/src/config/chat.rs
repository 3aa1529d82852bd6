//! `[chat]`: the chat rooms.
//! Read by their edge; documented from these comments.
//! Never shows a secret.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Secret;
use super::check::{Problem, within};

/// Secrets of examples, which are none: everybody knows them.
const PLACEHOLDERS: [&str; 2] = ["your-jwt-secret-here", "your-internal-api-secret-here"];

/// Who may speak as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatRoles {
    /// Only who has signed in speaks for the support team.
    #[default]
    Checked,
    /// Anybody speaks as anything, as in the original.
    Free,
}

/// How somebody without a good token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatRefusal {
    /// By a close frame after the upgrade, as in the original.
    #[default]
    Close,
    /// By HTTP 401 before it.
    Http,
}

/// What happens when a token expires while its socket is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatExpiry {
    /// The socket is closed with 4002.
    #[default]
    Close,
    /// Nothing, as in the original.
    Stay,
}

/// Whether clients that ask for it are told who is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatPresence {
    /// They are.
    #[default]
    Told,
    /// They are not, and nobody notes it.
    Untold,
}

/// `[chat]`: rooms in which people and agents write to each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Chat {
    /// What tokens are signed with (HS256, HS384, HS512); also `JWT_SECRET`. Unset, and without `jwks_url`: a key of this
    /// installation, for the tokens of `POST /v1/rooms/{id}/tokens`.
    #[schema(value_type = Option<String>, format = "password")]
    pub jwt_secret: Option<Secret>,
    /// Where the public keys of those who sign tokens are (RS, ES and `EdDSA`).
    pub jwks_url: Option<String>,
    /// What `iss` of a token must be; anything when unset.
    pub issuer: Option<String>,
    /// What `aud` of a token must be; anything when unset.
    pub audience: Option<String>,
    /// The web application that keeps the messages, such as `http://localhost:3000`; also `NEXT_API_URL`. Unset: this server's
    /// own database.
    pub backend_url: Option<String>,
    /// What the application knows this server by; also `INTERNAL_API_SECRET`.
    #[schema(value_type = Option<String>, format = "password")]
    pub backend_secret: Option<Secret>,
    /// How long it has for an answer, in ms.
    pub backend_timeout_ms: u64,
    /// Whether messages are kept in this server's database where there is no application; their time is that of conversations.
    pub keep: bool,
    /// Whose rooms they are.
    pub tenant: String,
    /// The agent that answers in rooms until a person does; nobody when unset.
    pub agent: Option<String>,
    /// Who may speak as what: `checked`, or `free` as in the original.
    pub roles: ChatRoles,
    /// How somebody without a good token is refused: `close` (4001, 4002), or `http` (401).
    pub refusal: ChatRefusal,
    /// What happens when a token expires while its socket is open: `close` (4002), or `stay`.
    pub on_expiry: ChatExpiry,
    /// Whether clients that ask for it are told who is in a room: `told` or `untold`.
    pub presence: ChatPresence,
    /// Longest message, in characters.
    pub max_content_chars: usize,
    /// Messages of one socket within a minute, and ten times as many frames of any kind; 0 is no limit.
    pub messages_per_minute: u64,
    /// From so many sockets on `/health` says that another server should be added.
    pub soft_connections: usize,
    /// Sockets at the same time; a further one is refused with 503.
    pub hard_connections: usize,
    /// Messages waiting for a slow client; one more, and it is closed (1008).
    pub send_queue_messages: usize,
    /// How often a quiet socket is asked for a sign of life, in s; one that gives none until the next time is dropped.
    pub ping_s: u64,
    /// Somebody who types and does not say so again types no more after so long, in s.
    pub typing_s: u64,
    /// Messages of a room that are kept for clients that come back with `since`.
    pub replay_messages: usize,
    /// For how long after the last message, in s; with Redis only.
    pub replay_s: u64,
    /// What the channels begin with that servers of the original share.
    pub channel_prefix: String,
    /// Web origins (such as `https://shop.example`) whose pages may show the chat page in a frame.
    pub embed_origins: Vec<String>,
}

impl Default for Chat {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            jwks_url: None,
            issuer: None,
            audience: None,
            backend_url: None,
            backend_secret: None,
            backend_timeout_ms: 10_000,
            keep: true,
            tenant: "default".to_owned(),
            agent: None,
            roles: ChatRoles::default(),
            refusal: ChatRefusal::default(),
            on_expiry: ChatExpiry::default(),
            presence: ChatPresence::default(),
            max_content_chars: 16_000,
            messages_per_minute: 120,
            soft_connections: 4000,
            hard_connections: 5000,
            send_queue_messages: 256,
            ping_s: 30,
            typing_s: 10,
            replay_messages: 500,
            replay_s: 3600,
            channel_prefix: "chat:".to_owned(),
            embed_origins: Vec::new(),
        }
    }
}

pub(super) fn check(chat: &Chat) -> Result<(), Problem> {
    for (key, secret) in [
        ("chat.jwt_secret", &chat.jwt_secret),
        ("chat.backend_secret", &chat.backend_secret),
    ] {
        let text = secret.as_ref().map(Secret::reveal);
        if text.is_some_and(|text| text.is_empty() || PLACEHOLDERS.contains(&text)) {
            return refused(
                key,
                Secret::HIDDEN,
                "a secret of your own, not that of an example",
            );
        }
    }
    for (key, url) in [
        ("chat.backend_url", &chat.backend_url),
        ("chat.jwks_url", &chat.jwks_url),
    ] {
        let is_web = |url: &str| {
            url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        };
        if let Some(url) = url.as_deref().filter(|url| !is_web(url)) {
            return refused(
                key,
                url,
                "an http or https address such as http://localhost:3000",
            );
        }
    }
    if chat.backend_url.is_some() && chat.backend_secret.is_none() {
        let expected = "the secret that the application of chat.backend_url knows this server by";
        return refused("chat.backend_secret", "not set", expected);
    }
    let is_origin = |origin: &String| {
        let url = url::Url::parse(origin);
        url.is_ok_and(|url| url.origin().ascii_serialization() == *origin)
    };
    if let Some(origin) = chat.embed_origins.iter().find(|it| !is_origin(it)) {
        return refused(
            "chat.embed_origins",
            origin,
            "origins such as https://shop.example",
        );
    }
    if chat.tenant.is_empty() {
        return refused("chat.tenant", "", "the id of a tenant such as default");
    }
    if chat.channel_prefix.is_empty() {
        return refused("chat.channel_prefix", "", "text such as chat:");
    }
    check_ranges(chat)
}

fn check_ranges(chat: &Chat) -> Result<(), Problem> {
    within(
        "chat.backend_timeout_ms",
        chat.backend_timeout_ms,
        100..=300_000,
    )?;
    within(
        "chat.max_content_chars",
        chat.max_content_chars,
        1..=200_000,
    )?;
    within(
        "chat.messages_per_minute",
        chat.messages_per_minute,
        0..=1_000_000,
    )?;
    within(
        "chat.hard_connections",
        chat.hard_connections,
        1..=1_000_000,
    )?;
    within(
        "chat.soft_connections",
        chat.soft_connections,
        1..=chat.hard_connections,
    )?;
    within(
        "chat.send_queue_messages",
        chat.send_queue_messages,
        16..=1_000_000,
    )?;
    within("chat.ping_s", chat.ping_s, 1..=3600)?;
    within("chat.typing_s", chat.typing_s, 1..=600)?;
    within("chat.replay_messages", chat.replay_messages, 1..=10_000)?;
    within("chat.replay_s", chat.replay_s, 1..=2_592_000)
}

fn refused(key: &'static str, value: &str, expected: &'static str) -> Result<(), Problem> {
    Err(Problem {
        key: key.into(),
        value: value.to_owned(),
        expected: expected.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_key(change: impl FnOnce(&mut Chat)) -> Option<String> {
        let mut chat = Chat::default();
        change(&mut chat);
        let problem = check(&chat).err()?;
        assert!(!problem.value.contains("hunter2"), "{}", problem.value);
        Some(problem.key.into_owned())
    }

    #[test]
    fn secrets_of_examples_are_refused() {
        assert_eq!(refused_key(|_| {}), None);
        let key = refused_key(|chat| chat.jwt_secret = Some(Secret::new("your-jwt-secret-here")));
        assert_eq!(key.as_deref(), Some("chat.jwt_secret"));
        let key = refused_key(|chat| chat.jwt_secret = Some(Secret::new("")));
        assert_eq!(key.as_deref(), Some("chat.jwt_secret"));
    }

    #[test]
    fn a_backend_has_an_address_and_a_secret() {
        let key = refused_key(|chat| chat.backend_url = Some("http://localhost:3000".to_owned()));
        assert_eq!(key.as_deref(), Some("chat.backend_secret"));
        let key = refused_key(|chat| chat.backend_url = Some("localhost:3000".to_owned()));
        assert_eq!(key.as_deref(), Some("chat.backend_url"));
        let both = |chat: &mut Chat| {
            chat.backend_url = Some("http://localhost:3000".to_owned());
            chat.backend_secret = Some(Secret::new("hunter2"));
        };
        assert_eq!(refused_key(both), None);
        let key = refused_key(|chat| chat.soft_connections = 5001);
        assert_eq!(key.as_deref(), Some("chat.soft_connections"));
    }
}
