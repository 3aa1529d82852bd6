//! Bodies of `/v1/admin/tenants` and `/v1/admin/projects`: who the customers are.
//! Used by the gateway's routes.
//! Never holds a key but in the answer that makes a tenant.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::keys::CreatedKey;

/// How much a tenant may have. Each number: 0 is no limit, and what is absent is as the plan says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// REST calls and sockets opened within any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100_000_000)]
    pub requests_per_minute: Option<u64>,
    /// Tokens of language models within any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100_000_000)]
    pub tokens_per_minute: Option<u64>,
    /// Conversations at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100_000_000)]
    pub concurrent_sessions: Option<u64>,
    /// Minutes of audio, heard and spoken, within any day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000)]
    pub audio_minutes_per_day: Option<u64>,
    /// Days that conversations are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3650)]
    pub retention_days: Option<u32>,
    /// What a voice session may cost, in cents of a dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000)]
    pub voice_session_budget_cents: Option<u64>,
    /// What the voice sessions of one user may cost within any day, in cents of a dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000)]
    pub voice_daily_budget_cents: Option<u64>,
    /// Voice sessions that one user may have at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000)]
    pub voice_sessions_per_user: Option<u64>,
    /// How long a voice session may last, in s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000)]
    pub voice_session_s: Option<u64>,
}

/// A tenant to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// What people call it, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Its id for ever: 3 to 50 of `a` to `z`, `0` to `9` and `-`, beginning with a letter. Made up where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z][a-z0-9-]{2,49}$")]
    pub id: Option<String>,
    /// Its plan; `free` where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What differs from the plan's limits.
    #[serde(default)]
    pub limits: Limits,
}

/// What is to be changed of a tenant; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTenant {
    /// What people call it, 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// Its plan; for operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// All that differs from the plan's limits; for operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// Why a tenant is suspended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    /// For those who look at the tenant; up to 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tenant {
    /// `tenant`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its plan.
    pub plan: String,
    /// `active` or `suspended`.
    pub status: &'static str,
    /// Why it is suspended.
    pub reason: Option<String>,
    /// What differs from the plan's limits.
    pub limits: Limits,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// A tenant that was just made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreatedTenant {
    /// The tenant.
    #[serde(flatten)]
    pub tenant: Tenant,
    /// Its first key, which may do everything in the tenant; its text is shown this once.
    pub api_key: CreatedKey,
}

/// Some tenants, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TenantList {
    /// `list`.
    pub object: &'static str,
    /// The tenants.
    pub data: Vec<Tenant>,
    /// Whether there are more: ask again with `after` set to the last id.
    pub has_more: bool,
}

/// A tenant that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TenantDeleted {
    /// `tenant.deleted`.
    pub object: &'static str,
    /// Its id, which no other will have.
    pub id: String,
    /// True.
    pub deleted: bool,
}

/// A project to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// What people call it, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Its id within the tenant: 3 to 50 of `a` to `z`, `0` to `9` and `-`, beginning with a letter. Made up where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z][a-z0-9-]{2,49}$")]
    pub id: Option<String>,
    /// `production`, `staging` or `development`, which is meant where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// What is to be changed of a project; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeProject {
    /// What people call it, 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// `production`, `staging` or `development`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Project {
    /// `project`.
    pub object: &'static str,
    /// Its id within the tenant.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `production`, `staging` or `development`.
    pub environment: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// All projects of a tenant, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProjectList {
    /// `list`.
    pub object: &'static str,
    /// The projects.
    pub data: Vec<Project>,
}

/// A project that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProjectDeleted {
    /// `project.deleted`.
    pub object: &'static str,
    /// Its id.
    pub id: String,
    /// True.
    pub deleted: bool,
}
