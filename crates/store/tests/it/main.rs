//! The conformance suite: every backend must pass every story.

#![expect(
    clippy::unwrap_used,
    reason = "tests; a failed step ends them with its line"
)]

mod agents;
mod client_secrets;
mod keys;
