//! `/v1/admin`: what whoever administers a tenant does without a shell on the server.
//! Mounted by `api::v1`; takes keys with the scope `tenant:admin`.
//! Never reaches beyond the tenant of the key that asks.

pub(super) mod keys;
