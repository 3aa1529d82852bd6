//! Vonage's Voice API: <https://developer.vonage.com/en/api/voice>. Tokens are checked with the public half of the key.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, KeyPair as _, RsaKeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{ACCOUNT, Asked, BAD_NUMBER, Book, Placed, Reply, fresh, json_fields};

/// The application's key, made for this run.
static KEY: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

/// The private half in PEM, as Vonage hands it out.
pub(super) fn private_key() -> String {
    let der: Pkcs8V1Der<'_> = KEY.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
    format!("{begin}\n{}\n{end}\n", lines.join("\n"))
}

/// What a call may be made with.
const FIELDS: [&str; 13] = [
    "to",
    "from",
    "random_from_number",
    "ncco",
    "answer_url",
    "answer_method",
    "event_url",
    "event_method",
    "machine_detection",
    "advanced_machine_detection",
    "length_timer",
    "ringing_timer",
    "authentication_type",
];

pub(super) fn answer(book: &mut Book, asked: &Asked) -> Reply {
    if !is_known(book, &asked.auth) {
        return (
            401,
            json!({ "type": "https://developer.vonage.com/api-errors#unauthorized", "title": "Unauthorized" }),
        );
    }
    let path: Vec<&str> = asked.path.split('/').collect();
    match (asked.method.as_str(), path.as_slice()) {
        ("POST", ["calls"]) => create(book, &asked.json),
        ("GET", ["calls"]) => list(book, asked),
        ("GET", ["calls", id]) => match book.call(id) {
            Some(call) => (200, shown(call)),
            None => missing(),
        },
        ("PUT", ["calls", id, rest @ ..]) => change(book, id, rest, &asked.json),
        _ => missing(),
    }
}

/// Whether the request carries a token of the application that is good now.
fn is_known(book: &Book, auth: &str) -> bool {
    let Some(token) = auth.strip_prefix("Bearer ") else {
        return false;
    };
    let mut parts = token.rsplitn(2, '.');
    let (Some(signed), Some(said)) = (parts.next(), parts.next()) else {
        return false;
    };
    let key = KEY.public_key().as_ref();
    let key = UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key);
    let Ok(signed) = URL_SAFE_NO_PAD.decode(signed) else {
        return false;
    };
    if key.verify(said.as_bytes(), &signed).is_err() {
        return false;
    }
    let claims = said.split('.').nth(1).unwrap_or_default();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    let now = book.now.timestamp();
    claims["application_id"] == ACCOUNT
        && claims["jti"].is_string()
        && claims["iat"].as_i64().is_some_and(|iat| iat <= now + 5)
        && claims["exp"].as_i64().is_some_and(|exp| exp > now)
}

fn create(book: &mut Book, body: &Value) -> Reply {
    let fields = json_fields(body);
    if !book.check_fields(&fields, &FIELDS) {
        return bad("body", "unknown field");
    }
    let (to, from) = (&body["to"][0], &body["from"]);
    let digits = |end: &Value| {
        let number = end["number"].as_str().unwrap_or_default().to_owned();
        (end["type"] == "phone" && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
    };
    let Some(number) = digits(to).filter(|to| format!("+{to}") != BAD_NUMBER) else {
        return bad("to[0].number", "must be a number in E.164 without +");
    };
    let Some(shown_number) = digits(from) else {
        return bad("from.number", "must be a number in E.164 without +");
    };
    if !body["answer_url"].is_array() || !body["event_url"].is_array() {
        return bad("answer_url", "must be a list of one");
    }
    if !(1..=120).contains(&body["ringing_timer"].as_u64().unwrap_or(60)) {
        return bad("ringing_timer", "must be 1 to 120");
    }
    if !(1..=7200).contains(&body["length_timer"].as_u64().unwrap_or(7200)) {
        return bad("length_timer", "must be 1 to 7200");
    }
    if !book.may_dial() {
        return (
            429,
            json!({ "type": "https://developer.vonage.com/api-errors#throttled", "title": "Rate Limit Hit" }),
        );
    }
    let id = fresh(book);
    book.place(id.clone(), &number, &shown_number, fields);
    "started".clone_into(&mut book.call(&id).unwrap().status);
    (
        201,
        json!({ "uuid": id, "status": "started", "direction": "outbound", "conversation_uuid": "CON-1" }),
    )
}

fn change(book: &mut Book, id: &str, rest: &[&str], body: &Value) -> Reply {
    let Some(call) = book.call(id) else {
        return missing();
    };
    if call.is_over() {
        return bad("uuid", "the call is over");
    }
    match rest {
        [] if body["action"] == "hangup" => {
            "completed".clone_into(&mut call.status);
            call.done.push("hangup".to_owned());
            (204, Value::Null)
        }
        [] if body["action"] == "transfer" && body["destination"]["type"] == "ncco" => {
            // either an address, or the document itself
            let destination = &body["destination"];
            if destination["url"].is_array() == destination["ncco"].is_array() {
                return bad("destination", "must have url or ncco");
            }
            let url = destination["url"][0].as_str();
            let next = url.map_or_else(|| destination["ncco"].to_string(), str::to_owned);
            call.done.push(format!("transfer {next}"));
            (204, Value::Null)
        }
        ["dtmf"] if body["digits"].is_string() => {
            call.done
                .push(format!("dtmf {}", body["digits"].as_str().unwrap()));
            (200, json!({ "message": "DTMF sent", "uuid": id }))
        }
        _ => bad("action", "is not one of hangup, transfer"),
    }
}

fn list(book: &mut Book, asked: &Asked) -> Reply {
    let known = [
        "status",
        "date_start",
        "date_end",
        "page_size",
        "record_index",
        "order",
        "conversation_uuid",
    ];
    let query = asked.query.clone();
    book.check_fields(&query, &known);
    let since = asked.asked_for("date_start").unwrap_or_default();
    let calls = book.calls.iter().filter(|call| {
        let made = call.made_at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        made.as_str() >= since
    });
    let calls: Vec<Value> = calls.map(shown).collect();
    (
        200,
        json!({ "count": calls.len(), "_embedded": { "calls": calls } }),
    )
}

fn shown(call: &Placed) -> Value {
    json!({
        "uuid": call.id, "status": call.status, "direction": "outbound",
        "to": [{ "type": "phone", "number": call.to }],
        "from": [{ "type": "phone", "number": call.from }],
    })
}

fn bad(name: &str, reason: &str) -> Reply {
    (
        400,
        json!({
            "type": "https://developer.vonage.com/api-errors#bad-request", "title": "Bad Request",
            "invalid_parameters": [{ "name": name, "reason": reason }],
        }),
    )
}

fn missing() -> Reply {
    (
        404,
        json!({ "type": "https://developer.vonage.com/api-errors#not-found", "title": "Not Found" }),
    )
}
