//! Exotel's calls: <https://developer.exotel.com/api/make-a-call-api>.

use serde_json::{Value, json};

use super::{ACCOUNT, Asked, BAD_NUMBER, Book, Placed, Reply, fresh};

/// What a call to a flow may be made with.
const FIELDS: [&str; 13] = [
    "From",
    "CallerId",
    "Url",
    "CallType",
    "TimeLimit",
    "TimeOut",
    "StatusCallback",
    "StatusCallbackEvents[0]",
    "StatusCallbackEvents[1]",
    "StatusCallbackContentType",
    "CustomField",
    "Record",
    "RecordingChannels",
];

pub(super) fn answer(book: &mut Book, asked: &Asked) -> Reply {
    if !asked.is_basic() {
        return error(401, "Authentication failed");
    }
    let Some(rest) = asked.path.strip_prefix(&format!("Accounts/{ACCOUNT}/")) else {
        return error(404, "Not found");
    };
    match (asked.method.as_str(), rest) {
        ("POST", "Calls/connect.json") => create(book, asked),
        ("GET", "Calls.json") => {
            let known = ["DateCreated", "PageSize", "SortBy", "To", "From", "Status"];
            let query = asked.query.clone();
            book.check_fields(&query, &known);
            let since = asked.asked_for("DateCreated").unwrap_or_default();
            let since = since.strip_prefix("gte:").unwrap_or_default();
            let calls = book.calls.iter().filter(|call| {
                let made = call.made_at.format("%Y-%m-%d %H:%M:%S").to_string();
                made.as_str() >= since
            });
            let calls: Vec<Value> = calls.map(shown).collect();
            (
                200,
                json!({ "Metadata": { "Total": calls.len() }, "Calls": calls }),
            )
        }
        ("GET", one) => {
            let id = one
                .trim_start_matches("Calls/")
                .trim_end_matches(".json")
                .to_owned();
            match book.call(&id) {
                Some(call) => (200, json!({ "Call": shown(call) })),
                None => error(404, "Not found"),
            }
        }
        _ => error(404, "Not found"),
    }
}

fn create(book: &mut Book, asked: &Asked) -> Reply {
    if !book.check_fields(&asked.form, &FIELDS) {
        return error(400, "Unknown parameter");
    }
    let get = |name: &str| {
        let found = asked.form.iter().find(|(key, _)| key == name);
        found.map_or(String::new(), |(_, value)| value.clone())
    };
    let to = get("From");
    if to.is_empty() || to == BAD_NUMBER {
        return error(400, "Mandatory Parameter From is invalid");
    }
    if get("CallerId").is_empty() || get("Url").is_empty() {
        return error(400, "Mandatory Parameter missing");
    }
    if !book.may_dial() {
        return error(429, "Too many requests");
    }
    let id = fresh(book);
    book.place(id.clone(), &to, &get("CallerId"), asked.form.clone());
    (200, json!({ "Call": shown(book.call(&id).unwrap()) }))
}

fn shown(call: &Placed) -> Value {
    json!({
        "Sid": call.id, "From": call.to, "To": call.from, "Status": call.status,
        "Direction": "outbound-api", "CustomField": call.field("CustomField"),
    })
}

fn error(status: u16, message: &str) -> Reply {
    (
        status,
        json!({ "RestException": { "Status": status, "Message": message } }),
    )
}
