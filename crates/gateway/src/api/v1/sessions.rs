//! `/v1/sessions`: conversations, while they run and for a while after.
//! Mounted by `api::v1`.
//! Never shows another tenant's.

pub(crate) mod usage;
