//! Conversations in virtual time, and the arithmetic of sound and speech, in one test binary.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod conversation;
mod editing;
mod ladder;
mod replies;
mod simulator;
mod turns;
mod world;
