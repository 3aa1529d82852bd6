//! The table of agents.
//! Used by `gateway::agents` and by the conformance suite.
//! Never finds an agent of another project: each function takes the place it looks in. Never lets a row that cannot be
//! read stand in for the others.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};

use super::{Sql, query};
use crate::StoreError;

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
    /// [`StoreError::Query`].
    pub async fn create_agent(
        &self,
        place: Place<'_>,
        agent: &StoredAgent,
        limit: u32,
    ) -> Result<Creation, StoreError> {
        // counted by the same statement: two at once do not both take the last place
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
        .bind(limit)
        .execute(&self.writer)
        .await
        .map_err(query("create an agent"))?;
        if done.rows_affected() == 1 {
            return Ok(Creation::Done);
        }
        let there: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM agents WHERE tenant = $1 AND project = $2 AND name = $3",
        )
        .bind(place.tenant)
        .bind(place.project)
        .bind(&agent.name)
        .fetch_optional(&self.writer)
        .await
        .map_err(query("create an agent"))?;
        Ok(there.map_or(Creation::Full, |_| Creation::Taken))
    }

    /// Changes an agent that has not been changed since `seen`; false when it has, or does not exist.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn update_agent(
        &self,
        place: Place<'_>,
        seen: &StoredAgent,
        spec: &Value,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        sqlx::query(
            "UPDATE agents SET spec = $4, updated_at = $5 \
             WHERE tenant = $1 AND project = $2 AND name = $3 AND updated_at = $6 AND spec = $7",
        )
        .bind(place.tenant)
        .bind(place.project)
        .bind(&seen.name)
        .bind(Json(spec))
        .bind(at)
        .bind(seen.updated_at)
        .bind(Json(&seen.spec))
        .execute(&self.writer)
        .await
        .map(|done| done.rows_affected() == 1)
        .map_err(query("change an agent"))
    }

    /// The agent with this name.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreadable`].
    pub async fn find_agent(
        &self,
        place: Place<'_>,
        name: &str,
    ) -> Result<Option<StoredAgent>, StoreError> {
        let row = sqlx::query(
            "SELECT name, spec, created_at, updated_at FROM agents \
             WHERE tenant = $1 AND project = $2 AND name = $3",
        )
        .bind(place.tenant)
        .bind(place.project)
        .bind(name)
        .fetch_optional(&self.reader)
        .await
        .map_err(query("find an agent"))?;
        row.as_ref().map(read).transpose()
    }

    /// All agents, in the order of their names; [`StoreError::Unreadable`] in the place of one that cannot be read.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn list_agents(
        &self,
        place: Place<'_>,
    ) -> Result<Vec<Result<StoredAgent, StoreError>>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, spec, created_at, updated_at FROM agents \
             WHERE tenant = $1 AND project = $2 ORDER BY name",
        )
        .bind(place.tenant)
        .bind(place.project)
        .fetch_all(&self.reader)
        .await
        .map_err(query("list agents"))?;
        Ok(rows.iter().map(read).collect())
    }

    /// The names of up to `limit` agents, in their order.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn agent_names(
        &self,
        place: Place<'_>,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT name FROM agents WHERE tenant = $1 AND project = $2 ORDER BY name LIMIT $3",
        )
        .bind(place.tenant)
        .bind(place.project)
        .bind(limit)
        .fetch_all(&self.reader)
        .await
        .map_err(query("list the names of agents"))
    }

    /// Removes an agent; false when there is none of this name.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn delete_agent(&self, place: Place<'_>, name: &str) -> Result<bool, StoreError> {
        sqlx::query("DELETE FROM agents WHERE tenant = $1 AND project = $2 AND name = $3")
            .bind(place.tenant)
            .bind(place.project)
            .bind(name)
            .execute(&self.writer)
            .await
            .map(|done| done.rows_affected() == 1)
            .map_err(query("delete an agent"))
    }
}

fn read(row: &SqliteRow) -> Result<StoredAgent, StoreError> {
    StoredAgent::from_row(row).map_err(|source| StoreError::Unreadable {
        name: row.try_get("name").unwrap_or_default(),
        source,
    })
}
