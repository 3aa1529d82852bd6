//! `POST /v1/do_not_call`.
//! Called when somebody asks not to be called.
//! Never fails because it was known: it is true either way.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use wire::rest::calls::DoNotCall;

use super::number;
use crate::App;
use crate::auth::Caller;
use crate::http::{ApiError, Json};

/// Longest note, in characters.
const NOTE_MAX: usize = 500;

/// Note that somebody must not be called. Calls to them that wait are not placed.
#[utoipa::path(
    post,
    path = "/v1/do_not_call",
    tag = "calls",
    request_body = DoNotCall,
    responses(
        (status = 201, description = "They are not called any more", body = DoNotCall),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
    )
)]
pub(crate) async fn create(
    by: Caller,
    State(app): State<Arc<App>>,
    Json(body): Json<DoNotCall>,
) -> Result<(StatusCode, Json<DoNotCall>), ApiError> {
    let number = number(&body.number)?;
    let note = body.note.as_deref().unwrap_or_default();
    if note.chars().count() > NOTE_MAX || note.contains('\0') {
        let message = format!("Invalid 'note': it may have {NOTE_MAX} characters and no NUL.");
        return Err(ApiError::invalid_value("note", message));
    }
    let sql = &app.store.sql;
    let now = app.clock.utc();
    let callee = sql.callee(number.as_str()).await?;
    let content = serde_json::json!({ "number": number.as_str(), "note": body.note }).to_string();
    let said = ("api", content.as_str());
    sql.add_do_not_call(&by.0.tenant, &callee, said, now)
        .await?;
    let shown = DoNotCall {
        number: number.as_str().to_owned(),
        note: body.note,
        source: Some("api".to_owned()),
        created_at: Some(now.timestamp()),
    };
    Ok((StatusCode::CREATED, Json(shown)))
}
