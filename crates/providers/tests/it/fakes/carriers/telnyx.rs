//! Telnyx call control: <https://developers.telnyx.com/api/call-control/dial-call>.

use serde_json::{Value, json};

use super::{ACCOUNT, Asked, BAD_NUMBER, Book, Reply, SECRET, fresh, json_fields};

/// What a call may be made with.
const FIELDS: [&str; 30] = [
    "to",
    "from",
    "from_display_name",
    "connection_id",
    "timeout_secs",
    "timeout_limit_secs",
    "time_limit_secs",
    "webhook_url",
    "webhook_url_method",
    "command_id",
    "client_state",
    "billing_group_id",
    "bridge_intent",
    "bridge_on_answer",
    "link_to",
    "record",
    "record_channels",
    "record_format",
    "audio_url",
    "media_name",
    "custom_headers",
    "sip_headers",
    "answering_machine_detection",
    "answering_machine_detection_config",
    "stream_url",
    "stream_track",
    "stream_codec",
    "stream_bidirectional_mode",
    "stream_bidirectional_codec",
    "stream_bidirectional_sampling_rate",
];

pub(super) fn answer(book: &mut Book, asked: &Asked) -> Reply {
    if asked.auth != format!("Bearer {SECRET}") {
        return error(401, "10009", "Authentication failed");
    }
    let path: Vec<&str> = asked.path.split('/').collect();
    match (asked.method.as_str(), path.as_slice()) {
        ("POST", ["calls"]) => create(book, &asked.json),
        ("GET", ["connections", ACCOUNT, "active_calls"]) => {
            let calls = book.calls.iter().filter(|call| !call.is_over());
            let calls: Vec<Value> = calls
                .map(|call| {
                    json!({
                        "call_control_id": call.id,
                        "client_state": call.field("client_state"),
                        "record_type": "call",
                    })
                })
                .collect();
            (
                200,
                json!({ "data": calls, "meta": { "total_items": calls.len() } }),
            )
        }
        ("GET", ["calls", id]) => match book.call(id) {
            Some(call) => {
                let data = json!({ "call_control_id": call.id, "is_alive": !call.is_over() });
                (200, json!({ "data": data }))
            }
            None => error(404, "10005", "Resource not found"),
        },
        ("POST", ["calls", id, "actions", action]) => act(book, id, action, &asked.json),
        _ => error(404, "10005", "Resource not found"),
    }
}

fn create(book: &mut Book, body: &Value) -> Reply {
    let fields = json_fields(body);
    if !book.check_fields(&fields, &FIELDS) {
        return error(422, "10015", "Bad Request");
    }
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (to, command) = (text("to"), text("command_id"));
    if body["connection_id"] != ACCOUNT {
        return error(422, "10015", "Invalid connection_id");
    }
    if !to.starts_with('+') || to == BAD_NUMBER {
        return error(422, "10016", "Phone number must be in +E164 format.");
    }
    if !(5..=600).contains(&body["timeout_secs"].as_u64().unwrap_or(30)) {
        return error(422, "10015", "timeout_secs is out of range");
    }
    if !text("stream_url").is_empty() && body["stream_bidirectional_mode"] != "rtp" {
        book.offend("a stream in mp3 mode takes one message a second".to_owned());
    }
    let known = [
        "",
        "premium",
        "detect",
        "detect_beep",
        "detect_words",
        "greeting_end",
        "disabled",
    ];
    if !known.contains(&text("answering_machine_detection").as_str()) {
        book.offend("no such detection".to_owned());
    }
    // a command that comes again is the same command
    let known = book
        .calls
        .iter()
        .find(|call| call.field("command_id") == command);
    if let Some(call) = known.filter(|_| !command.is_empty()) {
        return (200, made(&call.id));
    }
    if !book.may_dial() {
        return error(429, "10011", "Too many requests");
    }
    let id = format!("v3:{}", fresh(book));
    book.place(id.clone(), &to, &text("from"), fields);
    (200, made(&id))
}

fn made(id: &str) -> Value {
    json!({ "data": {
        "call_control_id": id, "call_leg_id": "leg", "call_session_id": "session",
        "is_alive": false, "record_type": "call",
    } })
}

fn act(book: &mut Book, id: &str, action: &str, body: &Value) -> Reply {
    let Some(call) = book.call(id) else {
        return error(404, "90015", "Invalid Call Control ID");
    };
    if call.is_over() {
        return error(422, "90018", "Call has already ended");
    }
    match action {
        "hangup" => "completed".clone_into(&mut call.status),
        "transfer" if body["to"].as_str().is_some_and(|to| to.starts_with('+')) => {}
        "send_dtmf" if body["digits"].is_string() => {}
        _ => return error(422, "10015", "Bad Request"),
    }
    call.done.push(format!("{action} {body}"));
    (200, json!({ "data": { "result": "ok" } }))
}

fn error(status: u16, code: &str, title: &str) -> Reply {
    (
        status,
        json!({ "errors": [{ "code": code, "title": title, "detail": title }] }),
    )
}
