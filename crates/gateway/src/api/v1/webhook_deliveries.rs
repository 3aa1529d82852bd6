//! `/v1/webhook_deliveries`: messages that no endpoint took, and trying them again.
//! Mounted by `api::v1`; takes a key that administers the tenant.
//! Never shows a message's content.

pub(super) mod list;
pub(super) mod retry;
