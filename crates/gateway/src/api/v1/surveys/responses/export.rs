//! `GET /v1/surveys/{id}/responses.csv`.
//! Called by whoever takes the answers elsewhere.
//! Never has more than a page of them in memory.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::stream;
use serde::Deserialize;
use store::{StoreError, StoredResponse};
use wire::rest::surveys::Answer;

use super::super::find;
use crate::App;
use crate::auth::Administrator;
use crate::http::ApiError;
use crate::survey::{cell, csv_line, questions};

/// Responses read at a time.
const PAGE: u32 = 500;

/// What is kept of a response, sealed.
#[derive(Deserialize)]
struct Content {
    email: String,
    answers: Vec<Answer>,
}

/// Export the answers to a survey, with the addresses of who gave them.
#[utoipa::path(
    get,
    path = "/v1/surveys/{id}/responses.csv",
    tag = "surveys",
    params(("id" = String, Path, description = "The survey's id")),
    responses(
        (status = 200, description = "A line for each response, oldest first, below a line with the questions (RFC 4180)", content_type = "text/csv", body = String),
        (status = 401, description = "No usable key"),
        (status = 403, description = "The key does not administer the tenant"),
        (status = 404, description = "No survey has this id"),
    )
)]
pub(crate) async fn export(
    by: Administrator,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let tenant = by.principal.tenant;
    let set = find(&app, &tenant, &id).await?;
    let asked = questions(set).map(|it| it.questions).unwrap_or_default();
    let heads = ["id", "email", "completed_at"].map(str::to_owned);
    let heads = heads.into_iter().chain(asked.into_iter().map(|it| it.text));
    let export = Export {
        head: Some(csv_line(heads)),
        after: None,
        app,
        tenant,
        id: id.clone(),
    };
    let pages = stream::try_unfold(Some(export), next);
    let name = format!("attachment; filename=\"{id}.csv\"");
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

/// How far an export has come.
struct Export {
    app: Arc<App>,
    tenant: String,
    id: String,
    head: Option<String>,
    after: Option<(DateTime<Utc>, String)>,
}

/// The next page of lines; nothing after the last. An error breaks the answer off, so that nobody takes it for whole.
async fn next(export: Option<Export>) -> Result<Option<(Bytes, Option<Export>)>, StoreError> {
    let Some(mut export) = export else {
        return Ok(None);
    };
    let after = export.after.as_ref().map(|(at, id)| (*at, id.as_str()));
    let sql = &export.app.store.sql;
    let page = sql
        .list_responses(&export.tenant, &export.id, after, PAGE)
        .await?;
    let mut text = export.head.take().unwrap_or_default();
    for response in &page {
        text.push_str(&line(response));
    }
    let is_last = page.len() < PAGE as usize;
    if let Some(last) = page.into_iter().next_back() {
        export.after = Some((last.completed_at, last.id));
    }
    Ok(Some((Bytes::from(text), (!is_last).then_some(export))))
}

fn line(response: &StoredResponse) -> String {
    let at = response.completed_at;
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let content = serde_json::from_slice::<Content>(&response.content).ok();
    let (email, answers) = content.map_or_else(
        || (String::new(), Vec::new()),
        |content| (content.email, content.answers),
    );
    let cells = [response.id.clone(), email, at];
    csv_line(cells.into_iter().chain(answers.iter().map(cell)))
}
