//! `/v1/chat/completions`.
//! Mounted by `chat`.
//! Never answers by itself.

pub(crate) mod agent;
pub(in crate::api::v1) mod create;
mod question;
