//! The addresses that a LeadFlip deployment knows: its answer document, its status webhook.
//! Mounted beside our own routes; which carrier asks is told by the signature (spec/telephony §8, 2.5, 7.3).
//! Never believes more than those do.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::Response;
use wire::telephony::Dialect;

use super::answer::{self, failed};
use super::{addresses, lines, status};
use crate::App;
use crate::auth::DEFAULT_TENANT;
use crate::calls::CallKey;
use crate::http::ApiError;

/// The carrier whose signature a request bears, of the two that LeadFlip knows.
fn carrier(app: &App, request: &Request) -> Dialect {
    let headers = request.headers();
    let signed = |name: &str| headers.contains_key(name);
    let signalwire = signed("x-signalwire-signature") || signed("x-signalwire-sha256-signature");
    let has = |carrier| app.config.telephony.accounts_with(carrier).next().is_some();
    if signalwire || (has(Dialect::SignalWire) && !has(Dialect::Twilio)) {
        Dialect::SignalWire
    } else {
        Dialect::Twilio
    }
}

/// `POST` and `GET /api/twiml/call/{id}`: the document of a call of the operator's own, by our id of it.
pub(super) async fn twiml(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let carrier = carrier(&app, &request);
    let mut question = answer::question(&app, carrier.name(), request).await?;
    let call = app.store.sql.find_call(DEFAULT_TENANT, &id).await;
    let call = call.map_err(|error| failed(&error))?;
    let account = question.believed.account.as_deref();
    if let Some(call) = call.filter(|call| lines::is_with(call, account)) {
        let key = CallKey {
            tenant: DEFAULT_TENANT.to_owned(),
            id: call.id,
            attempt: call.attempt_number,
        };
        // as if it had been asked at the call's own address, which proves itself
        let own = addresses::answer(&app, "", carrier, &key);
        if let Ok(uri) = own.parse::<Uri>() {
            question.parts.uri = uri;
        }
    }
    answer::respond(&app, &question).await
}

/// `POST /api/webhooks/twilio/status`.
pub(super) async fn webhook(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let carrier = carrier(&app, &request);
    let question = answer::question(&app, carrier.name(), request).await?;
    Ok(status::take(&app, &question).await)
}
