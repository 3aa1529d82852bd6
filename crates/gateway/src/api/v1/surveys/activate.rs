//! `POST /v1/surveys/{id}/activate`.
//! Called when a survey is ready to be asked.
//! Never asks two of a tenant's at once.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::surveys::Survey;

use super::{find, no_such, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Ask this survey from now on, in place of the one that was.
#[utoipa::path(
    post,
    path = "/v1/surveys/{id}/activate",
    tag = "surveys",
    params(("id" = String, Path, description = "The survey's id")),
    responses(
        (status = 200, description = "The survey as it is now", body = Survey),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "No survey has this id"),
    )
)]
pub(crate) async fn activate(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Survey>, ApiError> {
    let act = by.actor.act(app.clock.utc(), "survey.activate", &id);
    let (sql, tenant) = (&app.store.sql, &by.principal.tenant);
    let wanted = (id.as_str(), true);
    if !sql.activate_question_set(tenant, wanted, &act).await? {
        return Err(no_such(&id));
    }
    let set = find(&app, tenant, &id).await?;
    Ok(Json(shown(set)))
}
