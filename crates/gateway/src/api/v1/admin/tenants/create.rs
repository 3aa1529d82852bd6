//! `POST /v1/admin/tenants`.
//! Called by whoever runs the installation when a customer comes.
//! Never gives a tenant an id that another has or had.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use wire::rest::tenants::{CreatedTenant, NewTenant as Body};

use super::super::{id, keys};
use super::{limits, operator, plan, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};
use crate::tenants::{self, FIRST_PLAN, NewTenant};

/// Make a tenant.
#[utoipa::path(
    post,
    path = "/v1/admin/tenants",
    tag = "admin",
    request_body = Body,
    responses(
        (status = 201, description = "The tenant, with a project `default` and its first key", body = CreatedTenant),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key is no operator's"),
        (status = 409, description = "There is or was a tenant of this id"),
    )
)]
pub(crate) async fn create(
    by: Administrator,
    State(app): State<Arc<App>>,
    Json(body): Json<Body>,
) -> Result<(StatusCode, Json<CreatedTenant>), ApiError> {
    operator(&by)?;
    let new = NewTenant {
        id: body.id.map(id).transpose()?,
        name: body.name,
        plan: plan(&app, body.plan.unwrap_or_else(|| FIRST_PLAN.to_owned()))?,
        limits: limits(body.limits)?,
    };
    let sql = &app.store.sql;
    let made = tenants::create(sql, &app.keys, new, &by.actor, app.clock.utc()).await?;
    let (tenant, minted) = made;
    let api_key = keys::created(&app, &tenant.id, &minted).await?;
    let tenant = shown(tenant);
    Ok((StatusCode::CREATED, Json(CreatedTenant { tenant, api_key })))
}
