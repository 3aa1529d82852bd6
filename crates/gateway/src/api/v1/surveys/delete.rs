//! `DELETE /v1/surveys/{id}`.
//! Called when neither the questions nor the answers are needed any more.
//! Never leaves an answer behind.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::surveys::SurveyDeleted;

use super::no_such;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Remove a survey with everything that was answered.
#[utoipa::path(
    delete,
    path = "/v1/surveys/{id}",
    tag = "surveys",
    params(("id" = String, Path, description = "The survey's id")),
    responses(
        (status = 200, description = "It is gone", body = SurveyDeleted),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "No survey has this id"),
    )
)]
pub(crate) async fn delete(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<SurveyDeleted>, ApiError> {
    let act = by.actor.act(app.clock.utc(), "survey.delete", &id);
    let tenant = &by.principal.tenant;
    if !app.store.sql.delete_question_set(tenant, &id, &act).await? {
        return Err(no_such(&id));
    }
    Ok(Json(SurveyDeleted {
        object: "survey.deleted",
        id,
        deleted: true,
    }))
}
