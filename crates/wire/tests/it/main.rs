//! What this crate promises to the outside: frames it accepts, events it writes, documents it makes.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, its helper functions too"
)]

mod documents;
mod doors;
mod frames;
mod properties;
mod samples;
mod shapes;
mod telephony;
