//! The text survey's door: plain text in both directions, and the JSON of its few HTTP routes.
//! Written and read by `gateway::edge::survey`; described in `asyncapi`.
//! Never says what is asked: that is `engine::survey`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// `GET /info`: where the conversation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Info {
    /// Address of the WebSocket.
    pub websocket_url: String,
}

/// The answer to `POST /request-code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CodeAnswer {
    /// Whether a code is on its way.
    pub success: bool,
    /// What to do next, when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why not, when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl CodeAnswer {
    /// A code is on its way.
    pub fn sent(message: String) -> Self {
        Self {
            success: true,
            message: Some(message),
            error: None,
        }
    }

    /// There is none.
    pub fn refused(error: impl Into<String>) -> Self {
        Self {
            success: false,
            message: None,
            error: Some(error.into()),
        }
    }
}

/// Why the body of `POST /request-code` names nobody. The words are protocol (spec/chat-voice-survey A4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// The body is no JSON object.
    #[error("Invalid JSON body")]
    Json,
    /// It has no `email`, or an empty one.
    #[error("Missing email field")]
    Missing,
    /// `email` is no text.
    #[error("Invalid email format")]
    Email,
}

/// The address in the body of `POST /request-code`; whether it is one is not looked at here.
///
/// # Errors
/// [`BadRequest`].
pub fn requested(body: &[u8]) -> Result<String, BadRequest> {
    let body: Value = serde_json::from_slice(body).map_err(|_| BadRequest::Json)?;
    match body.get("email") {
        Some(Value::String(email)) if !email.is_empty() => Ok(email.clone()),
        // what counts as nothing in the language that the door's first clients were written for
        None | Some(Value::Null | Value::Bool(false) | Value::String(_)) => {
            Err(BadRequest::Missing)
        }
        Some(Value::Number(number)) if number.as_f64() == Some(0.0) => Err(BadRequest::Missing),
        Some(_) => Err(BadRequest::Email),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_refused_with_the_words_of_the_protocol() {
        let why = |body: &str| requested(body.as_bytes()).map_err(|it| it.to_string());
        assert_eq!(why(r#"{"email":"a@b.co"}"#), Ok("a@b.co".to_owned()));
        for body in ["", "{", "email=a@b.co", "\u{ff}"] {
            assert_eq!(why(body), Err("Invalid JSON body".to_owned()), "{body}");
        }
        for body in [
            "{}",
            "[]",
            "7",
            "null",
            r#"{"email":""}"#,
            r#"{"email":0}"#,
            r#"{"email":null}"#,
        ] {
            assert_eq!(why(body), Err("Missing email field".to_owned()), "{body}");
        }
        for body in [
            r#"{"email":7}"#,
            r#"{"email":["a@b.co"]}"#,
            r#"{"email":true}"#,
        ] {
            assert_eq!(why(body), Err("Invalid email format".to_owned()), "{body}");
        }
    }

    #[test]
    fn an_answer_has_either_a_message_or_an_error() {
        let text = |answer: &CodeAnswer| serde_json::to_string(answer).unwrap();
        assert_eq!(
            text(&CodeAnswer::sent("ok".to_owned())),
            r#"{"success":true,"message":"ok"}"#
        );
        assert_eq!(
            text(&CodeAnswer::refused("no")),
            r#"{"success":false,"error":"no"}"#
        );
    }
}
