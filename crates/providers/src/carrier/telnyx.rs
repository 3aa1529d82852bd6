//! Telnyx call control: <https://developers.telnyx.com/api/call-control/dial-call>.
//! Used through [`super::Carrier`].
//! Never asks for another stream than RTP both ways: the other mode takes one message of sound a second.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::RequestBuilder;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::rest::code_text;
use super::{Carrier, CarrierError, Dialed, Found, HungUp, Lost, Machines, NewDial, Trouble};
use engine::call::state::CarrierStatus;

/// The meaning of error codes: <https://developers.telnyx.com/docs/overview/errors>.
fn codes(_status: u16, body: &Value) -> (Option<String>, Option<Trouble>) {
    let code = code_text(&body["errors"][0]["code"]);
    let trouble = match code.as_deref() {
        Some("10009" | "10010" | "10038" | "20014") => Some(Trouble::Unauthorized),
        Some("10011" | "90041") => Some(Trouble::RateLimited),
        // not a number, not a number that can be dialled
        Some("10016" | "90017" | "90029") => Some(Trouble::BadNumber),
        // the call has ended, the call is not known
        Some("90018" | "90015") => Some(Trouble::Gone),
        _ => None,
    };
    (code, trouble)
}

impl Carrier {
    fn bearer(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(self.account.secret.expose_secret())
    }
}

pub(super) async fn dial(carrier: &Carrier, call: &NewDial<'_>) -> Result<Dialed, CarrierError> {
    let mut body = json!({
        "connection_id": carrier.account.id,
        "to": call.to,
        "from": call.from,
        "webhook_url": call.status_url,
        "webhook_url_method": "POST",
        "timeout_secs": call.ring_s,
        "time_limit_secs": call.limit_s,
        // a request that comes twice is done once
        "command_id": call.correlation,
        "client_state": STANDARD.encode(call.correlation),
        "stream_url": call.stream_url,
        "stream_track": "inbound_track",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
    });
    let machines = match call.machines {
        Machines::Ignore => None,
        Machines::Detect => Some("detect"),
        Machines::DetectEnd => Some("greeting_end"),
    };
    if let Some(machines) = machines {
        body["answering_machine_detection"] = machines.into();
    }
    let request = carrier.http.post(carrier.address(&["calls"])?).json(&body);
    let answer = carrier.ask(carrier.bearer(request), codes).await?;
    let call_id = carrier.text(&answer, "/data/call_control_id")?;
    Ok(Dialed { call_id })
}

pub(super) async fn hang_up(carrier: &Carrier, call_id: &str) -> Result<HungUp, CarrierError> {
    match act(carrier, call_id, "hangup", &json!({})).await {
        Ok(()) => Ok(HungUp::Now),
        Err(error) if error.trouble == Trouble::Gone => Ok(HungUp::Before),
        Err(error) => Err(error),
    }
}

pub(super) async fn transfer(
    carrier: &Carrier,
    call_id: &str,
    (to, from): (&str, &str),
    ring_s: u32,
) -> Result<(), CarrierError> {
    let body = json!({ "to": to, "from": from, "timeout_secs": ring_s });
    act(carrier, call_id, "transfer", &body).await
}

pub(super) async fn press(
    carrier: &Carrier,
    call_id: &str,
    keys: &str,
) -> Result<(), CarrierError> {
    act(carrier, call_id, "send_dtmf", &json!({ "digits": keys })).await
}

async fn act(
    carrier: &Carrier,
    call_id: &str,
    action: &str,
    body: &Value,
) -> Result<(), CarrierError> {
    let address = carrier.address(&["calls", call_id, "actions", action])?;
    let request = carrier.http.post(address).json(body);
    carrier.ask(carrier.bearer(request), codes).await.map(drop)
}

pub(super) async fn look_up(
    carrier: &Carrier,
    call_id: &str,
) -> Result<Option<Found>, CarrierError> {
    let request = carrier.http.get(carrier.address(&["calls", call_id])?);
    match carrier.ask(carrier.bearer(request), codes).await {
        Ok(body) => Ok(found(&body["data"])),
        Err(error) if error.trouble == Trouble::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

/// Calls that go on are listed with what we gave them; one that is over is not, and its end was told by webhook.
pub(super) async fn find(
    carrier: &Carrier,
    lost: &Lost<'_>,
) -> Result<Option<Found>, CarrierError> {
    let mut address = carrier.address(&["connections", &carrier.account.id, "active_calls"])?;
    address.query_pairs_mut().append_pair("page[limit]", "250");
    let request = carrier.http.get(address);
    let body = carrier.ask(carrier.bearer(request), codes).await?;
    let state = STANDARD.encode(lost.correlation);
    let mut calls = body["data"].as_array().into_iter().flatten();
    let ours = calls.find(|call| call["client_state"].as_str() == Some(&state));
    Ok(ours.and_then(|call| {
        Some(Found {
            call_id: call["call_control_id"].as_str()?.to_owned(),
            status: None,
        })
    }))
}

fn found(call: &Value) -> Option<Found> {
    let alive = call["is_alive"].as_bool();
    Some(Found {
        call_id: call["call_control_id"].as_str()?.to_owned(),
        // whether it rings or was answered, this answer does not say
        status: (alive == Some(false)).then_some(CarrierStatus::Completed),
    })
}
