//! Twilio's calls, and `SignalWire`'s compatibility API, which is the same (spec: telephony §2.6).
//! Used through [`super::Carrier`].
//! Never sends the status words that end a call twice for one that is over: 404 and 20404 are an answer.

use serde_json::Value;

use super::rest::code_text;
use super::{Carrier, CarrierError, Dialed, Found, HungUp, Lost, Machines, NewDial, Trouble};
use chrono::{DateTime, TimeDelta};
use engine::call::state::CarrierStatus;
use wire::telephony::Dialect;
use wire::telephony::answer::{Markup, Speech, Step, document};

/// How much earlier than our request a call may have been made by the carrier's clock.
const SKEW: TimeDelta = TimeDelta::seconds(5);

/// The meaning of error codes: <https://www.twilio.com/docs/api/errors>.
fn codes(status: u16, body: &Value) -> (Option<String>, Option<Trouble>) {
    let trouble = match body["code"].as_u64() {
        // no such number, not reachable, not valid, blocked
        Some(13_223 | 13_224 | 21_201 | 21_211 | 21_214 | 21_216 | 21_217 | 21_219 | 21_401) => {
            Some(Trouble::BadNumber)
        }
        Some(20_003 | 20_005 | 20_008 | 21_210 | 21_212 | 21_215) => Some(Trouble::Unauthorized),
        Some(20_429 | 21_218) => Some(Trouble::RateLimited),
        // the call is not in progress
        Some(20_404 | 21_220) => Some(Trouble::Gone),
        _ if status == 403 => Some(Trouble::Unauthorized),
        _ => None,
    };
    (code_text(&body["code"]), trouble)
}

pub(super) async fn dial(carrier: &Carrier, call: &NewDial<'_>) -> Result<Dialed, CarrierError> {
    let (ring, limit) = (call.ring_s.to_string(), call.limit_s.to_string());
    let mut form = vec![
        ("To", call.to),
        ("From", call.from),
        ("Url", call.answer_url),
        ("Method", "POST"),
        ("StatusCallback", call.status_url),
        ("StatusCallbackMethod", "POST"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
        ("Timeout", &ring),
        ("TimeLimit", &limit),
    ];
    let machines = match call.machines {
        Machines::Ignore => None,
        Machines::Detect => Some("Enable"),
        Machines::DetectEnd => Some("DetectMessageEnd"),
    };
    if let Some(machines) = machines {
        // asynchronously: the call is connected at once, and the verdict follows
        form.extend([
            ("MachineDetection", machines),
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", call.machine_url),
            ("AsyncAmdStatusCallbackMethod", "POST"),
        ]);
    }
    let address = carrier.address(&["Accounts", &carrier.account.id, "Calls.json"])?;
    let (name, secret) = carrier.basic();
    let request = carrier.http.post(address).basic_auth(name, Some(secret));
    let body = carrier.ask(request.form(&form), codes).await?;
    let call_id = carrier.text(&body, "/sid")?;
    Ok(Dialed { call_id })
}

pub(super) async fn hang_up(carrier: &Carrier, call_id: &str) -> Result<HungUp, CarrierError> {
    match change(carrier, call_id, &[("Status", "completed")]).await {
        Ok(()) => Ok(HungUp::Now),
        Err(error) if error.trouble == Trouble::Gone => Ok(HungUp::Before),
        Err(error) => Err(error),
    }
}

pub(super) async fn redirect(
    carrier: &Carrier,
    call_id: &str,
    url: &str,
) -> Result<(), CarrierError> {
    change(carrier, call_id, &[("Url", url), ("Method", "POST")]).await
}

pub(super) async fn say_last(
    carrier: &Carrier,
    call_id: &str,
    words: &str,
) -> Result<(), CarrierError> {
    let markup = match carrier.dialect() {
        Dialect::SignalWire => Markup::SignalWire,
        _ => Markup::Twilio,
    };
    let speech = Speech {
        text: words,
        ..Speech::default()
    };
    let written = document(markup, &[Step::Say(speech), Step::Hangup]);
    let written = written.map_err(|error| {
        CarrierError::new(carrier.dialect(), Trouble::Rejected, error.to_string())
    })?;
    change(carrier, call_id, &[("Twiml", &written)]).await
}

async fn change(
    carrier: &Carrier,
    call_id: &str,
    form: &[(&str, &str)],
) -> Result<(), CarrierError> {
    let request = carrier.http.post(one(carrier, call_id)?);
    let (name, secret) = carrier.basic();
    let request = request.basic_auth(name, Some(secret)).form(form);
    carrier.ask(request, codes).await.map(drop)
}

pub(super) async fn look_up(
    carrier: &Carrier,
    call_id: &str,
) -> Result<Option<Found>, CarrierError> {
    let (name, secret) = carrier.basic();
    let request = carrier.http.get(one(carrier, call_id)?);
    match carrier
        .ask(request.basic_auth(name, Some(secret)), codes)
        .await
    {
        Ok(body) => Ok(found(&body)),
        Err(error) if error.trouble == Trouble::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn find(
    carrier: &Carrier,
    lost: &Lost<'_>,
) -> Result<Option<Found>, CarrierError> {
    let mut address = carrier.address(&["Accounts", &carrier.account.id, "Calls.json"])?;
    let since = lost.since - SKEW;
    // the filter knows days only
    let day = since.format("%Y-%m-%d").to_string();
    address
        .query_pairs_mut()
        .append_pair("To", lost.to)
        .append_pair("From", lost.from)
        .append_pair("StartTime>", &day)
        .append_pair("PageSize", "50");
    let (name, secret) = carrier.basic();
    let request = carrier.http.get(address).basic_auth(name, Some(secret));
    let body = carrier.ask(request, codes).await?;
    let calls = body["calls"].as_array().into_iter().flatten();
    let mut ours = calls.filter(|call| {
        let made = call["date_created"].as_str();
        let made = made.and_then(|made| DateTime::parse_from_rfc2822(made).ok());
        made.is_some_and(|made| made >= since)
    });
    // the list has the newest first; the first that was made is the one that was asked for
    Ok(ours.next_back().and_then(found))
}

fn found(call: &Value) -> Option<Found> {
    Some(Found {
        call_id: call["sid"].as_str()?.to_owned(),
        status: call["status"].as_str().and_then(CarrierStatus::parse),
    })
}

fn one(carrier: &Carrier, call_id: &str) -> Result<url::Url, CarrierError> {
    let file = format!("{call_id}.json");
    carrier.address(&["Accounts", &carrier.account.id, "Calls", &file])
}
