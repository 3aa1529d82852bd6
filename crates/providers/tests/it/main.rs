//! One suite for every provider, and what is particular to each.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something unexpected comes"
)]

mod catalog;
mod conformance;
mod fake_openai;
mod openai;
#[cfg(feature = "local")]
mod real_models;
mod scripted;
