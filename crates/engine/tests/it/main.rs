//! Conversations in virtual time, and the arithmetic of sound and speech, in one test binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "tests; json! values are made for the call that takes them, and event types are no file names"
)]

mod audio;
mod context;
mod conversation;
mod degraded;
mod duplex;
mod editing;
mod endings;
mod extras;
mod heard;
mod ladder;
mod limits;
mod meter;
mod past;
mod replies;
mod results;
mod simulator;
mod speech;
mod tools;
mod turns;
mod unanswered;
mod world;
