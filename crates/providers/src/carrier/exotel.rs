//! Exotel's calls: <https://developer.exotel.com/api/make-a-call-api>.
//! Used through [`super::Carrier`].
//! Never ends or redirects a call: the interface has neither, and closing the socket does the one.

use chrono::TimeDelta;
use engine::call::state::CarrierStatus;
use reqwest::RequestBuilder;
use serde_json::Value;

use super::rest::code_text;
use super::{Carrier, CarrierError, Dialed, Found, Lost, NewDial, Trouble, same_number};

/// How much earlier than our request a call may have been made by the carrier's clock.
const SKEW: TimeDelta = TimeDelta::seconds(5);

fn codes(status: u16, body: &Value) -> (Option<String>, Option<Trouble>) {
    let error = &body["RestException"];
    let said = error["Message"].as_str().unwrap_or_default();
    let about_number = said.contains("From") || said.to_ascii_lowercase().contains("ndnc");
    let trouble = (status == 400 && about_number).then_some(Trouble::BadNumber);
    (code_text(&error["Code"]), trouble)
}

impl Carrier {
    fn exotel(&self, file: &[&str]) -> Result<url::Url, CarrierError> {
        let mut path = vec!["Accounts", self.account.id.as_str()];
        path.extend(file);
        self.address(&path)
    }

    fn exotel_auth(&self, request: RequestBuilder) -> RequestBuilder {
        let (name, secret) = self.basic();
        request.basic_auth(name, Some(secret))
    }
}

pub(super) async fn dial(carrier: &Carrier, call: &NewDial<'_>) -> Result<Dialed, CarrierError> {
    let (ring, limit) = (call.ring_s.to_string(), call.limit_s.to_string());
    let form = [
        // whom it calls is "from" there: the number that the flow is connected with
        ("From", call.to),
        ("CallerId", call.from),
        ("Url", call.answer_url),
        ("CallType", "trans"),
        ("TimeOut", &ring),
        ("TimeLimit", &limit),
        ("StatusCallback", call.status_url),
        ("StatusCallbackEvents[0]", "terminal"),
        ("StatusCallbackEvents[1]", "answered"),
        ("CustomField", call.correlation),
    ];
    let address = carrier.exotel(&["Calls", "connect.json"])?;
    let request = carrier.exotel_auth(carrier.http.post(address)).form(&form);
    let body = carrier.ask(request, codes).await?;
    let call_id = carrier.text(&body, "/Call/Sid")?;
    Ok(Dialed { call_id })
}

pub(super) async fn look_up(
    carrier: &Carrier,
    call_id: &str,
) -> Result<Option<Found>, CarrierError> {
    let file = format!("{call_id}.json");
    let request = carrier.http.get(carrier.exotel(&["Calls", &file])?);
    match carrier.ask(carrier.exotel_auth(request), codes).await {
        Ok(body) => Ok(found(&body["Call"])),
        Err(error) if error.trouble == Trouble::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn find(
    carrier: &Carrier,
    lost: &Lost<'_>,
) -> Result<Option<Found>, CarrierError> {
    let since = (lost.since - SKEW)
        .format("gte:%Y-%m-%d %H:%M:%S")
        .to_string();
    let mut address = carrier.exotel(&["Calls.json"])?;
    address
        .query_pairs_mut()
        .append_pair("DateCreated", &since)
        .append_pair("PageSize", "100")
        .append_pair("SortBy", "DateCreated:asc");
    let request = carrier.exotel_auth(carrier.http.get(address));
    let body = carrier.ask(request, codes).await?;
    let mut calls = body["Calls"].as_array().into_iter().flatten();
    let ours = calls.find(|call| {
        let named = call["CustomField"].as_str();
        let said = call["From"].as_str().unwrap_or_default();
        named.map_or_else(
            || same_number(said, lost.to),
            |name| name == lost.correlation,
        )
    });
    Ok(ours.and_then(found))
}

fn found(call: &Value) -> Option<Found> {
    Some(Found {
        call_id: call["Sid"].as_str()?.to_owned(),
        status: call["Status"].as_str().and_then(CarrierStatus::parse),
    })
}
