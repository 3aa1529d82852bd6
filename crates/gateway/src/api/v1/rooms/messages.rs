//! `/v1/rooms/{id}/messages`: what was said.
//! Mounted by `api::v1`.
//! Never shows what an application keeps: that is asked itself.

pub(crate) mod list;
