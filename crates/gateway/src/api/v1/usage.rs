//! `/v1/usage`: what a tenant used.
//! Mounted by `api::v1`.
//! Never shows what was said.

pub(in crate::api::v1) mod list;
