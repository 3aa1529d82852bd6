//! Why a connection ends before its session begins, or in the middle of it: what is said, and the close code.
//! Made by `identity`, `lobby` and `write`.
//! Never tells a stranger more than that it may not come in.

use axum::http::StatusCode;
use wire::voice::{ServerMessage, close, code};

use crate::http::ApiError;

/// An error message, and the close frame behind it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) message: ServerMessage,
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

/// Close code of something of ours that is not there (RFC 6455 §7.4.1: try again later, as registered by IANA).
const TRY_LATER: u16 = 1013;

impl Refusal {
    fn new(of: &str, message: impl Into<String>, closing: (u16, &'static str)) -> Self {
        Self {
            message: ServerMessage::error(of, message),
            code: closing.0,
            reason: closing.1,
        }
    }

    /// Calls are announced and not open yet.
    pub(super) fn coming_soon() -> Self {
        let sentence = "Voice calls are coming soon!";
        Self {
            message: ServerMessage::Error {
                message: sentence.to_owned(),
                // the app reads this one
                error: Some(sentence.to_owned()),
                code: None,
                clear_session: None,
                coming_soon: Some(true),
                feature: Some("voice_calls"),
                cost: None,
            },
            code: close::FORBIDDEN,
            reason: "Feature coming soon",
        }
    }

    pub(super) fn no_token() -> Self {
        let closing = (close::UNAUTHENTICATED, "Authentication required");
        Self::new(code::AUTH_REQUIRED, "Authentication required", closing)
    }

    /// The token is wrong, or over.
    pub(super) fn invalid() -> Self {
        let closing = (close::UNAUTHENTICATED, "Authentication failed");
        let sentence = "Invalid or expired authentication token";
        Self::new(code::AUTH_INVALID, sentence, closing)
    }

    /// Who is there cannot be made out at present.
    pub(super) fn unknowable() -> Self {
        let closing = (close::UNAUTHENTICATED, "Authentication error");
        Self::new(code::AUTH_ERROR, "Authentication failed", closing)
    }

    /// The token was right, and its user is gone.
    pub(super) fn user_not_found() -> Self {
        let mut refusal = Self::new(
            code::USER_NOT_FOUND,
            "Session invalid - user no longer exists",
            (close::UNAUTHENTICATED, "User not found"),
        );
        if let ServerMessage::Error { clear_session, .. } = &mut refusal.message {
            *clear_session = Some(true);
        }
        refusal
    }

    /// As a request over REST would be refused.
    pub(super) fn of_api(error: &ApiError) -> Self {
        match error.status {
            StatusCode::UNAUTHORIZED => Self::invalid(),
            StatusCode::TOO_MANY_REQUESTS => Self::limited(&error.message),
            StatusCode::FORBIDDEN => {
                let closing = (close::FORBIDDEN, "Forbidden");
                Self::new(code::AUTH_INVALID, error.message.as_str(), closing)
            }
            _ => Self::unknowable(),
        }
    }

    /// The user has so many sessions already.
    pub(super) fn too_many(places: u64) -> Self {
        let sentence = format!("Rate limit exceeded: Maximum {places} concurrent sessions allowed");
        let closing = (close::RATE_LIMIT, "Rate limit exceeded");
        Self::new(code::RATE_LIMIT_EXCEEDED, sentence, closing)
    }

    /// A limit of whoever runs this server, in its own words.
    pub(super) fn limited(sentence: &str) -> Self {
        let closing = (close::RATE_LIMIT, "Rate limit exceeded");
        let sentence = format!("Rate limit exceeded: {sentence}");
        Self::new(code::RATE_LIMIT_EXCEEDED, sentence, closing)
    }

    /// The user's tier has no voice calls; `tiers` have.
    pub(super) fn tier(tiers: &[String]) -> Self {
        let names: Vec<String> = tiers.iter().map(|tier| titled(tier)).collect();
        let sentence = format!(
            "Voice calls are only available for {} tier. Upgrade to continue.",
            names.join(" or ")
        );
        Self::new(
            code::TIER_REQUIRED,
            sentence,
            (close::FORBIDDEN, "Tier required"),
        )
    }

    /// Nothing is left of the budget.
    pub(super) fn budget(sentence: impl Into<String>, dollars: f64) -> Self {
        let closing = (close::BUDGET, "Budget exceeded");
        let mut refusal = Self::new(code::BUDGET_EXCEEDED, sentence, closing);
        if let ServerMessage::Error { cost, .. } = &mut refusal.message {
            *cost = Some(dollars);
        }
        refusal
    }

    /// The session has lasted as long as it may.
    pub(super) fn duration(max_s: u64) -> Self {
        let length = if max_s.is_multiple_of(60) {
            format!("{} minutes", max_s / 60)
        } else {
            format!("{max_s} seconds")
        };
        let sentence = format!("Session duration limit exceeded: {length}");
        let closing = (close::DURATION, "Duration exceeded");
        Self::new(code::DURATION_EXCEEDED, sentence, closing)
    }

    /// The conversation is another user's, which is none of this one's business.
    pub(super) fn no_such_conversation() -> Self {
        let closing = (close::FORBIDDEN, "Conversation not found");
        Self::new(code::INVALID_SESSION, "Conversation not found", closing)
    }

    /// What was asked for is not there.
    pub(super) fn unusable(sentence: impl Into<String>) -> Self {
        let closing = (close::FORBIDDEN, "Invalid session");
        Self::new(code::INVALID_SESSION, sentence, closing)
    }

    /// Something of ours is not there at present.
    pub(super) fn unavailable(sentence: impl Into<String>) -> Self {
        let closing = (TRY_LATER, "Service unavailable");
        Self::new(code::SERVICE_UNAVAILABLE, sentence, closing)
    }
}

fn titled(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_and_close_codes_are_the_original_s() {
        for (refusal, code, sentence, closing, reason) in [
            (
                Refusal::no_token(),
                Some("AUTH_REQUIRED"),
                "Authentication required",
                4001,
                "Authentication required",
            ),
            (
                Refusal::unknowable(),
                Some("AUTH_ERROR"),
                "Authentication failed",
                4001,
                "Authentication error",
            ),
            (
                Refusal::invalid(),
                Some("AUTH_INVALID"),
                "Invalid or expired authentication token",
                4001,
                "Authentication failed",
            ),
            (
                Refusal::user_not_found(),
                Some("USER_NOT_FOUND"),
                "Session invalid - user no longer exists",
                4001,
                "User not found",
            ),
            (
                Refusal::too_many(3),
                Some("RATE_LIMIT_EXCEEDED"),
                "Rate limit exceeded: Maximum 3 concurrent sessions allowed",
                4008,
                "Rate limit exceeded",
            ),
            (
                Refusal::tier(&["studio".to_owned()]),
                Some("TIER_REQUIRED"),
                "Voice calls are only available for Studio tier. Upgrade to continue.",
                4003,
                "Tier required",
            ),
            (
                Refusal::duration(1800),
                Some("DURATION_EXCEEDED"),
                "Session duration limit exceeded: 30 minutes",
                4010,
                "Duration exceeded",
            ),
            (
                Refusal::budget("Budget limit exceeded: $5.01", 5.01),
                Some("BUDGET_EXCEEDED"),
                "Budget limit exceeded: $5.01",
                4009,
                "Budget exceeded",
            ),
            (
                Refusal::coming_soon(),
                None,
                "Voice calls are coming soon!",
                4003,
                "Feature coming soon",
            ),
        ] {
            let ServerMessage::Error {
                message,
                code: said,
                ..
            } = &refusal.message
            else {
                panic!("{refusal:?}");
            };
            assert_eq!((message.as_str(), said.as_deref()), (sentence, code));
            assert_eq!((refusal.code, refusal.reason), (closing, reason));
        }
    }
}
