//! The error body of every REST route: `{"error":{message,type,param,code}}` (spec/realtime §3).
//! Made at the HTTP boundary, from the table that also gives the status.
//! Never carries internal detail: the text is for the client's developer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::realtime::{ErrorBody, ErrorKind};

/// What kind of trouble it is, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApiErrorKind {
    /// The request is wrong: 400, 404, 405, 413, 415, 422.
    InvalidRequestError,
    /// No usable key: 401.
    AuthenticationError,
    /// The key may not do this: 403.
    PermissionError,
    /// Too many requests or sessions: 429.
    RateLimitError,
    /// Our fault or a provider's: 5xx.
    ServerError,
}

/// The `error` object of a REST answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// One sentence that tells the next step.
    pub message: String,
    /// What kind of trouble it is.
    #[serde(rename = "type")]
    pub kind: ApiErrorKind,
    /// The offending parameter, null when there is none.
    pub param: Option<String>,
    /// Machine-readable code such as `model_not_found`, null when there is none.
    pub code: Option<String>,
}

/// The body of every REST answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorEnvelope {
    /// What went wrong.
    pub error: ApiError,
}

impl ErrorEnvelope {
    /// An error without `param`.
    pub fn new(kind: ApiErrorKind, code: &str, message: impl Into<String>) -> Self {
        Self {
            error: ApiError {
                message: message.into(),
                kind,
                param: None,
                code: Some(code.to_owned()),
            },
        }
    }

    /// The same error naming the offending parameter.
    #[must_use]
    pub fn at(mut self, param: impl Into<String>) -> Self {
        self.error.param = Some(param.into());
        self
    }
}

impl From<ErrorBody> for ErrorEnvelope {
    fn from(error: ErrorBody) -> Self {
        Self {
            error: ApiError {
                message: error.message,
                kind: match error.kind {
                    ErrorKind::InvalidRequestError => ApiErrorKind::InvalidRequestError,
                    ErrorKind::ServerError => ApiErrorKind::ServerError,
                },
                param: error.param,
                code: error.code,
            },
        }
    }
}
