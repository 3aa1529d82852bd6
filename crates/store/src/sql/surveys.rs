//! Question sets of the text survey: made, asked one at a time, removed with what was answered.
//! Used by the gateway's surveys and its REST routes; the folder has the answers, the codes and the dialogues.
//! Never changes the questions of a set, and never has two of a tenant's asked at once.

pub mod dialogues;
pub mod responses;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;

use super::audit::Act;
use super::{Scope, Sql};
use crate::{NUL, StoreError};

/// A question set as stored.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct QuestionSet {
    /// Its id among the tenant's.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What is asked, as JSON.
    #[sqlx(json)]
    pub questions: Value,
    /// Whether it is the one that is asked.
    pub active: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// How many have answered it.
    pub responses: i64,
}

/// What becomes of a new question set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewSet {
    /// It is stored.
    Stored,
    /// There is one of its id.
    Taken,
    /// The tenant has as many as it may have.
    Full,
}

impl Sql {
    /// Stores a new question set of `tenant`, unless there are `limit` of them. One that is active takes the place of the
    /// one that was.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Nul`].
    pub async fn create_question_set(
        &self,
        tenant: &str,
        set: &QuestionSet,
        limit: u32,
        act: &Act,
    ) -> Result<NewSet, StoreError> {
        if set.id.contains(NUL) || set.name.contains(NUL) {
            return Err(StoreError::Nul);
        }
        let action = "store a question set";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            let known: Vec<String> =
                sqlx::query_scalar("SELECT id FROM question_sets WHERE tenant = $1")
                    .bind(tenant)
                    .fetch_all(&mut *on)
                    .await?;
            if known.contains(&set.id) {
                return Ok(NewSet::Taken);
            }
            if known.len() >= limit as usize {
                return Ok(NewSet::Full);
            }
            if set.active {
                sqlx::query("UPDATE question_sets SET active = FALSE WHERE tenant = $1 AND active")
                    .bind(tenant)
                    .execute(&mut *on)
                    .await?;
            }
            let done = sqlx::query(
                "INSERT INTO question_sets (tenant, id, name, questions, active, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, id) DO NOTHING",
            )
            .bind(tenant)
            .bind(&set.id)
            .bind(&set.name)
            .bind(Json(&set.questions))
            .bind(set.active)
            .bind(set.created_at)
            .execute(&mut *on)
            .await?;
            if done.rows_affected() == 0 {
                return Ok(NewSet::Taken);
            }
            record!(on, tenant, act);
            Ok(NewSet::Stored)
        })
    }

    /// All question sets of `tenant`, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn list_question_sets(&self, tenant: &str) -> Result<Vec<QuestionSet>, StoreError> {
        let action = "list question sets";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT id, name, questions, active, created_at, \
                 (SELECT COUNT(*) FROM survey_responses \
                  WHERE tenant = $1 AND question_set = question_sets.id) AS responses \
                 FROM question_sets WHERE tenant = $1 ORDER BY created_at DESC, id",
            )
            .bind(tenant)
            .fetch_all(on)
            .await
        })
    }

    /// The question set of this id; without one the one that is asked.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn find_question_set(
        &self,
        tenant: &str,
        id: Option<&str>,
    ) -> Result<Option<QuestionSet>, StoreError> {
        if id.is_some_and(|id| id.contains(NUL)) {
            return Ok(None);
        }
        let action = "find a question set";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            let find = match id {
                Some(_) => {
                    "SELECT id, name, questions, active, created_at, \
                     (SELECT COUNT(*) FROM survey_responses \
                      WHERE tenant = $1 AND question_set = $2) AS responses \
                     FROM question_sets WHERE tenant = $1 AND id = $2"
                }
                // how many have answered is not asked with every dialogue
                None => {
                    "SELECT id, name, questions, active, created_at, CAST(0 AS BIGINT) AS responses \
                     FROM question_sets WHERE tenant = $1 AND active AND $2 = ''"
                }
            };
            sqlx::query_as(find)
                .bind(tenant)
                .bind(id.unwrap_or_default())
                .fetch_optional(on)
                .await
        })
    }

    /// Says whether the question set of this id is asked; the one that was is not any more. False when there is none.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn activate_question_set(
        &self,
        tenant: &str,
        (id, active): (&str, bool),
        act: &Act,
    ) -> Result<bool, StoreError> {
        if id.contains(NUL) {
            return Ok(false);
        }
        let action = "say which question set is asked";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            let found = sqlx::query("SELECT 1 FROM question_sets WHERE tenant = $1 AND id = $2")
                .bind(tenant)
                .bind(id)
                .fetch_optional(&mut *on)
                .await?;
            if found.is_none() {
                return Ok(false);
            }
            let off = if active {
                "UPDATE question_sets SET active = FALSE WHERE tenant = $1 AND id <> $2 AND active"
            } else {
                "UPDATE question_sets SET active = FALSE WHERE tenant = $1 AND id = $2 AND active"
            };
            sqlx::query(off)
                .bind(tenant)
                .bind(id)
                .execute(&mut *on)
                .await?;
            if active {
                sqlx::query("UPDATE question_sets SET active = TRUE WHERE tenant = $1 AND id = $2")
                    .bind(tenant)
                    .bind(id)
                    .execute(&mut *on)
                    .await?;
            }
            record!(on, tenant, act);
            Ok(true)
        })
    }

    /// Removes a question set with all that was answered; false when there is none.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn delete_question_set(
        &self,
        tenant: &str,
        id: &str,
        act: &Act,
    ) -> Result<bool, StoreError> {
        if id.contains(NUL) {
            return Ok(false);
        }
        let action = "remove a question set";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            // its answers go with it: they refer to it, and one that comes meanwhile finds none to belong to
            let done = sqlx::query("DELETE FROM question_sets WHERE tenant = $1 AND id = $2")
                .bind(tenant)
                .bind(id)
                .execute(&mut *on)
                .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            record!(on, tenant, act);
            Ok(true)
        })
    }
}
