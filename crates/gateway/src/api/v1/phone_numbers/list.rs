//! `GET /v1/phone_numbers`.
//! Called by whoever sets numbers up.
//! Never lists another tenant's.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use wire::rest::calls::{Page, PhoneNumber};

use super::{shown, unreadable};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json, Query};

/// Most numbers in one answer.
const MOST: u32 = 100;

/// Which numbers.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// `next` of the page before.
    after: Option<String>,
    /// How many, 1 to 100.
    limit: Option<u32>,
}

/// List the telephone numbers.
#[utoipa::path(
    get,
    path = "/v1/phone_numbers",
    tag = "calls",
    params(Which),
    responses(
        (status = 200, description = "Numbers in their order", body = Page<PhoneNumber>),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
    )
)]
pub(crate) async fn list(
    by: Administrator,
    State(app): State<Arc<App>>,
    Query(which): Query<Which>,
) -> Result<Json<Page<PhoneNumber>>, ApiError> {
    let limit = which.limit.unwrap_or(MOST).clamp(1, MOST);
    let tenant = &by.principal.tenant;
    let lines = app
        .store
        .sql
        .list_lines(tenant, which.after.as_deref(), limit + 1);
    let mut lines = lines.await.map_err(unreadable)?;
    let has_more = lines.len() > limit as usize;
    lines.truncate(limit as usize);
    let next = lines.last().filter(|_| has_more);
    let next = next.map(|line| line.number.clone());
    let data = lines.into_iter().map(shown).collect();
    Ok(Json(Page::new(data, next)))
}
