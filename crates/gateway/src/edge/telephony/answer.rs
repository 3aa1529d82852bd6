//! What a carrier is to do with a call: the answer to its first question, and to the one that follows the stream.
//! Mounted at `/telephony/{carrier}/answer` and `/after`, and at LeadFlip's `/api/twiml/call/{id}` (spec/telephony §2.5).
//! Never answers a carrier that is not believed, and never sends a caller anywhere without a token for the way.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use engine::call::state::{CallState, HangupReason};
use store::{StoreError, StoredCall};
use wire::ids::Ids;
use wire::telephony::answer::{self, Markup, Reject, Speech, Step, Stream, Unwritable};
use wire::telephony::callback::{Callback, Fields, MAX_BODY_BYTES};
use wire::telephony::{Dialect, Format};

use super::door::{self, Believed, Knock};
use super::lines::{self, Line};
use super::trust::token;
use super::trust::twilio::Kind;
use super::{addresses, parameters};
use crate::App;
use crate::auth::chain;
use crate::calls::{CallKey, Details, leg};
use crate::dialler::announce;
use crate::http::ApiError;

/// How long a carrier that asks what follows a stream is kept waiting for the end of the call to be written down.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks whether it is.
const END_LOOK: Duration = Duration::from_millis(50);

/// A carrier's question, believed and read.
pub(super) struct Question {
    pub(super) carrier: Dialect,
    pub(super) believed: Believed,
    pub(super) parts: Parts,
    pub(super) report: Callback,
}

/// Reads and believes a request over HTTP.
///
/// # Errors
/// 404 for a carrier that there is none of, 413, 403.
pub(super) async fn question(
    app: &App,
    carrier: &str,
    request: Request,
) -> Result<Question, ApiError> {
    let carrier = dialect(app, carrier)?;
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| {
            ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "A carrier's report has at most 256 KiB.",
            )
        })?;
    let knock = Knock {
        carrier,
        parts: &parts,
        body: &body,
        kind: Kind::Request,
    };
    let believed = door::believe(app, &knock).await?;
    let report = Callback::read(carrier, &fields(&parts, &body)?);
    Ok(Question {
        carrier,
        believed,
        parts,
        report,
    })
}

/// The carrier that a path names.
///
/// # Errors
/// 404.
pub(super) fn dialect(app: &App, name: &str) -> Result<Dialect, ApiError> {
    let found = Dialect::named(name).filter(|_| app.config.telephony.enabled());
    found.ok_or_else(|| {
        let known = Dialect::ALL.map(Dialect::name).join(", ");
        ApiError::not_found(format!(
            "There is no carrier '{name}' here; there are {known}."
        ))
    })
}

fn fields(parts: &Parts, body: &Bytes) -> Result<Fields, ApiError> {
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let fields = if body.is_empty() {
        Fields::form(parts.uri.query().unwrap_or_default().as_bytes())
    } else {
        Fields::body(kind, body)
    };
    fields.map_err(|error| ApiError::invalid("unreadable_report", format!("{error}.")))
}

/// `POST` and `GET /telephony/{carrier}/answer`.
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Path(carrier): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let question = question(&app, &carrier, request).await?;
    respond(&app, &question).await
}

/// Answers a believed question.
///
/// # Errors
/// 500 when the database cannot be asked; carriers ask a second time.
pub(super) async fn respond(app: &App, question: &Question) -> Result<Response, ApiError> {
    let carrier = question.carrier;
    let busy = app.lifecycle.stopping() || app.phone.live.is_full();
    let named = addresses::named(app, question.parts.uri.query().unwrap_or_default());
    let mut attempt = named.as_ref().map(|key| key.attempt);
    let found = match named {
        Some(CallKey { tenant, id, .. }) => {
            let call = app.store.sql.find_call(&tenant, &id).await;
            call.map(|call| call.map(|call| (tenant, call)))
        }
        None => match placed(app, question).await {
            Ok(Some((tenant, call, of_attempt))) => {
                attempt = of_attempt;
                Ok(Some((tenant, call)))
            }
            Ok(None) => incoming(app, question, busy).await,
            Err(error) => Err(error),
        },
    };
    let call = found.map_err(|error| failed(&error))?;
    match call {
        Some((_, call)) if busy => {
            app.metrics.calls().refused(carrier.name(), "busy");
            // whom we have rung has answered: there is nothing to reject
            if call.direction == "outbound" {
                return document(carrier, &[Step::Hangup]);
            }
            document(carrier, &turned_away(carrier, Reject::Busy))
        }
        Some((_, call)) if takes_nobody(&call, attempt) => document(carrier, &[Step::Hangup]),
        Some((tenant, call)) => {
            let key = CallKey {
                tenant,
                id: call.id,
                attempt: call.attempt_number,
            };
            connect(app, question, &key)
        }
        None => {
            app.metrics
                .calls()
                .refused(carrier.name(), "unknown_number");
            document(carrier, &turned_away(carrier, Reject::Rejected))
        }
    }
}

/// The call of ours that Exotel has connected with its flow: the flow asks at an address that all calls share, and says what
/// was sent along with this one, its attempt too.
async fn placed(
    app: &App,
    question: &Question,
) -> Result<Option<(String, StoredCall, Option<i64>)>, StoreError> {
    let named = question.report.correlation.as_deref();
    let mut parts = named.unwrap_or_default().rsplitn(3, '.');
    let (Some(attempt), Some(id), Some(tenant)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(None);
    };
    let call = app.store.sql.find_call(tenant, id).await?;
    let account = question.believed.account.as_deref();
    // who has another account's password names no calls of this one
    let call =
        call.filter(|call| call.direction == "outbound" && Some(call.account.as_str()) == account);
    Ok(call.map(|call| (tenant.to_owned(), call, attempt.parse().ok())))
}

/// The call that comes in: stored when it is new, and found again when the carrier asks a second time.
///
/// One that is turned away because all places are taken is not stored: the carrier may try again.
async fn incoming(
    app: &App,
    question: &Question,
    busy: bool,
) -> Result<Option<(String, StoredCall)>, StoreError> {
    let report = &question.report;
    let Some(to) = report.to.as_deref() else {
        return Ok(None);
    };
    let line = lines::find(app, to).await?;
    let account = question.believed.account.as_deref();
    let Some(line) = line.filter(|line| line.takes(account)) else {
        return Ok(None);
    };
    if busy {
        return Ok(Some((line.tenant, StoredCall::default())));
    }
    let arrival = Arrival {
        carrier: question.carrier,
        account,
        carrier_call_id: report.call_id.as_deref(),
        from: report.from.as_deref(),
        to: Some(to),
        state: CallState::Ringing,
    };
    let call = arrive(app, &line, &arrival).await?;
    Ok(Some((line.tenant, call)))
}

/// A call that comes in.
pub(super) struct Arrival<'a> {
    pub(super) carrier: Dialect,
    pub(super) account: Option<&'a str>,
    pub(super) carrier_call_id: Option<&'a str>,
    pub(super) from: Option<&'a str>,
    pub(super) to: Option<&'a str>,
    pub(super) state: CallState,
}

/// Stores a call that comes in to `line`, or finds it where the carrier's name of it is known.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn arrive(
    app: &App,
    line: &Line,
    arrival: &Arrival<'_>,
) -> Result<StoredCall, StoreError> {
    let sql = &app.store.sql;
    let provider = door::account_of(arrival.carrier).name();
    let now = app.clock.utc();
    let readable = |number: Option<&str>| {
        number.map(|number| lines::normal(number).unwrap_or_else(|| number.to_owned()))
    };
    let details = Details {
        from: readable(arrival.from),
        to: readable(arrival.to),
        ..Details::default()
    };
    let call = StoredCall {
        id: Ids::seeded(app.seed()).next("call"),
        project: line.project.clone(),
        provider: provider.to_owned(),
        carrier_call_id: arrival.carrier_call_id.map(str::to_owned),
        direction: "inbound".to_owned(),
        state: arrival.state.name().to_owned(),
        account: arrival.account.unwrap_or_default().to_owned(),
        agent: line.agent.clone(),
        attempt_number: 1,
        priority: 3,
        details: details.to_bytes(),
        created_at: now,
        updated_at: now,
        started_at: Some(now),
        seen_at: Some(now),
        ..StoredCall::default()
    };
    let key = CallKey {
        tenant: line.tenant.clone(),
        id: call.id.clone(),
        attempt: call.attempt_number,
    };
    let effects = announce::arrived(app, &key, &call, now).await?;
    if sql.create_call(&line.tenant, &call, &effects).await? {
        app.metrics.calls().began(provider, "inbound");
        app.outbox.wake();
        return Ok(call);
    }
    let known = match &call.carrier_call_id {
        Some(id) => sql.find_carrier_call(&line.tenant, (provider, id)).await?,
        None => None,
    };
    Ok(known.unwrap_or(call))
}

fn is_over(call: &StoredCall) -> bool {
    call.finalized_at.is_some() || CallState::parse(&call.state).is_none_or(CallState::is_over)
}

/// Whether nobody is to be connected with it: it is over, somebody hangs up, it waits to be placed, or it is another `attempt`
/// than the one that asks.
pub(super) fn takes_nobody(call: &StoredCall, attempt: Option<i64>) -> bool {
    let state = CallState::parse(&call.state);
    let stands = |state: CallState| state != CallState::Ending && !state.is_before_dialing();
    is_over(call)
        || !state.is_some_and(stands)
        || attempt.is_some_and(|it| it != call.attempt_number)
}

/// The document that connects a call with our socket.
fn connect(app: &App, question: &Question, key: &CallKey) -> Result<Response, ApiError> {
    let carrier = question.carrier;
    let origin = door::external(app, &question.parts);
    let base = addresses::base(app, &origin);
    let url = addresses::stream(app, base, carrier);
    let after = addresses::after(app, base, carrier, key);
    let status = addresses::status(app, base, carrier, key);
    let proof = addresses::mint(app, key, token::LIFETIME_S);
    let parameters = parameters::write(carrier, key, &proof);
    let parameters: Vec<(&str, &str)> = parameters
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let account = question.believed.account.as_deref();
    let account = account.and_then(|name| {
        let own = app.config.telephony.accounts.get(name);
        own.map(|own| door::stream_secret(app, name, own))
    });
    let asks_after = !matches!(carrier, Dialect::Vonage | Dialect::Exotel);
    let stream = Stream {
        url: &url,
        parameters: &parameters,
        format: match carrier {
            Dialect::Vonage => Format::L16At16k,
            Dialect::Exotel => Format::L16At8k,
            _ => Format::Mulaw8k,
        },
        status_callback: (carrier != Dialect::Exotel).then_some(status.as_str()),
        action: asks_after.then_some(after.as_str()),
        bearer: account
            .as_deref()
            .filter(|_| matches!(carrier, Dialect::SignalWire | Dialect::Vonage)),
    };
    let greeting = (carrier == Dialect::Relay).then(|| answer::Relay {
        url: &url,
        parameters: &parameters,
        action: Some(&after),
        ..answer::Relay::default()
    });
    match greeting {
        Some(relay) => document(carrier, &[Step::Relay(relay)]),
        None => document(carrier, &[Step::Stream(stream)]),
    }
}

/// How a carrier is told that nobody takes the call.
fn turned_away(carrier: Dialect, why: Reject) -> [Step<'static>; 1] {
    match carrier {
        Dialect::Vonage | Dialect::Exotel | Dialect::AudioHook => [Step::Hangup],
        _ => [Step::Reject(why)],
    }
}

/// Steps in the carrier's own words.
///
/// # Errors
/// 500 for what cannot be written, such as a stream to an address that is not `wss://`.
pub(super) fn document(carrier: Dialect, steps: &[Step<'_>]) -> Result<Response, ApiError> {
    let markup = match carrier {
        Dialect::Twilio | Dialect::Relay => Some(Markup::Twilio),
        Dialect::SignalWire => Some(Markup::SignalWire),
        Dialect::Telnyx => Some(Markup::Telnyx),
        Dialect::Plivo => Some(Markup::Plivo),
        Dialect::Exotel | Dialect::Vonage | Dialect::AudioHook => None,
    };
    let written = match (markup, carrier, steps) {
        (Some(markup), ..) => answer::document(markup, steps),
        (None, Dialect::Exotel, [Step::Stream(stream)]) => answer::exotel(&Stream {
            status_callback: None,
            ..*stream
        }),
        // it hangs up where it is given no address
        (None, Dialect::Exotel, _) => Ok("{}".to_owned()),
        (None, ..) => answer::ncco(steps),
    };
    let text = written.map_err(|error| unwritable(carrier, error))?;
    let kind = if markup.is_some() {
        "text/xml; charset=utf-8"
    } else {
        "application/json"
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
    ];
    Ok((headers, text).into_response())
}

fn unwritable(carrier: Dialect, error: Unwritable) -> ApiError {
    tracing::error!(
        carrier = carrier.name(),
        %error,
        "cannot tell a carrier what to do with a call: is telephony.external_url the https address of this server?"
    );
    ApiError::internal()
}

/// The database cannot be asked.
pub(super) fn failed(error: &StoreError) -> ApiError {
    tracing::error!(error = %chain(error), "cannot find or store a call");
    ApiError::internal()
}

/// `POST` and `GET /telephony/{carrier}/after`: the stream is over, and so is the call. Somebody whose conversation failed hears
/// why they are left alone.
pub(super) async fn after(
    State(app): State<Arc<App>>,
    Path(carrier): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let question = question(&app, &carrier, request).await?;
    let words = Speech {
        text: app.config.telephony.apology.trim(),
        ..Speech::default()
    };
    if has_failed(&app, &question).await {
        return document(question.carrier, &[Step::Say(words), Step::Hangup]);
    }
    document(question.carrier, &[Step::Hangup])
}

/// Whether the call's conversation has failed, and its caller is to be told so. The carrier may ask before that is written
/// down: it is waited for a little.
async fn has_failed(app: &App, question: &Question) -> bool {
    let query = question.parts.uri.query().unwrap_or_default();
    let Some(key) = addresses::named(app, query) else {
        return false;
    };
    let until = tokio::time::Instant::now() + END_WITHIN;
    loop {
        let Ok(Some(call)) = app.store.sql.find_call(&key.tenant, &key.id).await else {
            return false;
        };
        if is_over(&call) || tokio::time::Instant::now() >= until {
            let reason = call.hangup_reason.as_deref().and_then(HangupReason::parse);
            return reason.is_some_and(|reason| leg::is_told_afterwards(app, &call, reason));
        }
        tokio::time::sleep(END_LOOK).await;
    }
}
