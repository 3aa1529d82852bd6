//! Vonage's Voice API: <https://developer.vonage.com/en/api/voice>.
//! Used through [`super::Carrier`].
//! Never uses a token for long: each lives a minute, for one request.

use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use engine::call::state::CarrierStatus;
use reqwest::RequestBuilder;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::rest::code_text;
use super::{
    Carrier, CarrierError, Dialed, Found, HungUp, Lost, Machines, NewDial, Trouble, same_number,
};

/// How long a token is good for.
const TOKEN_LIVES: TimeDelta = TimeDelta::seconds(60);
/// How much earlier than our request a call may have been made by the carrier's clock.
const SKEW: TimeDelta = TimeDelta::seconds(5);

fn codes(status: u16, body: &Value) -> (Option<String>, Option<Trouble>) {
    // problem details (RFC 7807), and older answers
    let named = ["type", "error_title", "title"];
    let code = named.iter().find_map(|key| code_text(&body[*key]));
    let about_number = |value: &Value| {
        let said = value.as_str().unwrap_or_default();
        said.contains("to[0]") || said.contains("to.number") || said == "to"
    };
    let parameters = body["invalid_parameters"].as_array().into_iter().flatten();
    let bad_number = status == 400
        && parameters
            .flat_map(|parameter| [&parameter["name"], &parameter["reason"]])
            .any(about_number);
    // addresses stand before the word that counts
    let code = code.map(|code| match code.rsplit(['/', '#']).next() {
        Some(word) => word.to_owned(),
        None => code,
    });
    (code, bad_number.then_some(Trouble::BadNumber))
}

impl Carrier {
    /// The request with a token signed by the application's key (RFC 7519, RS256).
    fn vonage(
        &self,
        request: RequestBuilder,
        now: DateTime<Utc>,
    ) -> Result<RequestBuilder, CarrierError> {
        let refused = || {
            CarrierError::new(
                self.account.carrier,
                Trouble::Unauthorized,
                "auth_token must be the application's private key in PEM",
            )
        };
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(|_| refused())?;
        let header = json!({ "alg": "RS256", "typ": "JWT" }).to_string();
        let claims = json!({
            "application_id": self.account.id,
            "iat": now.timestamp(),
            "exp": (now + TOKEN_LIVES).timestamp(),
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
        let pem = self.account.secret.expose_secret();
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| refused())?;
        let key = match &key {
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err(refused()),
        }
        .map_err(|_| refused())?;
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            token.as_bytes(),
            &mut signature,
        )
        .map_err(|_| refused())?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(request.bearer_auth(token))
    }
}

pub(super) async fn dial(
    carrier: &Carrier,
    call: &NewDial<'_>,
    now: DateTime<Utc>,
) -> Result<Dialed, CarrierError> {
    let phone = |number: &str| json!({ "type": "phone", "number": number.trim_start_matches('+') });
    let mut body = json!({
        "to": [phone(call.to)],
        "from": phone(call.from),
        "answer_url": [call.answer_url],
        "answer_method": "POST",
        "event_url": [call.status_url],
        "event_method": "POST",
        "ringing_timer": call.ring_s,
        "length_timer": call.limit_s,
    });
    let mode = match call.machines {
        Machines::Ignore => None,
        Machines::Detect => Some("detect"),
        Machines::DetectEnd => Some("detect_beep"),
    };
    if let Some(mode) = mode {
        body["advanced_machine_detection"] = json!({ "behavior": "continue", "mode": mode });
    }
    let request = carrier.http.post(carrier.address(&["calls"])?).json(&body);
    let answer = carrier.ask(carrier.vonage(request, now)?, codes).await?;
    let call_id = carrier.text(&answer, "/uuid")?;
    Ok(Dialed { call_id })
}

pub(super) async fn hang_up(
    carrier: &Carrier,
    call_id: &str,
    now: DateTime<Utc>,
) -> Result<HungUp, CarrierError> {
    match change(carrier, call_id, &json!({ "action": "hangup" }), now).await {
        Ok(()) => Ok(HungUp::Now),
        Err(error) if error.trouble == Trouble::Gone => Ok(HungUp::Before),
        // it is told in the same words whether the request is wrong or the call over
        Err(error) if error.trouble == Trouble::Rejected => {
            let found = look_up(carrier, call_id, now).await?;
            let over = found.is_none_or(|found| {
                found
                    .status
                    .is_some_and(|status| status == CarrierStatus::Completed)
            });
            if over { Ok(HungUp::Before) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn redirect(
    carrier: &Carrier,
    call_id: &str,
    url: &str,
    now: DateTime<Utc>,
) -> Result<(), CarrierError> {
    let body = json!({ "action": "transfer", "destination": { "type": "ncco", "url": [url] } });
    change(carrier, call_id, &body, now).await
}

pub(super) async fn say_last(
    carrier: &Carrier,
    call_id: &str,
    words: &str,
    now: DateTime<Utc>,
) -> Result<(), CarrierError> {
    // a document that is over ends the call
    let ncco = json!([{ "action": "talk", "text": words }]);
    let body = json!({ "action": "transfer", "destination": { "type": "ncco", "ncco": ncco } });
    change(carrier, call_id, &body, now).await
}

pub(super) async fn press(
    carrier: &Carrier,
    call_id: &str,
    keys: &str,
    now: DateTime<Utc>,
) -> Result<(), CarrierError> {
    let address = carrier.address(&["calls", call_id, "dtmf"])?;
    let request = carrier.http.put(address).json(&json!({ "digits": keys }));
    carrier
        .ask(carrier.vonage(request, now)?, codes)
        .await
        .map(drop)
}

async fn change(
    carrier: &Carrier,
    call_id: &str,
    body: &Value,
    now: DateTime<Utc>,
) -> Result<(), CarrierError> {
    let request = carrier
        .http
        .put(carrier.address(&["calls", call_id])?)
        .json(body);
    carrier
        .ask(carrier.vonage(request, now)?, codes)
        .await
        .map(drop)
}

pub(super) async fn look_up(
    carrier: &Carrier,
    call_id: &str,
    now: DateTime<Utc>,
) -> Result<Option<Found>, CarrierError> {
    let request = carrier.http.get(carrier.address(&["calls", call_id])?);
    match carrier.ask(carrier.vonage(request, now)?, codes).await {
        Ok(body) => Ok(found(&body)),
        Err(error) if error.trouble == Trouble::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn find(
    carrier: &Carrier,
    lost: &Lost<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Found>, CarrierError> {
    let since = (lost.since - SKEW).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut address = carrier.address(&["calls"])?;
    address
        .query_pairs_mut()
        .append_pair("date_start", &since)
        .append_pair("page_size", "100")
        .append_pair("order", "asc");
    let request = carrier.http.get(address);
    let body = carrier.ask(carrier.vonage(request, now)?, codes).await?;
    let mut calls = body["_embedded"]["calls"].as_array().into_iter().flatten();
    let ours = calls.find(|call| {
        // both ends are an object, or a list of one
        let number = |end: &Value| {
            let number = end["number"].as_str().or_else(|| end[0]["number"].as_str());
            number.unwrap_or_default().to_owned()
        };
        same_number(&number(&call["to"]), lost.to) && same_number(&number(&call["from"]), lost.from)
    });
    Ok(ours.and_then(found))
}

fn found(call: &Value) -> Option<Found> {
    Some(Found {
        call_id: call["uuid"].as_str()?.to_owned(),
        status: call["status"].as_str().and_then(CarrierStatus::parse),
    })
}
