//! The customers of an installation: made, suspended, let in again, deleted.
//! Used by `/v1/admin/tenants` and by the command line's `tenants`.
//! Never closes the operator's own tenant, and writes everything it does into the tenant's audit log.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use store::live::facts::Subject;
use store::{Act, NewApiKey, Sql, Store, Tenant, TenantLimits, TenantStatus};

use crate::audit::Actor;
use crate::auth::{
    ApiKeys, AuthError, DEFAULT_PROJECT, DEFAULT_TENANT, MintedKey, Scopes, key_text,
};

/// The plan of a tenant of which nothing else was said.
pub const FIRST_PLAN: &str = "free";
/// Name of a tenant's first key.
const FIRST_KEY: &str = "first key";
/// Longest name, in characters.
const MAX_NAME: usize = 100;
/// Random characters in an id that nobody chose: 62 bits.
const RANDOM: usize = 12;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// There is or was one of this id.
    #[error("there is or was a tenant with the id '{0}'")]
    Taken(String),
    /// There is none of this id.
    #[error("no tenant has the id '{0}'")]
    Missing(String),
    /// Somebody else changed it at the same time.
    #[error("somebody else has just changed this tenant; look at it and try again")]
    Changed,
    /// The operator's own is always open.
    #[error(
        "the tenant '{DEFAULT_TENANT}' is the operator's own: it is neither suspended nor deleted"
    )]
    OperatorsOwn,
    /// A name of nothing, too long, or with characters for control.
    #[error("a name has 1 to {MAX_NAME} characters, none of them for control")]
    Name,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] AuthError),
}

/// A tenant to make.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its id; made up where nobody chose one.
    pub id: Option<String>,
    /// What people call it.
    pub name: String,
    /// Its plan.
    pub plan: String,
    /// What differs from the plan's limits.
    pub limits: TenantLimits,
}

/// Whether a door of this tenant is open. A database that does not answer closes none: what is behind the door may need none.
pub(crate) async fn is_open(sql: &Sql, tenant: &str) -> bool {
    match sql.find_tenant(tenant).await {
        Ok(found) => found.is_none_or(|tenant| tenant.status == TenantStatus::Active),
        Err(_) => true,
    }
}

/// An id for something that nobody chose one for: `PREFIX-` and random characters.
///
/// # Errors
/// [`AuthError::Hashing`] when the system gives no randomness.
pub fn fresh_id(prefix: &str) -> Result<String, AuthError> {
    let random = key_text::random_text(RANDOM)?.to_ascii_lowercase();
    Ok(format!("{prefix}-{random}"))
}

/// Whether somebody may choose `text` as an id: 3 to 50 of `a` to `z`, `0` to `9` and `-`, beginning with a letter.
pub fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    (3..=50).contains(&text.len()) && begins && text.bytes().all(plain)
}

/// A name for people, without the blanks around it.
///
/// # Errors
/// [`TenantError::Name`].
pub fn name(text: &str) -> Result<String, TenantError> {
    let name = text.trim();
    let length = name.chars().count();
    if length == 0 || length > MAX_NAME || name.chars().any(char::is_control) {
        return Err(TenantError::Name);
    }
    Ok(name.to_owned())
}

/// Makes a tenant with a project `default` and a first key that may do everything in it.
///
/// # Errors
/// [`TenantError`].
pub async fn create(
    sql: &Sql,
    keys: &ApiKeys,
    new: NewTenant,
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<(Tenant, MintedKey), TenantError> {
    let tenant = Tenant {
        id: new.id.map_or_else(|| fresh_id("t"), Ok)?,
        name: name(&new.name)?,
        plan: new.plan,
        status: TenantStatus::Active,
        reason: None,
        limits: new.limits,
        created_at: now,
        updated_at: now,
    };
    let (minted, hash) = keys.mint().await?;
    let key = NewApiKey {
        id: &minted.id,
        tenant: &tenant.id,
        project: DEFAULT_PROJECT,
        name: FIRST_KEY,
        scopes: &Scopes::full().names(),
        hash: &hash,
        created_at: now,
        expires_at: None,
    };
    let mut act = by.act(now, "tenant.create", &tenant.id);
    let mut after = recorded(&tenant);
    after["key"] = minted.id.as_str().into();
    act.after = Some(after);
    if !sql.create_tenant(&tenant, &key, &act).await? {
        return Err(TenantError::Taken(tenant.id));
    }
    tracing::info!(tenant = tenant.id, by = act.actor, "a tenant was made");
    Ok((tenant, minted))
}

/// Stores `changed` in the place of `seen`, and sees that no server goes by what it knew before.
///
/// # Errors
/// [`TenantError`].
pub async fn update(
    store: &Store,
    seen: &Tenant,
    changed: Tenant,
    mut act: Act,
) -> Result<Tenant, TenantError> {
    act.before = Some(recorded(seen));
    act.after = Some(recorded(&changed));
    let subject = Subject::Tenant(&seen.id);
    let change = store.live.facts.changing(subject).await;
    // where nobody knows whether it was changed, the announcement runs out by itself
    let is_done = store.sql.update_tenant(seen, &changed, &act).await?;
    // a Redis that is away is told when it is back
    let _ = store.live.facts.changed(subject, change).await;
    if !is_done {
        return Err(TenantError::Changed);
    }
    let action = act.action;
    tracing::info!(
        tenant = changed.id,
        by = act.actor,
        action,
        "a tenant was changed"
    );
    Ok(changed)
}

/// Lets a tenant in again, or keeps it out; deleting takes its keys, agents, projects and conversations away as well.
///
/// # Errors
/// [`TenantError`].
pub async fn turn(
    store: &Store,
    id: &str,
    (status, reason): (TenantStatus, Option<String>),
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<Tenant, TenantError> {
    if id == DEFAULT_TENANT {
        return Err(TenantError::OperatorsOwn);
    }
    let found = store.sql.find_tenant(id).await?;
    let seen = found.filter(|tenant| tenant.status != TenantStatus::Deleted);
    let seen = seen.ok_or_else(|| TenantError::Missing(id.to_owned()))?;
    let changed = Tenant {
        status,
        reason,
        updated_at: now,
        ..seen.clone()
    };
    let action = match status {
        TenantStatus::Active => "tenant.activate",
        TenantStatus::Suspended => "tenant.suspend",
        TenantStatus::Deleted => "tenant.delete",
    };
    update(store, &seen, changed, by.act(now, action, id)).await
}

/// Keeps a tenant's conversations for so many days, or for as long as its plan says.
///
/// # Errors
/// [`TenantError`].
pub async fn keep(
    store: &Store,
    id: &str,
    days: Option<u32>,
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<Tenant, TenantError> {
    let found = store.sql.find_tenant(id).await?;
    let seen = found.filter(|tenant| tenant.status != TenantStatus::Deleted);
    let seen = seen.ok_or_else(|| TenantError::Missing(id.to_owned()))?;
    let mut changed = seen.clone();
    changed.limits.retention_days = days;
    changed.updated_at = now;
    update(store, &seen, changed, by.act(now, "tenant.update", id)).await
}

/// A tenant as the audit log shows it.
fn recorded(tenant: &Tenant) -> Value {
    json!({
        "name": tenant.name, "plan": tenant.plan, "status": tenant.status, "reason": tenant.reason,
        "limits": tenant.limits,
    })
}
