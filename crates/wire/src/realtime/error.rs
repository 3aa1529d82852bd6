//! The error object of the Realtime API and its codes.
//! Made by the decoder and by the engine, sent by the edge inside an `error` event.
//! Never carries internal detail: a message here is for the client's developer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The client sent something it should not have.
    InvalidRequestError,
    /// We, or a provider behind us, failed.
    ServerError,
}

/// The `error` object: `type`, `message`, and `code`, `param`, `event_id`, null when unknown
/// (spec/realtime §1.10: the keys are always present).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// Whose fault it was.
    #[serde(rename = "type")]
    pub kind: ErrorKind,
    /// One sentence; some clients match on its text.
    pub message: String,
    /// Machine-readable code such as `invalid_value`.
    pub code: Option<String>,
    /// Path of the offending parameter, for example `session.audio.input.format`.
    pub param: Option<String>,
    /// `event_id` of the client event that failed, when it had one.
    pub event_id: Option<String>,
}

impl ErrorBody {
    /// An error of the client's making.
    pub fn invalid(code: &str, message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::InvalidRequestError,
            message: message.into(),
            code: Some(code.to_owned()),
            param: None,
            event_id: None,
        }
    }

    /// An error of ours or of a provider's.
    pub fn server(code: &str, message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::ServerError,
            ..Self::invalid(code, message)
        }
    }

    /// The same error without a code (some hosted errors have none).
    #[must_use]
    pub fn without_code(mut self) -> Self {
        self.code = None;
        self
    }

    /// The same error naming the offending parameter.
    #[must_use]
    pub fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same error answering the client event `event_id`.
    #[must_use]
    pub fn answering(mut self, event_id: Option<String>) -> Self {
        self.event_id = event_id;
        self
    }
}
