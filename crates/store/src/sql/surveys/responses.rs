//! What was answered: one response a person and question set, and its answers one by one to be counted.
//! Written when somebody has answered the last question; read by the REST routes of administrators.
//! Never keeps an address or words in the open where there are keys to seal them.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::sql::calls::spot;
use crate::sql::{Scope, Sql};
use crate::{NUL, StoreError};

/// Somebody's answers.
#[derive(Debug, Clone, PartialEq)]
pub struct NewResponse<'a> {
    /// Names it among the tenant's; storing it again changes nothing.
    pub id: &'a str,
    /// To which set.
    pub question_set: &'a str,
    /// Whose, as [`Sql::person`] has it.
    pub person: &'a str,
    /// Address and answers as JSON: personal.
    pub content: &'a str,
    /// Question by question.
    pub answers: &'a [Counted],
    /// When the last was given.
    pub completed_at: DateTime<Utc>,
}

/// An answer as far as it can be counted.
#[derive(Debug, Clone, PartialEq)]
pub enum Counted {
    /// Yes, no, or an option.
    Choice(String),
    /// A number.
    Number(f64),
    /// Words.
    Words,
}

/// What becomes of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// They are stored, now or already under the same id.
    Stored,
    /// This person's answers were stored before, and stay.
    AnsweredBefore,
    /// There is no such set any more.
    NoSet,
}

/// Somebody's answers as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredResponse {
    /// Names it among the tenant's.
    pub id: String,
    /// Address and answers as JSON: personal.
    pub content: Vec<u8>,
    /// When the last was given.
    pub completed_at: DateTime<Utc>,
}

/// How often something was answered.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ChoiceCount {
    /// To which question, counted from 0.
    pub question: i64,
    /// Yes, no, or an option; nothing for numbers and words.
    pub choice: Option<String>,
    /// How often.
    pub count: i64,
}

/// What the numbers were.
#[derive(Debug, Clone, Copy, PartialEq, FromRow)]
pub struct NumberSum {
    /// To which question, counted from 0.
    pub question: i64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

impl Sql {
    /// What stands for a person with this address: equal for equal addresses, and of no use outside this installation.
    ///
    /// # Errors
    /// As [`Sql::callee`].
    pub async fn person(&self, address: &str) -> Result<String, StoreError> {
        self.print(&format!("person:{address}")).await
    }

    /// Whether somebody has answered a set.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn has_answered(
        &self,
        tenant: &str,
        question_set: &str,
        person: &str,
    ) -> Result<bool, StoreError> {
        let action = "see whether somebody has answered";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "SELECT 1 FROM survey_responses \
                 WHERE tenant = $1 AND question_set = $2 AND person = $3",
            )
            .bind(tenant)
            .bind(question_set)
            .bind(person)
            .fetch_optional(on)
            .await
            .map(|found| found.is_some())
        })
    }

    /// Stores somebody's answers, once.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn add_response(
        &self,
        tenant: &str,
        new: &NewResponse<'_>,
    ) -> Result<Added, StoreError> {
        let row = [new.question_set, new.id];
        let content = self
            .seal(spot(tenant, "survey_responses", &row), new.content)
            .await?;
        let action = "store answers";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            let done = sqlx::query(
                "INSERT INTO survey_responses (tenant, question_set, person, id, content, completed_at) \
                 SELECT tenant, id, $3, $4, $5, $6 FROM question_sets WHERE tenant = $1 AND id = $2 \
                 ON CONFLICT (tenant, question_set, person) DO NOTHING",
            )
            .bind(tenant)
            .bind(new.question_set)
            .bind(new.person)
            .bind(new.id)
            .bind(&content)
            .bind(new.completed_at)
            .execute(&mut *on)
            .await;
            // the set was removed while this waited for it
            if matches!(&done, Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation())
            {
                return Ok(Added::NoSet);
            }
            let done = done?;
            if done.rows_affected() == 0 {
                let known: Option<String> = sqlx::query_scalar(
                    "SELECT id FROM survey_responses \
                     WHERE tenant = $1 AND question_set = $2 AND person = $3",
                )
                .bind(tenant)
                .bind(new.question_set)
                .bind(new.person)
                .fetch_optional(on)
                .await?;
                return Ok(match known {
                    None => Added::NoSet,
                    Some(id) if id == new.id => Added::Stored,
                    Some(_) => Added::AnsweredBefore,
                });
            }
            for (question, answer) in (0_i64..).zip(new.answers) {
                let (choice, number) = match answer {
                    Counted::Choice(choice) => (Some(choice), None),
                    Counted::Number(number) => (None, Some(*number)),
                    Counted::Words => (None, None),
                };
                sqlx::query(
                    "INSERT INTO survey_answers (tenant, question_set, question, response, choice, number) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(tenant)
                .bind(new.question_set)
                .bind(question)
                .bind(new.id)
                .bind(choice)
                .bind(number)
                .execute(&mut *on)
                .await?;
            }
            Ok(Added::Stored)
        })
    }

    /// Up to `limit` responses to a set, oldest first, from the one after `after` on.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn list_responses(
        &self,
        tenant: &str,
        question_set: &str,
        after: Option<(DateTime<Utc>, &str)>,
        limit: u32,
    ) -> Result<Vec<StoredResponse>, StoreError> {
        if question_set.contains(NUL) {
            return Ok(Vec::new());
        }
        let (since, id) = after.unwrap_or((DateTime::UNIX_EPOCH, ""));
        let action = "list answers";
        let mut found: Vec<StoredResponse> =
            work!(self, Read, Scope::Tenant(tenant), action, |on| {
                sqlx::query_as(
                    "SELECT id, content, completed_at FROM survey_responses \
                     WHERE tenant = $1 AND question_set = $2 AND (completed_at, id) > ($3, $4) \
                     ORDER BY completed_at, id LIMIT $5",
                )
                .bind(tenant)
                .bind(question_set)
                .bind(since)
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all(on)
                .await
            })?;
        for response in &mut found {
            let stored = std::mem::take(&mut response.content);
            let row = [question_set, response.id.as_str()];
            response.content = self
                .unseal(spot(tenant, "survey_responses", &row), stored)
                .await?;
        }
        Ok(found)
    }

    /// How often each answer to a set was given.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn count_answers(
        &self,
        tenant: &str,
        question_set: &str,
    ) -> Result<Vec<ChoiceCount>, StoreError> {
        let action = "count answers";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT question, choice, COUNT(*) AS count FROM survey_answers \
                 WHERE tenant = $1 AND question_set = $2 GROUP BY question, choice \
                 ORDER BY question, choice",
            )
            .bind(tenant)
            .bind(question_set)
            .fetch_all(on)
            .await
        })
    }

    /// What the numbers were that a set was answered with.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn sum_answers(
        &self,
        tenant: &str,
        question_set: &str,
    ) -> Result<Vec<NumberSum>, StoreError> {
        let action = "sum up answers";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_as(
                "SELECT question, MIN(number) AS min, MAX(number) AS max, AVG(number) AS mean \
                 FROM survey_answers \
                 WHERE tenant = $1 AND question_set = $2 AND number IS NOT NULL \
                 GROUP BY question ORDER BY question",
            )
            .bind(tenant)
            .bind(question_set)
            .fetch_all(on)
            .await
        })
    }
}
