//! `PATCH /v1/admin/tenants/{id}`.
//! Called when a customer has another name, plan or limits; the limits count within a minute.
//! Never drops a conversation that runs.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::tenants::{ChangeTenant, Tenant};

use super::super::to_the_end;
use super::{find, limits, operator, plan, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};
use crate::tenants;

/// Change a tenant.
#[utoipa::path(
    patch,
    path = "/v1/admin/tenants/{id}",
    tag = "admin",
    params(("id" = String, Path, description = "The tenant's id")),
    request_body = ChangeTenant,
    responses(
        (status = 200, description = "The tenant as it is now", body = Tenant),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "Only an operator changes plans and limits"),
        (status = 404, description = "There is none, or it is another's"),
        (status = 409, description = "Somebody else has just changed it"),
    )
)]
pub(crate) async fn update(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Json(body): Json<ChangeTenant>,
) -> Result<Json<Tenant>, ApiError> {
    let seen = find(&app, &by, &id).await?;
    if body.plan.is_some() || body.limits.is_some() {
        operator(&by)?;
    }
    let mut changed = seen.clone();
    if let Some(text) = &body.name {
        changed.name = tenants::name(text)?;
    }
    if let Some(wanted) = body.plan {
        changed.plan = plan(&app, wanted)?;
    }
    if let Some(wanted) = body.limits {
        changed.limits = limits(wanted)?;
    }
    changed.updated_at = app.clock.utc();
    let act = by.actor.act(changed.updated_at, "tenant.update", &id);
    let storing = {
        let app = app.clone();
        async move { tenants::update(&app.store, &seen, changed, act).await }
    };
    let changed = to_the_end(&app, storing).await??;
    Ok(Json(shown(changed)))
}
