//! The table of agents.
//! Used by `gateway::agents` and by the conformance suite.
//! Never finds an agent of another project: each function takes the place it looks in. Never lets a row that cannot be
//! read stand in for the others.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::audit::Act;
use super::{Scope, Sql};
use crate::{NUL, StoreError};

/// Whose agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// Its project.
    pub project: &'a str,
}

/// An agent as stored.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct StoredAgent {
    /// Its name, unique in its project.
    pub name: String,
    /// What it is, as JSON.
    #[sqlx(json)]
    pub spec: Value,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What became of a new agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It is stored.
    Done,
    /// There is one of its name.
    Taken,
    /// There are as many as there may be.
    Full,
}

impl Sql {
    /// Stores a new agent, unless there are `limit` of them.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Nul`].
    pub async fn create_agent(
        &self,
        place: Place<'_>,
        agent: &StoredAgent,
        limit: u32,
        act: &Act,
    ) -> Result<Creation, StoreError> {
        storable(&agent.name, &agent.spec)?;
        // the scope lets nobody else count meanwhile: two at once do not both take the last place
        work!(
            self,
            Write,
            Scope::Project(place),
            "create an agent",
            |on| {
                let done = sqlx::query(
                    "INSERT INTO agents (tenant, project, name, spec, created_at, updated_at) \
                 SELECT $1, $2, $3, $4, $5, $6 \
                 WHERE (SELECT COUNT(*) FROM agents WHERE tenant = $1 AND project = $2) < $7 \
                 ON CONFLICT DO NOTHING",
                )
                .bind(place.tenant)
                .bind(place.project)
                .bind(&agent.name)
                .bind(Json(&agent.spec))
                .bind(agent.created_at)
                .bind(agent.updated_at)
                .bind(i64::from(limit))
                .execute(&mut *on)
                .await?;
                if done.rows_affected() == 1 {
                    record!(on, place.tenant, act);
                    return Ok(Creation::Done);
                }
                let taken = sqlx::query_scalar(
                    "SELECT EXISTS (SELECT 1 FROM agents \
                 WHERE tenant = $1 AND project = $2 AND name = $3)",
                )
                .bind(place.tenant)
                .bind(place.project)
                .bind(&agent.name)
                .fetch_one(on)
                .await?;
                Ok(if taken {
                    Creation::Taken
                } else {
                    Creation::Full
                })
            }
        )
    }

    /// Changes an agent that has not been changed since `seen`; false when it has, or does not exist.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Nul`].
    pub async fn update_agent(
        &self,
        place: Place<'_>,
        seen: &StoredAgent,
        spec: &Value,
        act: &Act,
    ) -> Result<bool, StoreError> {
        storable(&seen.name, spec)?;
        work!(
            self,
            Write,
            Scope::Tenant(place.tenant),
            "change an agent",
            |on| {
                let done = sqlx::query(
                    "UPDATE agents SET spec = $4, updated_at = $5 \
                 WHERE tenant = $1 AND project = $2 AND name = $3 \
                 AND updated_at = $6 AND spec = $7",
                )
                .bind(place.tenant)
                .bind(place.project)
                .bind(&seen.name)
                .bind(Json(spec))
                .bind(act.at)
                .bind(seen.updated_at)
                .bind(Json(&seen.spec))
                .execute(&mut *on)
                .await?;
                let is_done = done.rows_affected() == 1;
                if is_done {
                    record!(on, place.tenant, act);
                }
                Ok(is_done)
            }
        )
    }

    /// The agent with this name.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Unreadable`].
    pub async fn find_agent(
        &self,
        place: Place<'_>,
        name: &str,
    ) -> Result<Option<StoredAgent>, StoreError> {
        if name.contains(NUL) {
            return Ok(None);
        }
        let found = work!(
            self,
            Read,
            Scope::Tenant(place.tenant),
            "find an agent",
            |on| {
                sqlx::query(
                    "SELECT name, spec, created_at, updated_at FROM agents \
                 WHERE tenant = $1 AND project = $2 AND name = $3",
                )
                .bind(place.tenant)
                .bind(place.project)
                .bind(name)
                .fetch_optional(on)
                .await
                .map(|row| row.as_ref().map(read))
            }
        )?;
        found.transpose()
    }

    /// All agents, in the order of their names; [`StoreError::Unreadable`] in the place of one that cannot be read.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn list_agents(
        &self,
        place: Place<'_>,
    ) -> Result<Vec<Result<StoredAgent, StoreError>>, StoreError> {
        work!(
            self,
            Read,
            Scope::Tenant(place.tenant),
            "list agents",
            |on| {
                sqlx::query(
                    "SELECT name, spec, created_at, updated_at FROM agents \
                 WHERE tenant = $1 AND project = $2 ORDER BY name",
                )
                .bind(place.tenant)
                .bind(place.project)
                .fetch_all(on)
                .await
                .map(|rows| rows.iter().map(read).collect())
            }
        )
    }

    /// The names of up to `limit` agents, in their order.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn agent_names(
        &self,
        place: Place<'_>,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let action = "list the names of agents";
        work!(self, Read, Scope::Tenant(place.tenant), action, |on| {
            sqlx::query_scalar(
                "SELECT name FROM agents WHERE tenant = $1 AND project = $2 ORDER BY name LIMIT $3",
            )
            .bind(place.tenant)
            .bind(place.project)
            .bind(i64::from(limit))
            .fetch_all(on)
            .await
        })
    }

    /// Removes an agent; false when there is none of this name.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn delete_agent(
        &self,
        place: Place<'_>,
        name: &str,
        act: &Act,
    ) -> Result<bool, StoreError> {
        if name.contains(NUL) {
            return Ok(false);
        }
        work!(
            self,
            Write,
            Scope::Tenant(place.tenant),
            "delete an agent",
            |on| {
                let delete = "DELETE FROM agents WHERE tenant = $1 AND project = $2 AND name = $3";
                let done = sqlx::query(delete)
                    .bind(place.tenant)
                    .bind(place.project)
                    .bind(name)
                    .execute(&mut *on)
                    .await?;
                let is_done = done.rows_affected() == 1;
                if is_done {
                    record!(on, place.tenant, act);
                }
                Ok(is_done)
            }
        )
    }
}

fn storable(name: &str, spec: &Value) -> Result<(), StoreError> {
    if name.contains(NUL) || holds_nul(spec) {
        return Err(StoreError::Nul);
    }
    Ok(())
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(NUL),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains(NUL) || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The agent that a row of either database holds.
fn read<'r, R>(row: &'r R) -> Result<StoredAgent, StoreError>
where
    R: Row,
    StoredAgent: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    StoredAgent::from_row(row).map_err(|source| StoreError::Unreadable {
        name: row.try_get("name").unwrap_or_default(),
        source,
    })
}
