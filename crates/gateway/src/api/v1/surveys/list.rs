//! `GET /v1/surveys`.
//! Called by whoever wants to know what is asked.
//! Never lists another tenant's.

use std::sync::Arc;

use axum::extract::State;
use wire::rest::surveys::SurveyList;

use super::shown;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// List the surveys.
#[utoipa::path(
    get,
    path = "/v1/surveys",
    tag = "surveys",
    responses(
        (status = 200, description = "All surveys, the newest first", body = SurveyList),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
    )
)]
pub(crate) async fn list(
    by: Administrator,
    State(app): State<Arc<App>>,
) -> Result<Json<SurveyList>, ApiError> {
    let sets = app
        .store
        .sql
        .list_question_sets(&by.principal.tenant)
        .await?;
    Ok(Json(SurveyList {
        object: "list",
        data: sets.into_iter().map(shown).collect(),
    }))
}
