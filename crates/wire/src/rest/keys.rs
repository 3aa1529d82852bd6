//! Bodies of `/v1/admin/keys`: API keys of a tenant.
//! Used by the gateway's routes and by the command line.
//! Never holds a hash: a key's secret is in the answer that creates it and nowhere else.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it is for, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// `realtime:connect`, `realtime:admin`, `billing:read`, `tenant:admin`.
    #[serde(default = "connect_only")]
    pub scopes: Vec<String>,
    /// The project it belongs to; `default` where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The tenant it is for, where an operator makes it for another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Seconds until it ends by itself; it does not where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// How a key is to be replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// Seconds for which the old key goes on working; a day where this is absent, 30 days at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<u64>,
}

/// A key that was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeyRevoked {
    /// `api_key.revoked`.
    pub object: &'static str,
    /// Its public id.
    pub id: String,
    /// True.
    pub revoked: bool,
}

fn connect_only() -> Vec<String> {
    vec!["realtime:connect".to_owned()]
}

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// The public part of the key, which also names it.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// The project it belongs to.
    pub project: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; null until it is used.
    pub last_used_at: Option<i64>,
    /// Unix seconds; null unless it was revoked.
    pub revoked_at: Option<i64>,
    /// Unix seconds; null where it does not end by itself.
    pub expires_at: Option<i64>,
}

/// The answer to making a key; the only place that has the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key.
    #[serde(flatten)]
    pub record: Key,
    /// The whole key, shown once.
    pub key: String,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey")
            .field("record", &self.record)
            .field("key", &"(secret)")
            .finish()
    }
}

/// Every key of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// `list`.
    pub object: String,
    /// The keys, newest first.
    pub data: Vec<Key>,
}
