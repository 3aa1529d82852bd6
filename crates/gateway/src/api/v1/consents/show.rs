//! `GET /v1/consents/{number}/{kind}`.
//! Called by whoever wants to know what somebody has agreed to.
//! Never shows what is not in force.

use std::sync::Arc;

use axum::extract::{Path, State};
use wire::rest::calls::Consent;

use super::super::do_not_call::number;
use super::kind;
use crate::App;
use crate::auth::Caller;
use crate::http::{ApiError, Json};

/// Show what somebody has agreed to, if that is in force.
#[utoipa::path(
    get,
    path = "/v1/consents/{number}/{kind}",
    tag = "calls",
    params(
        ("number" = String, Path, description = "In international form, `+14155550100`"),
        ("kind" = String, Path, description = "`ai_call` or `recording`"),
    ),
    responses(
        (status = 200, description = "It is in force", body = Consent),
        (status = 400, description = "It is no number"),
        (status = 401, description = "No usable key"),
        (status = 404, description = "None is in force"),
    )
)]
pub(crate) async fn show(
    by: Caller,
    State(app): State<Arc<App>>,
    Path((text, word)): Path<(String, String)>,
) -> Result<Json<Consent>, ApiError> {
    let (number, kind) = (number(&text)?, kind(&word)?);
    let sql = &app.store.sql;
    let callee = sql.callee(number.as_str()).await?;
    let asked = (&callee, kind.name());
    let found = sql
        .find_consent(&by.0.tenant, asked, app.clock.utc())
        .await?;
    let found = found.ok_or_else(|| ApiError::not_found("No such consent is in force."))?;
    let content: serde_json::Value = serde_json::from_slice(&found.content).unwrap_or_default();
    Ok(Json(Consent {
        number: number.as_str().to_owned(),
        kind,
        source: found.source,
        proof: content["proof"].as_str().map(str::to_owned),
        granted_at: Some(found.granted_at.timestamp()),
        expires_at: found.expires_at.map(|at| at.timestamp()),
    }))
}
