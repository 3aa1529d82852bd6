//! `POST /v1/calls`.
//! Called by whoever wants somebody to be called.
//! Never places a call itself: it waits in the queue until it is due.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use wire::rest::calls::{Call, NewCall};

use crate::App;
use crate::auth::Caller;
use crate::dialler::intake::{self, Asker, NotTaken};
use crate::dialler::view;
use crate::http::{ApiError, Json};

/// The header that names a request.
const KEY: &str = "idempotency-key";
/// Longest name of a request, in characters.
const KEY_MAX: usize = 200;
/// The place in the queue of calls that have no reason for another.
const PRIORITY: i64 = 3;

/// Have somebody called. The header `Idempotency-Key` names the request: sent again, it is the same call.
#[utoipa::path(
    post,
    path = "/v1/calls",
    tag = "calls",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the request, up to 200 characters")),
    request_body = NewCall,
    responses(
        (status = 201, description = "The call, which waits in the queue", body = Call),
        (status = 200, description = "The call that this request was before", body = Call),
        (status = 400, description = "A field is invalid; `param` names it"),
        (status = 401, description = "No usable key"),
        (status = 403, description = "A rule forbids the call; `code` names it: `blocked_dnc`, `blocked_no_consent`, `blocked_window`, `blocked_number`"),
        (status = 409, description = "The request's name was used for another call, or no carrier account places calls"),
    )
)]
pub(crate) async fn create(
    by: Caller,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Json(body): Json<NewCall>,
) -> Result<(StatusCode, Json<Call>), ApiError> {
    let key = match headers.get(KEY) {
        None => None,
        Some(value) => {
            let text = value.to_str().ok().map(str::trim);
            let text = text.filter(|text| (1..=KEY_MAX).contains(&text.len()));
            let text = text.ok_or_else(|| {
                let message = format!(
                    "The header 'Idempotency-Key' must have 1 to {KEY_MAX} printable characters."
                );
                ApiError::invalid_value("Idempotency-Key", message)
            })?;
            Some(format!("api {text}"))
        }
    };
    let who = &by.0;
    if let Some(agent) = &body.agent {
        app.agents.find(who.place(), agent).await?;
    }
    let asker = Asker {
        tenant: &who.tenant,
        project: &who.project,
        initiator: &who.key_id,
        request_key: key.as_deref(),
        priority: PRIORITY,
    };
    let taken = intake::take(&app, asker, body).await?;
    let status = if taken.known {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(view::shown(&taken.call))))
}

impl From<NotTaken> for ApiError {
    fn from(error: NotTaken) -> Self {
        let message = error.to_string();
        match error {
            NotTaken::Invalid { field, .. } => Self::invalid_value(field, message),
            NotTaken::Forbidden(rule) => {
                let mut words = message.chars();
                let first = words.next().map(|first| first.to_ascii_uppercase());
                let sentence: String = first.into_iter().chain(words).collect();
                Self::new(StatusCode::FORBIDDEN, rule.name(), format!("{sentence}."))
            }
            NotTaken::NoAccount(_) => {
                Self::new(StatusCode::CONFLICT, "no_carrier_account", message)
            }
            NotTaken::OtherRequest => Self::new(
                StatusCode::CONFLICT,
                "idempotency_key_reused",
                "This Idempotency-Key was used for another call. Use a new key for a new call.",
            ),
            NotTaken::Store(error) => error.into(),
        }
    }
}
