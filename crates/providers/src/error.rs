//! What can go wrong with a provider, told so that the caller knows what to do.
//! Returned by every port; mapped to client errors at the gateway's edge.
//! Never carries a secret, and a prompt or a transcript only inside a vendor's explanation.

use std::{borrow::Cow, time::Duration};

/// What the caller should do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Try again, here or at the next provider: network trouble, 5xx, a stream that broke.
    Unavailable,
    /// Too much work: try again after `retry_after`.
    Overloaded,
    /// The vendor's rate limit: try again after `retry_after`.
    RateLimited,
    /// Key or permission is wrong: an operator must act.
    Unauthorized,
    /// The request itself was refused: trying again will not help.
    Rejected,
    /// The answer did not follow the vendor's contract.
    Protocol,
    /// Nothing came within the stage's limit.
    Timeout,
}

/// A provider's failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{provider}: {message}")]
pub struct ProviderError {
    /// Name in the catalog: a vendor's, or the one that the configuration gave it.
    pub provider: Cow<'static, str>,
    /// What to do.
    pub kind: Kind,
    /// What was tried and what happened; safe to show to the client's developer and to log.
    pub message: String,
    /// The vendor's own words, where the client's developer can act on them. They may quote the prompt: for the
    /// client whose request it was, never for a log.
    pub explanation: Option<String>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    /// A failure without a retry time.
    pub fn new(
        provider: impl Into<Cow<'static, str>>,
        kind: Kind,
        message: impl Into<String>,
    ) -> Self {
        Self {
            provider: provider.into(),
            kind,
            message: message.into(),
            explanation: None,
            retry_after: None,
        }
    }

    /// What happened, with the vendor's explanation: for the client whose request failed, never for a log.
    pub fn message_for_client(&self) -> String {
        match &self.explanation {
            Some(explanation) => format!("{}: {explanation}", self.message),
            None => self.message.clone(),
        }
    }

    /// The code clients see (spec/realtime §1.10 for the shared ones).
    pub fn code(&self) -> &'static str {
        match self.kind {
            Kind::Unavailable | Kind::Protocol => "provider_unavailable",
            Kind::Overloaded => "overloaded",
            Kind::RateLimited => "rate_limit_exceeded",
            Kind::Unauthorized => "provider_unauthorized",
            Kind::Rejected => "provider_rejected",
            Kind::Timeout => "provider_timeout",
        }
    }
}
