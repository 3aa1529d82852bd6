//! `/v1/surveys/{id}/responses`: who answered what.
//! Mounted by `api::v1`.
//! Never counts anything: that is `results`.

pub(crate) mod export;
