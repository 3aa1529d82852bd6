//! `GET /v1/surveys/{id}`.
//! Called by whoever wants to see the questions.
//! Never shows an answer.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::surveys::Survey;

use super::{find, shown};
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};

/// Show one survey.
#[utoipa::path(
    get,
    path = "/v1/surveys/{id}",
    tag = "surveys",
    params(("id" = String, Path, description = "The survey's id")),
    responses(
        (status = 200, description = "The survey", body = Survey),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "No survey has this id"),
    )
)]
pub(crate) async fn show(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Survey>, ApiError> {
    let set = find(&app, &by.principal.tenant, &id).await?;
    Ok(Json(shown(set)))
}
