//! The web application behind the rooms, where there is one: it keeps messages and knows users (spec/chat-voice-survey B7).
//! Asked by [`super::desk`] for every message and for everybody who comes to help.
//! Never asks twice where that could say something twice, never waits for ever, and never shows a client what the application
//! wrote into an error.

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;
use wire::chat::{ChatRole, Posted, Sender};

use crate::config::Secret;

/// The header with the secret that the two share.
const SECRET: HeaderName = HeaderName::from_static("x-internal-secret");
/// The same message, sent again, has the same.
const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");
/// Most of an answer that is read, in bytes.
const ANSWER_BYTES: usize = 1024 * 1024;
/// Longest explanation of the application's that is passed on, in characters.
const EXPLANATION: usize = 200;
/// How often a connection is tried.
const ATTEMPTS: usize = 3;
/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(100);

/// Why the application did not do it, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unwilling(pub(super) String);

/// A message to keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter<'a> {
    /// The room.
    pub(super) chat: &'a str,
    /// As in the token.
    pub(super) user: &'a str,
    /// As what they speak.
    pub(super) role: ChatRole,
    /// What they say.
    pub(super) content: &'a str,
    /// Tells it from all others.
    pub(super) key: &'a str,
}

/// Somebody that the application knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    name: Option<String>,
    email: Option<String>,
}

impl User {
    /// What they are called: their name, else their address, else `Agent`.
    pub(super) fn called(&self) -> &str {
        let known = [&self.name, &self.email].into_iter().flatten();
        known
            .map(String::as_str)
            .find(|text| !text.is_empty())
            .unwrap_or("Agent")
    }
}

#[derive(Deserialize)]
struct Sent {
    message: Stored,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    id: String,
    content: String,
    role: String,
    created_at: String,
    #[serde(default)]
    sender: Option<Sender>,
}

/// The application.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    client: Client,
    base: Url,
    secret: HeaderValue,
}

impl Backend {
    /// The application at `base`, which takes `secret` for ours; `None` where either cannot be used.
    pub(super) fn new(base: &str, secret: &Secret, within: Duration) -> Option<Self> {
        let mut secret = HeaderValue::from_str(secret.reveal()).ok()?;
        secret.set_sensitive(true);
        let client = Client::builder().timeout(within);
        // an address of the application's that leads elsewhere would be told the secret
        let client = client.redirect(reqwest::redirect::Policy::none());
        Some(Self {
            client: client.build().ok()?,
            base: base.parse().ok()?,
            secret,
        })
    }

    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // each part is escaped: an id cannot leave its place
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Has the application keep a message.
    pub(super) async fn send(&self, letter: Letter<'_>) -> Result<Posted, Unwilling> {
        let url = self.at(&["api", "chats", letter.chat, "messages", "send"]);
        let body =
            json!({ "content": letter.content, "role": letter.role.name(), "userId": letter.user });
        let request = || {
            let request = self.client.post(url.clone()).json(&body);
            let request = request.header(SECRET, self.secret.clone());
            request.header(IDEMPOTENCY, letter.key)
        };
        let response = ask(request).await?;
        let sent: Sent = read(response).await?;
        let stored = sent.message;
        Ok(Posted {
            id: stored.id,
            content: stored.content,
            role: stored.role.to_lowercase(),
            timestamp: stored.created_at,
            sender: stored.sender.unwrap_or_default(),
            updated_at: None,
        })
    }

    /// Somebody by the id in their token; `None` where the application does not know or does not say.
    pub(super) async fn user(&self, id: &str) -> Result<Option<User>, Unwilling> {
        let url = self.at(&["api", "users", id]);
        let request = || {
            let request = self.client.get(url.clone());
            request.header(SECRET, self.secret.clone())
        };
        let response = ask(request).await?;
        if !response.status().is_success() {
            return Ok(None);
        }
        read(response).await.map(Some)
    }
}

/// Asks, and again where the request cannot have arrived.
async fn ask(request: impl Fn() -> reqwest::RequestBuilder) -> Result<Response, Unwilling> {
    let mut attempts = ATTEMPTS;
    loop {
        attempts -= 1;
        match request().send().await {
            Ok(response) => return Ok(response),
            Err(error) if error.is_connect() && attempts > 0 => tokio::time::sleep(AGAIN).await,
            Err(error) => return Err(Unwilling(reason(&error).to_owned())),
        }
    }
}

/// In words that give no address away.
fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "the chat backend did not answer in time; the message may have been kept"
    } else if error.is_connect() {
        "the chat backend cannot be reached; try again later"
    } else {
        "the connection to the chat backend broke; the message may have been kept"
    }
}

async fn read<T: serde::de::DeserializeOwned>(mut response: Response) -> Result<T, Unwilling> {
    let status = response.status();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES => {
                body.extend_from_slice(&chunk);
            }
            Ok(None) => break,
            Ok(Some(_)) => return Err(unreadable()),
            Err(error) => return Err(Unwilling(reason(&error).to_owned())),
        }
    }
    if !status.is_success() {
        return Err(Unwilling(explained(status, &body)));
    }
    serde_json::from_slice(&body).map_err(|_| unreadable())
}

fn unreadable() -> Unwilling {
    Unwilling("the chat backend's answer cannot be read; the message may have been kept".to_owned())
}

/// `API error: 404 - Chat not found`: what the application says of the request, and nothing of what it says of itself.
fn explained(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Explained {
        error: String,
    }
    let said = serde_json::from_slice::<Explained>(body).ok();
    let said = said.filter(|said| status.is_client_error() && said.error.len() <= EXPLANATION);
    let why = said.map_or_else(|| "the chat backend refused".to_owned(), |said| said.error);
    format!("API error: {} - {why}", status.as_u16())
}
