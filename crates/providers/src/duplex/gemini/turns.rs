//! Writes what was said as the turns of Gemini's conversation (<https://ai.google.dev/api/caching#Content>).
//! Called by the conversation.
//! Never writes a call as one: a connection takes the results of its own calls only, the others are told in words.

use std::collections::HashMap;

use engine::{
    ask::{DuplexItem, LlmMessage},
    audio::{Format, b64},
};
use serde_json::{Map, Value, json};

use super::voice::Ears;
use crate::{
    duplex::sound,
    llm::{UNSEEN, data_uri},
};

/// Characters of the longest picture that is handed on: a message has to fit through the connection.
const PICTURE: usize = 3 * 1024 * 1024;
/// Characters of turns in one message.
const MESSAGE: usize = 1024 * 1024;
/// Stands for the caller where an answer is wanted and nobody has said anything.
const GO_ON: &str = "(go on)";

/// Calls by their id: name and arguments.
pub(super) type Calls = HashMap<String, (String, String)>;

/// A turn of the caller in words.
pub(super) fn user(text: &str) -> Value {
    json!({ "role": "user", "parts": [{ "text": text }] })
}

/// Instructions that come in the middle, where only callers and models speak.
pub(super) fn instructions(text: &str) -> Value {
    user(&format!("<system>\n{text}\n</system>"))
}

/// The turns of an item; none for what says nothing. A call is only remembered, until its output comes.
pub(super) fn of(item: &DuplexItem, format: Format, calls: &mut Calls) -> Vec<Value> {
    match item {
        DuplexItem::Message(message) => words(message, calls).into_iter().collect(),
        DuplexItem::Speech(speech) => {
            let mut ears = Ears::new(format);
            sound::slices(speech, format)
                .map(|slice| {
                    let (kind, pcm) = ears.hear(slice);
                    let mut data = String::new();
                    b64::encode(&pcm, &mut data);
                    let part = json!({ "inlineData": { "mimeType": kind, "data": data } });
                    json!({ "role": "user", "parts": [part] })
                })
                .collect()
        }
    }
}

fn words(message: &LlmMessage, calls: &mut Calls) -> Option<Value> {
    let said = |text: &String| !text.trim().is_empty();
    match message {
        LlmMessage::System(text) => said(text).then(|| instructions(text)),
        LlmMessage::Assistant(text) => {
            said(text).then(|| json!({ "role": "model", "parts": [{ "text": text }] }))
        }
        LlmMessage::User { text, images } => {
            let text = said(text).then(|| json!({ "text": text }));
            let images = images.iter().map(|image| picture(image));
            let parts: Vec<Value> = text.into_iter().chain(images).collect();
            (!parts.is_empty()).then(|| json!({ "role": "user", "parts": parts }))
        }
        LlmMessage::ToolCall {
            call_id,
            name,
            arguments,
        } => {
            calls.insert(call_id.clone(), (name.clone(), arguments.clone()));
            None
        }
        LlmMessage::ToolOutput { call_id, output } => {
            let (name, arguments) = calls.remove(call_id)?;
            Some(user(&format!(
                "(the function {name}({arguments}) returned: {output})"
            )))
        }
    }
}

fn picture(uri: &str) -> Value {
    match data_uri(uri) {
        Some((kind, data)) if uri.len() <= PICTURE => {
            json!({ "inlineData": { "mimeType": kind, "data": data } })
        }
        _ => json!({ "text": UNSEEN }),
    }
}

/// The messages that hand turns over. With the last of them the server is told to answer, or that the history is
/// complete; otherwise it waits for what follows.
pub(super) fn contents(turns: Vec<Value>, complete: bool) -> Vec<String> {
    let mut groups: Vec<(usize, Vec<Value>)> = vec![(0, Vec::new())];
    for turn in turns {
        let length = turn.to_string().len();
        match groups.last_mut() {
            Some((sum, group)) if *sum + length <= MESSAGE => {
                *sum += length;
                group.push(turn);
            }
            _ => groups.push((length, vec![turn])),
        }
    }
    let groups = groups.into_iter().map(|(_, group)| group);
    let mut groups: Vec<Vec<Value>> = groups.filter(|group| !group.is_empty()).collect();
    if complete && groups.is_empty() {
        groups.push(vec![user(GO_ON)]);
    }
    let last = groups.len().saturating_sub(1);
    let messages = groups.into_iter().enumerate().map(|(place, turns)| {
        let complete = complete && place == last;
        json!({ "clientContent": { "turns": turns, "turnComplete": complete } }).to_string()
    });
    messages.collect()
}

/// What a function returned: an object as it is, anything else in the place that the protocol names.
pub(super) fn output(output: &str) -> Value {
    match serde_json::from_str::<Map<String, Value>>(output) {
        Ok(object) => Value::Object(object),
        Err(_) => json!({ "output": output }),
    }
}

/// How much of its last answer the caller heard: the protocol has nothing to cut it with.
pub(super) fn heard(text: &str) -> Value {
    let text = text.trim();
    user(&if text.is_empty() {
        "(I interrupted you before I had heard any of that.)".to_owned()
    } else {
        format!("(I interrupted you. Of that I have heard only: \"{text}\")")
    })
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
