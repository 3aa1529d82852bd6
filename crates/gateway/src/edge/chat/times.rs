//! Times as clients of chat rooms read and write them.
//! Used by everything in this folder that tells when something was.
//! Never more exact than a browser's clock: three digits behind the second.

use chrono::{DateTime, SecondsFormat, Utc};

/// As `Date.prototype.toISOString` writes it.
pub(super) fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
