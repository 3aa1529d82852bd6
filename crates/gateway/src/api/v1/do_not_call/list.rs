//! `GET /v1/do_not_call`.
//! Called by whoever looks after the list.
//! Never lists another tenant's.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use wire::rest::calls::{DoNotCall, Page};

use super::shown;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json, Query};

/// Entries of a page: as asked, and at most.
const PAGE: (u32, u32) = (100, 1000);

/// Which page.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    after: Option<String>,
    limit: Option<u32>,
}

/// List who must not be called.
#[utoipa::path(
    get,
    path = "/v1/do_not_call",
    tag = "calls",
    params(
        ("after" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "1 to 1000; 100 when absent"),
    ),
    responses(
        (status = 200, description = "A page of the list", body = Page<DoNotCall>),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
    )
)]
pub(crate) async fn list(
    by: Administrator,
    State(app): State<Arc<App>>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page<DoNotCall>>, ApiError> {
    let limit = wanted.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        let message = format!("Invalid 'limit': it must be 1 to {}.", PAGE.1);
        return Err(ApiError::invalid_value("limit", message));
    }
    let after = wanted
        .after
        .as_deref()
        .filter(|after| !after.contains('\0'));
    let tenant = &by.principal.tenant;
    let mut found = app
        .store
        .sql
        .list_do_not_call(tenant, after, limit + 1)
        .await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found
        .last()
        .filter(|_| more)
        .map(|last| last.callee.clone());
    Ok(Json(Page::new(found.iter().map(shown).collect(), next)))
}
