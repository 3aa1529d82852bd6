//! `GET /v1/admin/tenants`.
//! Called by whoever wants to know who the customers are.
//! Never lists more than the own tenant to whoever is no operator.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use wire::rest::tenants::TenantList;

use super::{find, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json, Query};

/// Tenants in one answer, unless fewer are asked for.
const PAGE: u32 = 100;

/// Which tenants.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only those after this id.
    after: Option<String>,
    /// How many, 1 to 100.
    limit: Option<u32>,
}

/// List the tenants.
#[utoipa::path(
    get,
    path = "/v1/admin/tenants",
    tag = "admin",
    params(Page),
    responses(
        (status = 200, description = "Tenants in the order of their ids", body = TenantList),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer a tenant"),
    )
)]
pub(crate) async fn list(
    by: Administrator,
    State(app): State<Arc<App>>,
    Query(page): Query<Page>,
) -> Result<Json<TenantList>, ApiError> {
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let mut tenants = if by.principal.is_operator() {
        let after = page.after.unwrap_or_default();
        let found = app.store.sql.list_tenants(&after, limit + 1).await;
        found?
    } else {
        vec![find(&app, &by, &by.principal.tenant).await?]
    };
    let has_more = tenants.len() > limit as usize;
    tenants.truncate(limit as usize);
    Ok(Json(TenantList {
        object: "list",
        data: tenants.into_iter().map(shown).collect(),
        has_more,
    }))
}
