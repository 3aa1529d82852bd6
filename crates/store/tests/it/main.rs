//! The conformance suite: every backend must pass every story.

mod client_secrets;
mod keys;
