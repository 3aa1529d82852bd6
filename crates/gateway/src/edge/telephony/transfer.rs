//! What a carrier is to do with a caller who is passed on, and with whoever is to take them over.
//! Mounted below `/telephony/{carrier}`; what was agreed on stands with the call (`calls::transfer`).
//! Never connects anybody for an address that does not prove its call, or after the transfer was given up.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use engine::call::state::{CarrierStatus, Outcome};
use serde_json::json;
use store::{NewCallEvent, StoredCall};
use wire::rest::calls::TransferMode;
use wire::telephony::answer::{Conference, Dial, Role, Speech, Step};
use wire::telephony::callback::CallStatus;

use super::addresses;
use super::answer::{Question, document, failed, question};
use super::door;
use crate::App;
use crate::auth::chain;
use crate::calls::transfer::{self, Passing};
use crate::calls::{CallKey, Details};
use crate::http::ApiError;

/// Said to whoever takes a call over, when the caller has left.
const GONE: &str = "The caller has hung up.";

/// The routes.
pub(super) fn routes() -> Router<Arc<App>> {
    let path = |name: &str| format!("/telephony/{{carrier}}/{name}");
    Router::new()
        .route(&path("transfer"), get(caller).post(caller))
        .route(&path("transferred"), get(afterwards).post(afterwards))
        .route(&path("consult"), get(other).post(other))
        .route(&path("consulted"), get(report).post(report))
}

/// Where the two meet.
fn room(key: &CallKey) -> String {
    format!("{}-{}", key.id, key.attempt)
}

/// The call that a question is about, and the transfer that stands with it.
async fn asked(
    app: &App,
    question: &Question,
) -> Result<Option<(CallKey, StoredCall, Option<Passing>)>, ApiError> {
    let query = question.parts.uri.query().unwrap_or_default();
    let Some(key) = addresses::named(app, query) else {
        return Ok(None);
    };
    let call = app.store.sql.find_call(&key.tenant, &key.id).await;
    let Some(call) = call.map_err(|error| failed(&error))? else {
        return Ok(None);
    };
    let details = Details::of(&call);
    let passing = transfer::under_way(&details, &key, app.clock.utc()).cloned();
    Ok(Some((key, call, passing)))
}

/// `/telephony/{carrier}/transfer`: the caller has been taken out of the conversation.
async fn caller(
    State(app): State<Arc<App>>,
    Path(carrier): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let question = question(&app, &carrier, request).await?;
    let dialect = question.carrier;
    let Some((key, call, Some(passing))) = asked(&app, &question).await? else {
        return document(dialect, &[Step::Hangup]);
    };
    let origin = door::external(&app, &question.parts);
    let base = addresses::base(&app, &origin);
    let name = room(&key);
    if passing.mode == TransferMode::Warm {
        let room = Conference {
            name: &name,
            role: Role::Guest,
            wait_url: None,
        };
        return document(dialect, &[Step::Conference(room)]);
    }
    let details = Details::of(&call);
    let shown = app.dialler.line(&call.account);
    let shown = shown.map(|line| transfer::shown_number(&call, &details, line));
    let action = addresses::transferred(&app, base, dialect, &key);
    let dial = Dial {
        to: &passing.to,
        caller_id: shown.as_deref().filter(|number| !number.is_empty()),
        timeout_s: Some(passing.timeout_s),
        action: Some(&action),
    };
    document(dialect, &[Step::Dial(dial)])
}

/// `/telephony/{carrier}/transferred`: the other number was called, and that is over.
async fn afterwards(
    State(app): State<Arc<App>>,
    Path(carrier): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let question = question(&app, &carrier, request).await?;
    let word = question.report.cause.as_deref().unwrap_or_default();
    let taken = matches!(word, "" | "completed" | "answered");
    if let Some((key, ..)) = asked(&app, &question).await? {
        let content = json!({ "status": word }).to_string();
        let source_key = format!("{} transferred", key.attempt);
        let mut event = NewCallEvent::new("carrier", "transferred", app.clock.utc());
        event.content = &content;
        event.source_key = Some(&source_key);
        if let Err(error) = app.store.sql.add_call_event(key.named(), event).await {
            tracing::warn!(call = key.id, error = %chain(&error), "what became of a transfer is not written down");
        }
    }
    let apology = app.config.telephony.apology.trim();
    let carrier = question.carrier;
    app.metrics
        .calls()
        .transferred("cold", if taken { "taken" } else { "not_taken" });
    if taken || apology.is_empty() {
        return document(carrier, &[Step::Hangup]);
    }
    let words = Speech {
        text: apology,
        ..Speech::default()
    };
    document(carrier, &[Step::Say(words), Step::Hangup])
}

/// `/telephony/{carrier}/consult`: whoever is to take the caller over has answered.
async fn other(
    State(app): State<Arc<App>>,
    Path(carrier): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let question = question(&app, &carrier, request).await?;
    let carrier = question.carrier;
    let met = match asked(&app, &question).await? {
        Some((key, ..)) => transfer::meet(&app, &key).await.map(|one| (key, one)),
        None => return document(carrier, &[Step::Hangup]),
    };
    let say = |text| {
        Step::Say(Speech {
            text,
            ..Speech::default()
        })
    };
    let (key, passing) = match met {
        Ok((key, Some(passing))) => (key, passing),
        Ok((_, None)) => return document(carrier, &[say(GONE), Step::Hangup]),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "a caller cannot be moved to whoever takes them over");
            return document(carrier, &[Step::Hangup]);
        }
    };
    let name = room(&key);
    let host = Step::Conference(Conference {
        name: &name,
        role: Role::Host,
        wait_url: None,
    });
    match passing.summary.as_deref().map(str::trim) {
        Some(summary) if !summary.is_empty() => document(carrier, &[say(summary), host]),
        _ => document(carrier, &[host]),
    }
}

/// `/telephony/{carrier}/consulted`: how the call to them stands.
async fn report(
    State(app): State<Arc<App>>,
    Path(carrier): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let question = question(&app, &carrier, request).await?;
    let word = question.report.status.as_ref().map(CallStatus::word);
    let step = word.and_then(CarrierStatus::parse).map(|one| one.step(1));
    let over = step.filter(|step| step.state.is_over());
    let query = question.parts.uri.query().unwrap_or_default();
    if let (Some(step), Some(key)) = (over, addresses::named(&app, query)) {
        let why = step.outcome.map_or("hung up", Outcome::name);
        transfer::failed(&app, &key, why)
            .await
            .map_err(|error| failed(&error))?;
    }
    Ok(super::status::thanks())
}
