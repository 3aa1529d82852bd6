//! `/v1/rooms/{id}/tokens`: who may come in.
//! Mounted by `api::v1`.
//! Never keeps a token.

pub(crate) mod create;
