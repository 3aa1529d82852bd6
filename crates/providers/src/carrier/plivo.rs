//! Plivo's calls: <https://www.plivo.com/docs/voice/api/call>.
//! Used through [`super::Carrier`].
//! Never takes a call that is only asked for as one that is over: it has no record yet, and a request that can be taken back.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use engine::call::state::CarrierStatus;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use url::Url;

use super::{
    Carrier, CarrierError, Dialed, Found, HungUp, Lost, Machines, NewDial, Trouble, same_number,
};

/// How much earlier than our request a call may have been made by the carrier's clock.
const SKEW: TimeDelta = TimeDelta::seconds(5);
/// Calls that go on and are looked into, to find a lost one.
const LIVE: usize = 50;

/// It has no codes: the status says what it is, and of a refused number a sentence.
fn codes(status: u16, body: &Value) -> (Option<String>, Option<Trouble>) {
    let said = body["error"].as_str().unwrap_or_default();
    let said = said.to_ascii_lowercase();
    let about_number = said.contains("to parameter") || said.contains("destination number");
    let trouble = (status == 400 && about_number).then_some(Trouble::BadNumber);
    (None, trouble)
}

impl Carrier {
    fn plivo(&self, segments: &[&str]) -> Result<Url, CarrierError> {
        let mut path = vec!["Account", self.account.id.as_str()];
        path.extend(segments);
        // its addresses end in a slash
        path.push("");
        self.address(&path)
    }

    fn with_basic(&self, request: RequestBuilder) -> RequestBuilder {
        let (name, secret) = self.basic();
        request.basic_auth(name, Some(secret))
    }
}

pub(super) async fn dial(carrier: &Carrier, call: &NewDial<'_>) -> Result<Dialed, CarrierError> {
    let mut body = json!({
        "to": call.to.trim_start_matches('+'),
        "from": call.from.trim_start_matches('+'),
        "answer_url": call.answer_url,
        "answer_method": "POST",
        "ring_url": call.status_url,
        "ring_method": "POST",
        "hangup_url": call.status_url,
        "hangup_method": "POST",
        "ring_timeout": call.ring_s,
        "time_limit": call.limit_s,
    });
    if call.machines != Machines::Ignore {
        // `true` lets the call go on; the verdict comes to the other address
        body["machine_detection"] = "true".into();
        body["machine_detection_url"] = call.machine_url.into();
        body["machine_detection_method"] = "POST".into();
    }
    let request = carrier.http.post(carrier.plivo(&["Call"])?).json(&body);
    let answer = carrier.ask(carrier.with_basic(request), codes).await?;
    let call_id = carrier.text(&answer, "/request_uuid")?;
    Ok(Dialed { call_id })
}

pub(super) async fn hang_up(carrier: &Carrier, call_id: &str) -> Result<HungUp, CarrierError> {
    // a call that does not ring yet is a request, and one that was placed has the request's id
    for kind in ["Call", "Request"] {
        let request = carrier.http.delete(carrier.plivo(&[kind, call_id])?);
        match carrier.ask(carrier.with_basic(request), codes).await {
            Ok(_) => return Ok(HungUp::Now),
            Err(error) if error.trouble == Trouble::Gone => {}
            Err(error) => return Err(error),
        }
    }
    Ok(HungUp::Before)
}

pub(super) async fn redirect(
    carrier: &Carrier,
    call_id: &str,
    url: &str,
) -> Result<(), CarrierError> {
    let body = json!({ "legs": "aleg", "aleg_url": url, "aleg_method": "POST" });
    let request = carrier.http.post(carrier.plivo(&["Call", call_id])?);
    let request = carrier.with_basic(request).json(&body);
    carrier.ask(request, codes).await.map(drop)
}

pub(super) async fn press(
    carrier: &Carrier,
    call_id: &str,
    keys: &str,
) -> Result<(), CarrierError> {
    let body = json!({ "digits": keys, "leg": "aleg" });
    let request = carrier
        .http
        .post(carrier.plivo(&["Call", call_id, "DTMF"])?);
    let request = carrier.with_basic(request).json(&body);
    carrier.ask(request, codes).await.map(drop)
}

/// The record of a call; of one that goes on with `live`.
async fn record(
    carrier: &Carrier,
    call_id: &str,
    live: bool,
) -> Result<Option<Value>, CarrierError> {
    let mut address = carrier.plivo(&["Call", call_id])?;
    if live {
        address.query_pairs_mut().append_pair("status", "live");
    }
    let request = carrier.http.get(address);
    match carrier.ask(carrier.with_basic(request), codes).await {
        Ok(body) => Ok(Some(body)),
        Err(error) if error.trouble == Trouble::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn look_up(
    carrier: &Carrier,
    call_id: &str,
) -> Result<Option<Found>, CarrierError> {
    for live in [true, false] {
        if let Some(call) = record(carrier, call_id, live).await? {
            return Ok(found(&call));
        }
    }
    Ok(None)
}

pub(super) async fn find(
    carrier: &Carrier,
    lost: &Lost<'_>,
) -> Result<Option<Found>, CarrierError> {
    let mut live = carrier.plivo(&["Call"])?;
    live.query_pairs_mut().append_pair("status", "live");
    let request = carrier.http.get(live);
    let body = carrier.ask(carrier.with_basic(request), codes).await?;
    let ids = body["calls"].as_array().into_iter().flatten();
    for id in ids.filter_map(Value::as_str).take(LIVE) {
        if let Some(call) = record(carrier, id, true).await? {
            let said = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
            let same = same_number(&said("to"), lost.to) && same_number(&said("from"), lost.from);
            if same && began_since(&call["session_start"], lost.since - SKEW) {
                return Ok(found(&call));
            }
        }
    }
    let since = (lost.since - SKEW).format("%Y-%m-%d %H:%M:%S").to_string();
    let mut over = carrier.plivo(&["Call"])?;
    over.query_pairs_mut()
        .append_pair("to_number", lost.to.trim_start_matches('+'))
        .append_pair("from_number", lost.from.trim_start_matches('+'))
        .append_pair("end_time__gte", &since)
        .append_pair("limit", "20");
    let request = carrier.http.get(over);
    let body = carrier.ask(carrier.with_basic(request), codes).await?;
    let calls = body["objects"].as_array().into_iter().flatten();
    let mut calls = calls.filter(|call| began_since(&call["initiation_time"], lost.since - SKEW));
    Ok(calls.next_back().and_then(found))
}

/// Whether a call began at `since` or later; its own word is `2021-04-07 07:25:33`, with or without fractions and offset, in UTC
/// without. One that says nothing of it may have.
fn began_since(said: &Value, since: DateTime<Utc>) -> bool {
    let Some(text) = said.as_str() else {
        return true;
    };
    let whole = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z");
    let began = whole.map(|time| time.to_utc()).or_else(|_| {
        let plain = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
        plain.map(|time| time.and_utc())
    });
    began.map_or(true, |began| began >= since)
}

fn found(call: &Value) -> Option<Found> {
    let status = ["call_status", "call_state"];
    let status = status.iter().find_map(|key| call[*key].as_str());
    Some(Found {
        call_id: call["call_uuid"].as_str()?.to_owned(),
        status: match status.map(str::to_ascii_lowercase).as_deref() {
            // what is over says how it ended in words of its own
            Some("answer") => Some(CarrierStatus::Completed),
            Some(word) => CarrierStatus::parse(word),
            None => None,
        },
    })
}
