//! Twilio's `Calls` resource, and `SignalWire`'s: <https://www.twilio.com/docs/voice/api/call-resource>.

use serde_json::{Value, json};
use wire::telephony::Dialect;

use super::{ACCOUNT, Asked, BAD_NUMBER, Book, Placed, Reply, fresh};

/// What a call may be made with.
const FIELDS: [&str; 30] = [
    "To",
    "From",
    "Url",
    "Twiml",
    "ApplicationSid",
    "Method",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StatusCallbackEvent",
    "StatusCallbackMethod",
    "SendDigits",
    "Timeout",
    "Record",
    "RecordingChannels",
    "RecordingStatusCallback",
    "RecordingStatusCallbackMethod",
    "RecordingStatusCallbackEvent",
    "RecordingTrack",
    "MachineDetection",
    "MachineDetectionTimeout",
    "MachineDetectionSpeechThreshold",
    "MachineDetectionSpeechEndThreshold",
    "MachineDetectionSilenceTimeout",
    "AsyncAmd",
    "AsyncAmdStatusCallback",
    "AsyncAmdStatusCallbackMethod",
    "TimeLimit",
    "CallReason",
    "Trim",
];
/// What a call that goes on may be changed with.
const CHANGES: [&str; 10] = [
    "Url",
    "Method",
    "Status",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StatusCallbackMethod",
    "Twiml",
    "TimeLimit",
    "Trim",
];
const EVENTS: [&str; 4] = ["initiated", "ringing", "answered", "completed"];

pub(super) fn answer(book: &mut Book, asked: &Asked, dialect: Dialect) -> Reply {
    if !asked.is_basic() {
        return error(401, 20_003, "Authenticate");
    }
    let calls = format!("Accounts/{ACCOUNT}/Calls");
    let Some(rest) = asked.path.strip_prefix(&calls) else {
        return error(404, 20_404, "The requested resource was not found");
    };
    match (asked.method.as_str(), rest.trim_end_matches(".json")) {
        ("POST", "") => create(book, asked, dialect),
        ("GET", "") => list(book, asked),
        (method, one) => {
            let id = one.trim_start_matches('/').to_owned();
            if book.call(&id).is_none() {
                return error(404, 20_404, "The requested resource was not found");
            }
            if method == "GET" {
                return (200, shown(book.call(&id).unwrap()));
            }
            change(book, asked, &id)
        }
    }
}

fn create(book: &mut Book, asked: &Asked, dialect: Dialect) -> Reply {
    let get = |name: &str| {
        let found = asked.form.iter().find(|(key, _)| key == name);
        found.map_or(String::new(), |(_, value)| value.clone())
    };
    if !book.check_fields(&asked.form, &FIELDS) {
        return error(400, 20_001, "Unknown parameters");
    }
    let events = asked
        .form
        .iter()
        .filter(|(key, _)| key == "StatusCallbackEvent");
    for (_, event) in events {
        if !EVENTS.contains(&event.as_str()) {
            book.offend(format!("no event {event}"));
        }
    }
    let machines = get("MachineDetection");
    if !["", "Enable", "DetectMessageEnd"].contains(&machines.as_str()) {
        book.offend(format!("no machine detection {machines}"));
    }
    if !machines.is_empty() && !get("SendDigits").is_empty() {
        book.offend("SendDigits switches machine detection off".to_owned());
    }
    let (to, from) = (get("To"), get("From"));
    if get("Url").is_empty() == get("Twiml").is_empty() {
        return error(400, 21_205, "Url parameter is required");
    }
    if !to.starts_with('+') || to == BAD_NUMBER {
        return error(
            400,
            21_211,
            &format!("The phone number you are attempting to call, {to}, is not valid"),
        );
    }
    if !from.starts_with('+') {
        return error(400, 21_212, "The From number is not valid");
    }
    if !(1..=600).contains(&get("Timeout").parse::<u32>().unwrap_or(60)) {
        return error(400, 21_226, "Invalid Timeout");
    }
    if !book.may_dial() {
        return error(429, 20_429, "Too many requests");
    }
    let id = fresh(book);
    let id = if dialect == Dialect::SignalWire {
        let part = |from: usize, to: usize| id[from..to].to_owned();
        format!(
            "{}-{}-{}-{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32)
        )
    } else {
        format!("CA{id}")
    };
    book.place(id.clone(), &to, &from, asked.form.clone());
    (201, shown(book.call(&id).unwrap()))
}

fn change(book: &mut Book, asked: &Asked, id: &str) -> Reply {
    if !book.check_fields(&asked.form, &CHANGES) {
        return error(400, 20_001, "Unknown parameters");
    }
    let call = book.call(id).unwrap();
    for (name, value) in &asked.form {
        match name.as_str() {
            "Status" if call.is_over() => {
                return error(400, 21_220, "Call is not in-progress. Cannot redirect.");
            }
            "Status" => {
                call.status = match value.as_str() {
                    "completed" => "completed".to_owned(),
                    "canceled" => "canceled".to_owned(),
                    _ => return error(400, 21_218, "Invalid Status"),
                };
                call.done.push(format!("Status={value}"));
            }
            "Url" | "Twiml" if call.status != "in-progress" => {
                return error(400, 21_220, "Call is not in-progress. Cannot redirect.");
            }
            "Url" | "Twiml" => call.done.push(format!("{name}={value}")),
            _ => {}
        }
    }
    (200, shown(call))
}

fn list(book: &mut Book, asked: &Asked) -> Reply {
    let known = [
        "To",
        "From",
        "Status",
        "StartTime",
        "StartTime>",
        "StartTime<",
        "PageSize",
        "Page",
    ];
    let query = asked.query.clone();
    if !book.check_fields(&query, &known) {
        return error(400, 20_001, "Unknown parameters");
    }
    let day = asked
        .asked_for("StartTime>")
        .unwrap_or("0000-00-00")
        .to_owned();
    if day.len() != 10 {
        book.offend(format!("StartTime is a day, not {day}"));
    }
    let fits = |name: &str, value: &str| asked.asked_for(name).is_none_or(|asked| asked == value);
    let calls = book.calls.iter().rev().filter(|call| {
        let made = call.made_at.format("%Y-%m-%d").to_string();
        fits("To", &call.to) && fits("From", &call.from) && made >= day
    });
    let calls: Vec<Value> = calls.map(shown).collect();
    (200, json!({ "calls": calls, "page": 0 }))
}

fn shown(call: &Placed) -> Value {
    json!({
        "sid": call.id,
        "account_sid": ACCOUNT,
        "to": call.to,
        "from": call.from,
        "status": call.status,
        "direction": "outbound-api",
        "date_created": call.made_at.to_rfc2822(),
    })
}

fn error(status: u16, code: u64, message: &str) -> Reply {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    (
        status,
        json!({ "code": code, "message": message, "more_info": more_info, "status": status }),
    )
}
