//! `/v1/admin/audit`: what administrators did.
//! Mounted by `api::v1`.
//! Never changes anything.

pub(in crate::api::v1) mod list;
