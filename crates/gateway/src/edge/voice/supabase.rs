//! A Supabase project: whose token it is, which tier the user has, and rows that are written there as well.
//! Asked by `identity` and by the job that mirrors rows.
//! Never follows a redirect, never logs a token or a row, and never takes an outage for a user who is gone.
//!
//! Paths and headers: Supabase Auth (`GET /auth/v1/user`) and `PostgREST` (`/rest/v1/TABLE`, `Prefer`, `on_conflict`).

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::config::{Secret, Voice};

/// Longest that one question may take; the app waits 5 s for its session.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SupabaseError {
    /// It does not answer, or says that it cannot.
    #[error("the supabase project cannot be asked: {0}")]
    Unreachable(String),
    /// It refuses, and would refuse again.
    #[error("the supabase project refuses with status {0}")]
    Refused(u16),
}

impl From<reqwest::Error> for SupabaseError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url().to_string())
    }
}

/// Whose token it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This user's.
    User(String),
    /// Of one who is gone.
    Gone,
    /// Nobody's: it is wrong, or over.
    Nobody,
}

/// The project.
#[derive(Debug)]
pub(crate) struct Supabase {
    client: Client,
    url: String,
    anon: Option<Secret>,
    service: Option<Secret>,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error_code: Option<String>,
    msg: Option<String>,
}

impl Supabase {
    /// The project that `config` names, if it does.
    pub(super) fn open(config: &Voice) -> Result<Option<Self>, reqwest::Error> {
        let Some(url) = &config.supabase_url else {
            return Ok(None);
        };
        Ok(Some(Self {
            client: providers::http::client()?,
            url: url.trim_end_matches('/').to_owned(),
            anon: config.supabase_anon_key.clone(),
            service: config.supabase_service_role_key.clone(),
        }))
    }

    /// Whether anything can be asked: it has a key.
    pub(super) const fn is_usable(&self) -> bool {
        self.anon.is_some() || self.service.is_some()
    }

    /// Whose `token` is.
    ///
    /// # Errors
    /// [`SupabaseError`].
    pub(super) async fn owner(&self, token: &str) -> Result<Owner, SupabaseError> {
        let key = self.anon.as_ref().or(self.service.as_ref());
        let key = key.map(Secret::reveal).unwrap_or_default();
        let question = self
            .client
            .get(format!("{}/auth/v1/user", self.url))
            .header("apikey", key)
            .bearer_auth(token);
        let answer = send(question).await?;
        let status = answer.status();
        let body = body(answer).await?;
        if status.is_success() {
            let user: Result<User, _> = serde_json::from_slice(&body);
            return user
                .map(|user| Owner::User(user.id))
                .map_err(|error| SupabaseError::Unreachable(error.to_string()));
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
                let gone = refusal.error_code.as_deref() == Some("user_not_found")
                    || refusal
                        .msg
                        .is_some_and(|text| text.contains("does not exist"));
                Ok(if gone { Owner::Gone } else { Owner::Nobody })
            }
            _ => Err(SupabaseError::Unreachable(format!("status {status}"))),
        }
    }

    /// The subscription tier of a user; `None` where there is no profile.
    ///
    /// # Errors
    /// [`SupabaseError`].
    pub(super) async fn tier(&self, user: &str) -> Result<Option<String>, SupabaseError> {
        let mut url = format!(
            "{}/rest/v1/profiles?select=subscription_tier&id=eq.",
            self.url
        );
        url.extend(url::form_urlencoded::byte_serialize(user.as_bytes()));
        // row-level security shows a profile to its owner and to servers, and this asks as a server
        let answer = send(self.as_server(self.client.get(url))).await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(SupabaseError::Refused(status.as_u16()));
        }
        let rows: Vec<Value> = serde_json::from_slice(&body(answer).await?)
            .map_err(|error| SupabaseError::Unreachable(error.to_string()))?;
        let tier = rows
            .first()
            .and_then(|row| row["subscription_tier"].as_str());
        Ok(tier.map(str::to_owned))
    }

    /// Whose a conversation is; `None` where the project has none of this name.
    ///
    /// # Errors
    /// [`SupabaseError`].
    pub(super) async fn conversation_of(
        &self,
        conversation: &str,
    ) -> Result<Option<String>, SupabaseError> {
        let mut url = format!("{}/rest/v1/conversations?select=user_id&id=eq.", self.url);
        url.extend(url::form_urlencoded::byte_serialize(
            conversation.as_bytes(),
        ));
        let answer = send(self.as_server(self.client.get(url))).await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(SupabaseError::Refused(status.as_u16()));
        }
        let rows: Vec<Value> = serde_json::from_slice(&body(answer).await?)
            .map_err(|error| SupabaseError::Unreachable(error.to_string()))?;
        // a row without a user is nobody's, and so not this one's
        let owner = |row: &Value| row["user_id"].as_str().unwrap_or_default().to_owned();
        Ok(rows.first().map(owner))
    }

    /// Writes a row of `table`; the row that is there with the same `key` column is written over.
    ///
    /// # Errors
    /// [`SupabaseError`].
    pub(crate) async fn write(
        &self,
        table: &str,
        key: &str,
        row: &Value,
    ) -> Result<(), SupabaseError> {
        let url = format!("{}/rest/v1/{table}?on_conflict={key}", self.url);
        let question = self
            .as_server(self.client.post(url))
            .header("Prefer", "resolution=merge-duplicates,return=minimal")
            .json(row);
        let status = send(question).await?.status();
        if status.is_success() {
            return Ok(());
        }
        // what is refused now would be refused again, unless it was asked too often
        if status.is_client_error()
            && !matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            )
        {
            return Err(SupabaseError::Refused(status.as_u16()));
        }
        Err(SupabaseError::Unreachable(format!("status {status}")))
    }

    fn as_server(&self, question: RequestBuilder) -> RequestBuilder {
        let key = self.service.as_ref().or(self.anon.as_ref());
        let key = key.map(Secret::reveal).unwrap_or_default();
        question.header("apikey", key).bearer_auth(key)
    }
}

async fn send(question: RequestBuilder) -> Result<Response, SupabaseError> {
    Ok(question.timeout(ANSWER_WITHIN).send().await?)
}

async fn body(mut answer: Response) -> Result<Vec<u8>, SupabaseError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(SupabaseError::Unreachable(
                "the answer is too long".to_owned(),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
