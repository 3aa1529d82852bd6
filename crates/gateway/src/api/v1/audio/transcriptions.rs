//! Recordings to text.
//! Mounted by `v1`.
//! Never keeps a recording.

pub(in crate::api::v1) mod create;
mod form;
mod languages;
mod render;
mod sound;
