//! `GET /v1/calls`.
//! Called by whoever looks after calls.
//! Never shows another tenant's.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Datelike as _, Utc};
use engine::call::number::E164;
use store::CallFilter;
use wire::rest::calls::{Call, CallQuery, Page};

use super::{shown, unreadable};
use crate::App;
use crate::auth::Caller;
use crate::http::{ApiError, Json, Query};

/// Calls in one answer, unless another number is asked for.
const PAGE: u32 = 20;
/// Most calls in one answer.
const MOST: u32 = 100;

/// List the calls.
#[utoipa::path(
    get,
    path = "/v1/calls",
    tag = "calls",
    params(
        ("state" = Option<String>, Query, description = "In this state"),
        ("outcome" = Option<String>, Query, description = "With this outcome"),
        ("direction" = Option<String>, Query, description = "`inbound` or `outbound`"),
        ("agent" = Option<String>, Query, description = "With this agent"),
        ("lead_id" = Option<String>, Query, description = "About this lead"),
        ("to" = Option<String>, Query, description = "To this number"),
        ("from_time" = Option<i64>, Query, description = "Made at this time or later, in Unix seconds"),
        ("until_time" = Option<i64>, Query, description = "Made before this time, in Unix seconds"),
        ("after" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "1 to 100; 20 when absent"),
    ),
    responses(
        (status = 200, description = "Calls, newest first", body = Page<Call>),
        (status = 400, description = "A parameter has no such value"),
        (status = 401, description = "No usable key"),
    )
)]
pub(crate) async fn list(
    Caller(principal): Caller,
    State(app): State<Arc<App>>,
    Query(query): Query<CallQuery>,
) -> Result<Json<Page<Call>>, ApiError> {
    let after = query.after.as_deref().map(cursor).transpose()?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, MOST);
    let sql = &app.store.sql;
    let callee = match &query.to {
        Some(to) => {
            let to = number(to)?;
            Some(sql.callee(to.as_str()).await.map_err(unreadable)?)
        }
        None => None,
    };
    let filter = CallFilter {
        state: query.state.as_deref(),
        outcome: query.outcome.as_deref(),
        direction: query.direction.as_deref(),
        agent: query.agent.as_deref(),
        lead: query.lead_id.as_deref(),
        callee: callee.as_ref().map(store::Callee::as_str),
        from: moment("from_time", query.from_time)?,
        until: moment("until_time", query.until_time)?,
        project: None,
    };
    let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
    let calls = sql.list_calls(&principal.tenant, &filter, after, limit + 1);
    let mut calls = calls.await.map_err(unreadable)?;
    let has_more = calls.len() > limit as usize;
    calls.truncate(limit as usize);
    let next = calls.last().filter(|_| has_more).map(|last| {
        let micros = last.created_at.timestamp_micros();
        format!("{micros}.{}", last.id)
    });
    let data = calls.iter().map(shown).collect();
    Ok(Json(Page::new(data, next)))
}

fn moment(param: &str, seconds: Option<i64>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    // PostgreSQL's last years are earlier than ours
    let at = DateTime::from_timestamp(seconds, 0).filter(|at| (0..=9999).contains(&at.year()));
    at.map(Some).ok_or_else(|| {
        ApiError::invalid_value(
            param,
            format!("Invalid '{param}': give Unix seconds, such as 1700000000."),
        )
    })
}

/// The number of a query; in one that is not escaped a plus has become a blank.
fn number(text: &str) -> Result<E164, ApiError> {
    let text = text.trim();
    let found = E164::parse(text).or_else(|_| E164::parse(&format!("+{text}")));
    found.map_err(|error| {
        ApiError::invalid_value(
            "to",
            format!("Invalid 'to': {error}; write the plus as %2B."),
        )
    })
}

/// Where a page ended.
fn cursor(text: &str) -> Result<(DateTime<Utc>, String), ApiError> {
    let parts = text.split_once('.');
    let found = parts.and_then(|(micros, id)| {
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some((at, id.to_owned()))
    });
    found.ok_or_else(|| {
        ApiError::invalid_value(
            "after",
            "Invalid 'after': give the `next` of a page before.",
        )
    })
}
