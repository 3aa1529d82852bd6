//! Text in, text out, through the pipelines that also answer calls.
//! Mounted by `v1`.
//! Never keeps a conversation: the client sends all of it each time.

pub(crate) mod completions;
