//! The table of projects: a tenant's keys and agents in groups.
//! Used by `/v1/admin/projects` and by the conformance suite.
//! Never removes a project in which something is left.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::agents::Place;
use super::audit::Act;
use super::{Scope, Sql};
use crate::{NUL, StoreError};

/// A project as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Project {
    /// Its id within the tenant.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `production`, `staging` or `development`.
    pub environment: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What became of a project that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Done,
    /// There is none.
    Missing,
    /// Keys that work or agents are in it.
    InUse,
}

impl Sql {
    /// Stores a project of `tenant`, unless there is one of its id or there are `limit`; says whether it did.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn create_project(
        &self,
        tenant: &str,
        project: &Project,
        limit: u32,
        act: &Act,
    ) -> Result<bool, StoreError> {
        // the scope lets nobody else add projects meanwhile
        let place = Place {
            tenant,
            project: "",
        };
        work!(
            self,
            Write,
            Scope::Project(place),
            "create a project",
            |on| {
                let made = sqlx::query(
                "INSERT INTO projects (tenant, id, name, environment, created_at, updated_at) \
                 SELECT $1, $2, $3, $4, $5, $6 WHERE (SELECT COUNT(*) FROM projects WHERE tenant = $1) < $7 \
                 ON CONFLICT DO NOTHING",
            )
            .bind(tenant)
            .bind(&project.id)
            .bind(&project.name)
            .bind(&project.environment)
            .bind(project.created_at)
            .bind(project.updated_at)
            .bind(i64::from(limit))
            .execute(&mut *on)
            .await?;
                let is_made = made.rows_affected() == 1;
                if is_made {
                    record!(on, tenant, act);
                }
                Ok(is_made)
            }
        )
    }

    /// The projects of `tenant`, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn list_projects(&self, tenant: &str) -> Result<Vec<Project>, StoreError> {
        work!(self, Read, Scope::Tenant(tenant), "list projects", |on| {
            sqlx::query_as(
                "SELECT id, name, environment, created_at, updated_at FROM projects \
                 WHERE tenant = $1 ORDER BY created_at, id",
            )
            .bind(tenant)
            .fetch_all(on)
            .await
        })
    }

    /// The project of `tenant` with this id.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn find_project(
        &self,
        tenant: &str,
        id: &str,
    ) -> Result<Option<Project>, StoreError> {
        if id.contains(NUL) {
            return Ok(None);
        }
        work!(self, Read, Scope::Tenant(tenant), "find a project", |on| {
            sqlx::query_as(
                "SELECT id, name, environment, created_at, updated_at FROM projects \
                 WHERE tenant = $1 AND id = $2",
            )
            .bind(tenant)
            .bind(id)
            .fetch_optional(on)
            .await
        })
    }

    /// Stores `changed` in the place of `seen`, if that is what is still there.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn update_project(
        &self,
        tenant: &str,
        seen: &Project,
        changed: &Project,
        act: &Act,
    ) -> Result<bool, StoreError> {
        work!(
            self,
            Write,
            Scope::Tenant(tenant),
            "change a project",
            |on| {
                let done = sqlx::query(
                    "UPDATE projects SET name = $4, environment = $5, updated_at = $6 \
                 WHERE tenant = $1 AND id = $2 AND updated_at = $3",
                )
                .bind(tenant)
                .bind(&seen.id)
                .bind(seen.updated_at)
                .bind(&changed.name)
                .bind(&changed.environment)
                .bind(changed.updated_at)
                .execute(&mut *on)
                .await?;
                let is_done = done.rows_affected() == 1;
                if is_done {
                    record!(on, tenant, act);
                }
                Ok(is_done)
            }
        )
    }

    /// Removes a project in which no agent and no key is left that works at this time.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn delete_project(&self, place: Place<'_>, act: &Act) -> Result<Removal, StoreError> {
        work!(
            self,
            Write,
            Scope::Project(place),
            "delete a project",
            |on| {
                let is_used: bool = sqlx::query_scalar(
                    "SELECT EXISTS (SELECT 1 FROM agents WHERE tenant = $1 AND project = $2) \
                 OR EXISTS (SELECT 1 FROM api_keys WHERE tenant = $1 AND project = $2 \
                 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3))",
                )
                .bind(place.tenant)
                .bind(place.project)
                .bind(act.at)
                .fetch_one(&mut *on)
                .await?;
                if is_used {
                    return Ok(Removal::InUse);
                }
                let done = sqlx::query("DELETE FROM projects WHERE tenant = $1 AND id = $2")
                    .bind(place.tenant)
                    .bind(place.project)
                    .execute(&mut *on)
                    .await?;
                if done.rows_affected() != 1 {
                    return Ok(Removal::Missing);
                }
                record!(on, place.tenant, act);
                Ok(Removal::Done)
            }
        )
    }
}
