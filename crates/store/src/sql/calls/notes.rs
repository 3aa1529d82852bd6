//! What becomes known of a call while it lasts: its stream, its conversation, when a machine was disclosed, what it cost.
//! Written by the gateway's telephony, each piece as it is known.
//! Never touches another attempt, and never takes back what is known.

use crate::sql::{Scope, Sql};
use crate::{NUL, StoreError};

/// What has become known; what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallNotes<'a> {
    /// What the carrier calls its stream of audio.
    pub stream_id: Option<&'a str>,
    /// Its conversation, `sess_…`.
    pub session: Option<&'a str>,
    /// Who answered, such as `human`.
    pub answered_by: Option<&'a str>,
    /// When it was said that a machine speaks, in ms after the answer.
    pub disclosed_ms: Option<i64>,
    /// What the attempt cost, in micro-dollars; a call costs what its attempts do together.
    pub actual_micros: Option<i64>,
    /// What that is made of, as JSON; of a call it is that of its last attempt.
    pub cost_parts: Option<&'a str>,
    /// What went wrong.
    pub error_message: Option<&'a str>,
}

impl Sql {
    /// Notes what has become known of `attempt` of a call; false when the call is at another attempt, or is not there.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn note_call(
        &self,
        (tenant, id, attempt): (&str, &str, i64),
        notes: CallNotes<'_>,
    ) -> Result<bool, StoreError> {
        if id.contains(NUL) {
            return Ok(false);
        }
        let action = "note what is known of a call";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            let written = sqlx::query(
                "UPDATE calls SET stream_id = COALESCE($4, stream_id), session = COALESCE($5, session), \
                 answered_by = COALESCE($6, answered_by), disclosed_ms = COALESCE($7, disclosed_ms), \
                 actual_micros = COALESCE($8, actual_micros), cost_parts = COALESCE($9, cost_parts), \
                 error_message = COALESCE($10, error_message), version = version + 1 \
                 WHERE tenant = $1 AND id = $2 AND attempt_number = $3",
            )
            .bind(tenant)
            .bind(id)
            .bind(attempt)
            .bind(notes.stream_id)
            .bind(notes.session)
            .bind(notes.answered_by)
            .bind(notes.disclosed_ms)
            .bind(notes.actual_micros)
            .bind(notes.cost_parts)
            .bind(notes.error_message)
            .execute(&mut *on)
            .await?
            .rows_affected();
            let Some(micros) = notes.actual_micros else {
                return Ok(written == 1);
            };
            // a call that came in has no attempts
            let spent = sqlx::query(
                "UPDATE call_attempts SET actual_micros = $4 WHERE tenant = $1 AND call = $2 AND attempt = $3",
            )
            .bind(tenant)
            .bind(id)
            .bind(attempt)
            .bind(micros)
            .execute(&mut *on)
            .await?
            .rows_affected();
            if spent > 0 {
                sqlx::query(
                    "UPDATE calls SET version = version + 1, actual_micros = (SELECT CAST(SUM(a.actual_micros) AS BIGINT) \
                     FROM call_attempts a WHERE a.tenant = $1 AND a.call = $2) WHERE tenant = $1 AND id = $2",
                )
                .bind(tenant)
                .bind(id)
                .execute(on)
                .await?;
            }
            Ok(written == 1)
        })
    }
}
