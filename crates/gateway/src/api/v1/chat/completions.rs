//! `/v1/chat/completions`.
//! Mounted by `chat`.
//! Never answers by itself.

mod agent;
pub(in crate::api::v1) mod create;
mod question;
