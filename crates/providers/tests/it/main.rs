//! One suite for every provider, and what is particular to each.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something unexpected comes"
)]

mod carrier;
mod catalog;
mod conformance;
mod duplex;
#[cfg(feature = "local")]
mod failing_voice;
mod fakes;
mod faults;
mod guarded;
mod llm_subjects;
mod llm_suite;
mod llm_vendors;
#[cfg(feature = "local")]
mod real_models;
mod scripted;
mod speech;
