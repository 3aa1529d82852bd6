//! Text to sound.
//! Mounted by `v1`.
//! Never synthesises more than the client reads.

pub(in crate::api::v1) mod create;
mod voice;
