//! `POST /v1/consents`.
//! Called when somebody has agreed to be called by an artificial voice, or to be recorded.
//! Never makes good what was taken back later.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use wire::rest::calls::Consent;

use super::super::do_not_call::number;
use crate::App;
use crate::auth::Caller;
use crate::http::{ApiError, Json};

/// Longest source, and longest proof, in characters.
const TEXT_MAX: (usize, usize) = (100, 2000);

/// Note what somebody has agreed to, in place of what was known of it before.
#[utoipa::path(
    post,
    path = "/v1/consents",
    tag = "calls",
    request_body = Consent,
    responses(
        (status = 201, description = "It is noted", body = Consent),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 409, description = "It was taken back after the day on which it was given"),
    )
)]
pub(crate) async fn create(
    by: Caller,
    State(app): State<Arc<App>>,
    Json(mut body): Json<Consent>,
) -> Result<(StatusCode, Json<Consent>), ApiError> {
    let number = number(&body.number)?;
    let now = app.clock.utc();
    let bad = |field: &str, why: &str| {
        let message = format!("Invalid '{field}': {why}.");
        Err(ApiError::invalid_value(field, message))
    };
    let too_long = |text: &str, most: usize| text.chars().count() > most || text.contains('\0');
    if body.source.trim().is_empty() || too_long(&body.source, TEXT_MAX.0) {
        return bad("source", "it must have 1 to 100 characters");
    }
    if body
        .proof
        .as_deref()
        .is_some_and(|proof| too_long(proof, TEXT_MAX.1))
    {
        return bad("proof", "it may have 2000 characters");
    }
    let at = |seconds: Option<i64>| -> Option<Option<DateTime<Utc>>> {
        match seconds {
            None => Some(None),
            Some(seconds) => DateTime::from_timestamp(seconds, 0).map(Some),
        }
    };
    let granted_at = match at(body.granted_at) {
        Some(granted) => granted.unwrap_or(now),
        None => return bad("granted_at", "it must be Unix seconds"),
    };
    if granted_at > now {
        return bad("granted_at", "nobody agrees to something in the future");
    }
    let Some(expires_at) = at(body.expires_at) else {
        return bad("expires_at", "it must be Unix seconds");
    };
    let sql = &app.store.sql;
    let callee = sql.callee(number.as_str()).await?;
    let content = serde_json::json!({ "number": number.as_str(), "proof": body.proof });
    let granted = store::Consent {
        callee: callee.as_str().to_owned(),
        kind: body.kind.name().to_owned(),
        source: body.source.clone(),
        content: content.to_string().into_bytes(),
        granted_at,
        expires_at,
        revoked_at: None,
    };
    if !sql.grant_consent(&by.0.tenant, &granted).await? {
        let message = "This was taken back after the day on which it was given. Send the day of the new consent as granted_at.";
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "consent_revoked",
            message,
        ));
    }
    number.as_str().clone_into(&mut body.number);
    body.granted_at = Some(granted_at.timestamp());
    Ok((StatusCode::CREATED, Json(body)))
}
