//! `/v1/sessions/{id}/usage`: what a conversation made providers do, and what that cost.
//! Mounted by `api::v1`.
//! Never shows what was said.

pub(crate) mod show;
