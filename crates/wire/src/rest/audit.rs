//! The body of `/v1/admin/audit`: what administrators did.
//! Used by the gateway's route.
//! Never holds a secret.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Something that an administrator did.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditEntry {
    /// `audit_entry`.
    pub object: &'static str,
    /// 1, 2, 3 … within the tenant.
    pub seq: i64,
    /// Unix seconds, to the microsecond.
    pub at: f64,
    /// Who: tenant and public id of the key, or `command line`.
    pub actor: String,
    /// What, for example `key.create`.
    pub action: String,
    /// To which key, agent, project or tenant.
    pub resource: String,
    /// How it was; null where it is new.
    pub before: Value,
    /// How it is now; null where it is gone.
    pub after: Value,
    /// From which network address.
    pub ip: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// SHA-256 over this entry and the hash of the one before it, in hexadecimal.
    pub hash: String,
}

/// Some entries, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditList {
    /// `list`.
    pub object: &'static str,
    /// The entries.
    pub data: Vec<AuditEntry>,
    /// Whether there are older ones: ask again with `before` set to the last `seq`.
    pub has_more: bool,
}
