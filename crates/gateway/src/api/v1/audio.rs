//! Speech to text and text to speech in one request each.
//! Mounted by `v1`.
//! Never holds a conversation.

pub(super) mod speech;
pub(super) mod transcriptions;
