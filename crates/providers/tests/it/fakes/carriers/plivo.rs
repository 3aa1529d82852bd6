//! Plivo's calls: <https://www.plivo.com/docs/voice/api/call>.

use serde_json::{Value, json};

use super::{ACCOUNT, Asked, BAD_NUMBER, Book, Placed, Reply, fresh, json_fields};

/// What a call may be made with.
const FIELDS: [&str; 29] = [
    "from",
    "to",
    "answer_url",
    "answer_method",
    "ring_url",
    "ring_method",
    "hangup_url",
    "hangup_method",
    "fallback_url",
    "fallback_method",
    "caller_name",
    "send_digits",
    "send_on_preanswer",
    "time_limit",
    "hangup_on_ring",
    "machine_detection",
    "machine_detection_time",
    "machine_detection_url",
    "machine_detection_method",
    "machine_detection_maximum_speech_length",
    "machine_detection_initial_silence",
    "machine_detection_maximum_words",
    "machine_detection_initial_greeting",
    "machine_detection_silence",
    "machine_detection_answer_time",
    "sip_headers",
    "ring_timeout",
    "parent_call_uuid",
    "error_parent_not_found",
];

pub(super) fn answer(book: &mut Book, asked: &Asked) -> Reply {
    if !asked.is_basic() {
        return (
            401,
            json!({ "api_id": "x", "error": "could not verify your access level for that URL" }),
        );
    }
    if !asked.path.ends_with('/') {
        book.offend(format!("addresses end in a slash: {}", asked.path));
    }
    let path: Vec<&str> = asked.path.trim_end_matches('/').split('/').collect();
    let ["Account", ACCOUNT, rest @ ..] = path.as_slice() else {
        return missing();
    };
    match (asked.method.as_str(), rest) {
        ("POST", ["Call"]) => create(book, &asked.json),
        ("GET", ["Call"]) if asked.asked_for("status") == Some("live") => {
            let live = book.calls.iter().filter(|call| !call.is_over());
            let ids: Vec<&str> = live.map(|call| call.id.as_str()).collect();
            (200, json!({ "api_id": "x", "calls": ids }))
        }
        ("GET", ["Call"]) => list(book, asked),
        ("GET", ["Call", id]) => {
            let live = asked.asked_for("status") == Some("live");
            match book.call(id).filter(|call| call.is_over() != live) {
                Some(call) => (200, shown(call, live)),
                None => missing(),
            }
        }
        // a call that is queued is a request
        ("DELETE", [kind, id]) => match book.call(id).filter(|call| !call.is_over()) {
            Some(call) if (call.status == "queued") == (*kind == "Request") => {
                "completed".clone_into(&mut call.status);
                call.done.push(format!("DELETE {kind}"));
                (204, Value::Null)
            }
            _ => missing(),
        },
        ("POST", ["Call", id, rest @ ..]) => change(book, id, rest, &asked.json),
        _ => missing(),
    }
}

fn create(book: &mut Book, body: &Value) -> Reply {
    let fields = json_fields(body);
    if !book.check_fields(&fields, &FIELDS) {
        return (400, json!({ "api_id": "x", "error": "unknown parameter" }));
    }
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (to, from) = (text("to"), text("from"));
    let numeric = |number: &str| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    if !numeric(&to) || !numeric(&from) || format!("+{to}") == BAD_NUMBER {
        return (
            400,
            json!({ "api_id": "x", "error": "to parameter is not valid" }),
        );
    }
    if text("answer_url").is_empty() {
        return (
            400,
            json!({ "api_id": "x", "error": "answer_url is mandatory" }),
        );
    }
    if !["", "true", "hangup"].contains(&text("machine_detection").as_str()) {
        book.offend("machine_detection is true or hangup".to_owned());
    }
    if !book.may_dial() {
        return (
            429,
            json!({ "api_id": "x", "error": "rate limit exceeded" }),
        );
    }
    let id = fresh(book);
    book.place(id.clone(), &to, &from, fields);
    (
        201,
        json!({ "api_id": "x", "message": "call fired", "request_uuid": id }),
    )
}

fn change(book: &mut Book, id: &str, rest: &[&str], body: &Value) -> Reply {
    let Some(call) = book.call(id).filter(|call| call.status == "in-progress") else {
        return missing();
    };
    match rest {
        [] if body["legs"] == "aleg" && body["aleg_url"].is_string() => {
            call.done
                .push(format!("transfer {}", body["aleg_url"].as_str().unwrap()));
        }
        ["DTMF"] if body["digits"].is_string() => {
            call.done
                .push(format!("DTMF {}", body["digits"].as_str().unwrap()));
        }
        _ => return (400, json!({ "api_id": "x", "error": "bad request" })),
    }
    (202, json!({ "api_id": "x", "message": "call transferred" }))
}

fn list(book: &mut Book, asked: &Asked) -> Reply {
    let known = [
        "to_number",
        "from_number",
        "end_time__gte",
        "limit",
        "offset",
        "status",
    ];
    let query = asked.query.clone();
    book.check_fields(&query, &known);
    let fits = |name: &str, value: &str| asked.asked_for(name).is_none_or(|asked| asked == value);
    let since = asked.asked_for("end_time__gte").unwrap_or_default();
    let calls = book.calls.iter().filter(|call| {
        let made = call.made_at.format("%Y-%m-%d %H:%M:%S").to_string();
        call.is_over()
            && fits("to_number", &call.to)
            && fits("from_number", &call.from)
            && made.as_str() >= since
    });
    let calls: Vec<Value> = calls.map(|call| shown(call, false)).collect();
    (
        200,
        json!({ "api_id": "x", "objects": calls, "meta": { "total_count": calls.len() } }),
    )
}

fn shown(call: &Placed, live: bool) -> Value {
    if live {
        return json!({
            "call_uuid": call.id, "call_status": call.status, "to": call.to, "from": call.from,
            "direction": "outbound",
            "session_start": call.made_at.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        });
    }
    let state = if call.status == "completed" {
        "ANSWER"
    } else {
        call.status.as_str()
    };
    json!({
        "call_uuid": call.id, "call_state": state, "to_number": call.to, "from_number": call.from,
        "call_direction": "outbound",
        "initiation_time": call.made_at.format("%Y-%m-%d %H:%M:%S+00:00").to_string(),
    })
}

fn missing() -> Reply {
    (404, json!({ "api_id": "x", "error": "not found" }))
}
