//! What carriers report of calls and streams: taken in, in any order, and answered at once.
//! Mounted at `/telephony/{carrier}/status` and at LeadFlip's `/api/webhooks/twilio/status` (spec/telephony §7.3).
//! Never lets a report move a call backwards, and never tells a carrier that a call is not ours.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use store::StoredCall;
use wire::rest::calls::leadflip::StatusTaken;

use super::answer::{Question, question};
use super::{addresses, door, lines};
use crate::App;
use crate::auth::chain;
use crate::calls::{CallKey, progress};
use crate::http::ApiError;

/// `POST` and `GET /telephony/{carrier}/status`.
pub(super) async fn status(
    State(app): State<Arc<App>>,
    Path(carrier): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let question = question(&app, &carrier, request).await?;
    Ok(take(&app, &question).await)
}

/// Takes a believed report in.
pub(super) async fn take(app: &App, question: &Question) -> Response {
    match taken(app, question).await {
        // also for calls that are not ours: a carrier that hears anything else sends it again
        Ok(()) => axum::Json(StatusTaken { success: true }).into_response(),
        Err(error) => {
            tracing::error!(error = %chain(&error), "cannot take in what a carrier reports");
            let body = serde_json::json!({ "error": "Webhook processing failed" });
            (StatusCode::INTERNAL_SERVER_ERROR, axum::Json(body)).into_response()
        }
    }
}

async fn taken(app: &App, question: &Question) -> Result<(), store::StoreError> {
    let report = &question.report;
    if let Some(stream) = &report.stream
        && stream.error.is_some()
    {
        app.metrics
            .calls()
            .protocol_error(question.carrier.name(), "stream_error");
    }
    let Some(call) = about(app, question).await? else {
        return Ok(());
    };
    let told = progress::told(app, &call, report).await?;
    if matches!(told, Some(store::Told::Known | store::Told::Stale(_))) {
        app.metrics.calls().stale_report(question.carrier.name());
    }
    Ok(())
}

/// The call that a report is about: the one that its address names, else the one that the carrier calls so.
async fn about(app: &App, question: &Question) -> Result<Option<CallKey>, store::StoreError> {
    let query = question.parts.uri.query().unwrap_or_default();
    if let Some(named) = addresses::named(app, query) {
        return Ok(Some(named));
    }
    let report = &question.report;
    let Some(carrier_call_id) = report.call_id.as_deref() else {
        return Ok(None);
    };
    let provider = door::account_of(question.carrier).name();
    // what an account says is believed of its own calls alone
    let account = question.believed.account.as_deref();
    let of_account = |found: &StoredCall| lines::is_with(found, account);
    // a call that came in is its line's; one that went out has an address of its own
    for number in [report.to.as_deref(), report.from.as_deref()] {
        let Some(number) = number else { continue };
        let line = lines::find(app, number).await?;
        let Some(line) = line.filter(|line| line.takes(account)) else {
            continue;
        };
        let found = progress::reported(app, &line.tenant, provider, carrier_call_id).await?;
        if let Some(found) = found.filter(of_account) {
            return Ok(Some(CallKey {
                tenant: line.tenant,
                id: found.id,
                attempt: found.attempt_number,
            }));
        }
    }
    let operators = crate::auth::DEFAULT_TENANT;
    let found = progress::reported(app, operators, provider, carrier_call_id).await?;
    Ok(found.filter(of_account).map(|found| CallKey {
        tenant: operators.to_owned(),
        id: found.id,
        attempt: found.attempt_number,
    }))
}
