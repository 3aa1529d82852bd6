//! What can go wrong between us and a carrier's REST interface, told so that the dialler knows what to do.
//! Made by the files of the carriers.
//! Never holds a number that was called, nor a secret: it is logged.

use std::time::Duration;

use wire::telephony::Dialect;

/// What the caller should do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Too fast: again after `retry_after`.
    RateLimited,
    /// The number cannot be called: never again.
    BadNumber,
    /// Account, secret or permission is wrong: an operator must act.
    Unauthorized,
    /// The request was refused for another reason: again will not help.
    Rejected,
    /// The call has ended.
    Gone,
    /// The carrier could not be reached, or has trouble of its own: again later.
    Unavailable,
    /// No answer within the limit.
    Timeout,
    /// An answer that does not follow the carrier's contract.
    Protocol,
    /// The carrier's interface does not do this.
    Unsupported,
}

impl Trouble {
    /// The name in metrics and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::BadNumber => "bad_number",
            Self::Unauthorized => "unauthorized",
            Self::Rejected => "rejected",
            Self::Gone => "gone",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Unsupported => "unsupported",
        }
    }
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{carrier}: {message}")]
pub struct CarrierError {
    /// The carrier.
    pub carrier: Dialect,
    /// What to do.
    pub trouble: Trouble,
    /// What was tried and what happened; safe to log and to show.
    pub message: String,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// Whether what was asked may have been done all the same.
    uncertain: bool,
}

impl CarrierError {
    /// A failure after which nothing was done.
    pub(super) fn new(carrier: Dialect, trouble: Trouble, message: impl Into<String>) -> Self {
        Self {
            carrier,
            trouble,
            message: message.into(),
            retry_after: None,
            uncertain: false,
        }
    }

    /// What was asked may have been done all the same.
    #[must_use]
    pub(super) const fn uncertain(mut self) -> Self {
        self.uncertain = true;
        self
    }

    /// With the time after which to try again.
    #[must_use]
    pub(super) const fn after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    /// Whether a call that was to be placed may be ringing: the request had reached the carrier, and no answer says that it
    /// was refused. Look with [`super::Carrier::find`] before anything is dialled again.
    pub const fn may_have_dialed(&self) -> bool {
        self.uncertain
    }
}
