//! `/v1/surveys`: what the text survey asks, and what came of it.
//! Mounted by `api::v1`; takes a key that administers the tenant.
//! Never changes a question that was asked: a changed survey is another one.

pub(super) mod activate;
pub(super) mod create;
pub(super) mod deactivate;
pub(super) mod delete;
pub(super) mod list;
pub(super) mod responses;
pub(super) mod results;
pub(super) mod show;

use store::QuestionSet;
use wire::rest::surveys::Survey;

use crate::App;
use crate::http::ApiError;
use crate::survey::questions;

/// A question set as it is shown; one that cannot be read is shown without its questions.
fn shown(set: QuestionSet) -> Survey {
    let (id, name) = (set.id.clone(), set.name.clone());
    let (active, created_at) = (set.active, set.created_at.timestamp());
    let responses = u64::try_from(set.responses).unwrap_or_default();
    Survey {
        object: "survey",
        questions: questions(set).map(|it| it.questions).unwrap_or_default(),
        id,
        name,
        active,
        created_at,
        responses,
    }
}

/// The question set `id` of `tenant`.
async fn find(app: &App, tenant: &str, id: &str) -> Result<QuestionSet, ApiError> {
    let found = app.store.sql.find_question_set(tenant, Some(id)).await?;
    found.ok_or_else(|| no_such(id))
}

fn no_such(id: &str) -> ApiError {
    let message = format!("No survey has the id '{id}'. GET /v1/surveys lists those there are.");
    ApiError::new(
        axum::http::StatusCode::NOT_FOUND,
        "survey_not_found",
        message,
    )
}
