//! The channel of the text survey: plain text in both directions.
//! Part of the document that its parent module makes.
//! Never describes what is asked: that is the operator's to say.

use serde_json::{Value, json};

const CLIENT: &str = "client_survey_input";
const SERVER: &str = "server_survey_reply";

/// The messages: one text frame each, without any structure.
pub(super) fn messages() -> [(String, Value); 2] {
    let text = |name: &str, title: &str, about: &str| {
        let message = json!({
            "name": title,
            "summary": about,
            "contentType": "text/plain",
            "payload": { "type": "string" },
        });
        (name.to_owned(), message)
    };
    [
        text(
            CLIENT,
            "input",
            "An address, a code, an answer, or `quit`. White space around it does not count. An empty frame is not answered.",
        ),
        text(
            SERVER,
            "reply",
            "What is to be shown next: one frame for each input, after one that comes first.",
        ),
    ]
}

/// The channel.
pub(super) fn channel() -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/messages/{name}") });
    json!({
        "address": "/survey/ws",
        "messages": { CLIENT: reference(CLIENT), SERVER: reference(SERVER) },
        "bindings": { "ws": {
            "method": "GET",
            "query": { "type": "object", "properties": {
                "dialect": {
                    "type": "string",
                    "enum": ["v3c", "v1"],
                    "description": "Which generation of clients is spoken to; the server's own when absent.",
                },
                "resume": {
                    "type": "string",
                    "description": "`new` makes the first frame `Session: SECRET`; SECRET goes on with that dialogue, at any server of the installation.",
                },
            } },
        } },
    })
}

/// What the client sends.
pub(super) fn receive() -> Value {
    operation("receive", "What who is surveyed types.", CLIENT)
}

/// What the server sends.
pub(super) fn send() -> Value {
    operation("send", "What the survey says.", SERVER)
}

fn operation(action: &str, summary: &str, message: &str) -> Value {
    json!({
        "action": action,
        "summary": summary,
        "channel": { "$ref": "#/channels/survey" },
        "messages": [{ "$ref": format!("#/channels/survey/messages/{message}") }],
    })
}
