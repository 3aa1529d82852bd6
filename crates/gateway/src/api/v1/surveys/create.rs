//! `POST /v1/surveys`.
//! Called by whoever has something to ask.
//! Never replaces one that is there.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use engine::survey::answers;
use store::{NewSet, QuestionSet};
use wire::ids::Ids;
use wire::rest::surveys::{NewSurvey, Survey};

use super::shown;
use crate::App;
use crate::auth::Administrator;
use crate::http::{ApiError, Json};
use crate::survey::{SETS, is_id};

/// Make a survey.
#[utoipa::path(
    post,
    path = "/v1/surveys",
    tag = "surveys",
    request_body = NewSurvey,
    responses(
        (status = 201, description = "The survey", body = Survey),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 409, description = "The id is taken, or there are as many surveys as a tenant may have"),
    )
)]
pub(crate) async fn create(
    by: Administrator,
    State(app): State<Arc<App>>,
    Json(body): Json<NewSurvey>,
) -> Result<(StatusCode, Json<Survey>), ApiError> {
    if body.id.as_deref().is_some_and(|id| !is_id(id)) {
        let message = "Invalid 'id': expected 1 to 64 of a-z A-Z 0-9 . _ -";
        return Err(ApiError::invalid_value("id", message));
    }
    answers::check(&body.name, &body.questions).map_err(|problem| {
        let message = format!(
            "Invalid '{}': expected {}.",
            problem.place, problem.expected
        );
        ApiError::invalid_value(problem.place, message)
    })?;
    let id = body
        .id
        .unwrap_or_else(|| Ids::seeded(app.seed()).next("survey"));
    let now = app.clock.utc();
    let set = QuestionSet {
        id: id.clone(),
        name: body.name,
        questions: serde_json::to_value(&body.questions).unwrap_or_default(),
        active: body.active,
        created_at: now,
        responses: 0,
    };
    let act = by.actor.act(now, "survey.create", &id);
    let tenant = &by.principal.tenant;
    let made = app.store.sql.create_question_set(tenant, &set, SETS, &act);
    let conflict = |code, message: String| Err(ApiError::new(StatusCode::CONFLICT, code, message));
    match made.await? {
        NewSet::Stored => Ok((StatusCode::CREATED, Json(shown(set)))),
        NewSet::Taken => conflict(
            "survey_exists",
            format!("There is a survey '{id}' already. Choose another id."),
        ),
        NewSet::Full => conflict(
            "too_many_surveys",
            format!("A tenant may have {SETS} surveys. Delete one first."),
        ),
    }
}
