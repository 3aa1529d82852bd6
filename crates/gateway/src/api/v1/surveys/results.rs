//! `/v1/surveys/{id}/results`: what was answered, counted.
//! Mounted by `api::v1`.
//! Never shows who answered what.

pub(crate) mod show;
