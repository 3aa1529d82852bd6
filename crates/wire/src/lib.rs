//! The vocabulary: every message that crosses a boundary, and the ids in them.
//! Used by every other crate, the load generator and the fuzzers.
//! Never does I/O, never decides anything.

pub mod asyncapi;
pub mod chat;
pub mod ids;
pub mod realtime;
pub mod rest;
pub mod survey;
pub mod telephony;
pub mod voice;
