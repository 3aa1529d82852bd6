//! `GET /v1/surveys/{id}/results`.
//! Called by whoever wants to know what came of a survey.
//! Never shows who answered what, and of words only how many there were.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::surveys::SurveyResults;

use super::super::find;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};
use crate::survey;

/// Count the answers to a survey.
#[utoipa::path(
    get,
    path = "/v1/surveys/{id}/results",
    tag = "surveys",
    params(("id" = String, Path, description = "The survey's id")),
    responses(
        (status = 200, description = "Question by question", body = SurveyResults),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "No survey has this id"),
    )
)]
pub(crate) async fn show(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<SurveyResults>, ApiError> {
    let (sql, tenant) = (&app.store.sql, &by.principal.tenant);
    let set = find(&app, tenant, &id).await?;
    let questions = survey::questions(set.clone()).map(|it| it.questions);
    let counts = sql.count_answers(tenant, &id).await?;
    let sums = sql.sum_answers(tenant, &id).await?;
    let questions = questions.unwrap_or_default();
    Ok(Json(survey::results(&set, &questions, &counts, &sums)))
}
