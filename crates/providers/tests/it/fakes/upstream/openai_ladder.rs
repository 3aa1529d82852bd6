//! The events and items of the Realtime protocol, as the fake writes and reads them.
//! Called by the fake server.
//! Knows no connection.

use std::collections::VecDeque;

use engine::audio::b64;
use serde_json::{Value, json};

use super::{Answer, speech, words};

/// The events of an answer up to its end (spec/realtime §1.11); spoken in a format with so many bytes per ms and this
/// silence, or else written.
pub(super) fn events(
    response: &str,
    item: &str,
    answer: &Answer,
    sound: Option<(usize, u8)>,
) -> VecDeque<Value> {
    let mut queue = VecDeque::new();
    let mut add = |kind: &str, mut event: Value| {
        event["type"] = json!(kind);
        event["event_id"] = json!("event_x");
        event["response_id"] = json!(response);
        queue.push_back(event);
    };
    if !answer.words.is_empty() {
        let message = json!({ "id": item, "type": "message", "role": "assistant", "content": [] });
        add(
            "response.output_item.added",
            json!({ "item": message, "output_index": 0 }),
        );
    }
    for word in answer.words.split_whitespace() {
        let ids = json!({ "item_id": item, "output_index": 0, "content_index": 0 });
        let with = |delta: String| {
            let mut event = ids.clone();
            event["delta"] = json!(delta);
            event
        };
        let text = format!("{word} ");
        let Some((per_ms, silence)) = sound else {
            add("response.output_text.delta", with(text));
            continue;
        };
        add("response.output_audio_transcript.delta", with(text));
        let sound = speech(word, per_ms, silence);
        // cuts do not respect samples
        for cut in sound.chunks(sound.len() / 2 + 1) {
            let mut audio = String::new();
            b64::encode(cut, &mut audio);
            add("response.output_audio.delta", with(audio));
        }
    }
    if let Some((name, arguments)) = answer.call {
        let id = format!("call_{item}");
        let call = json!({ "id": id, "type": "function_call", "name": name, "call_id": id,
            "arguments": "" });
        add(
            "response.output_item.added",
            json!({ "item": call, "output_index": 1 }),
        );
        for half in [
            &arguments[..arguments.len() / 2],
            &arguments[arguments.len() / 2..],
        ] {
            let ids = json!({ "item_id": id, "call_id": id, "output_index": 1, "delta": half });
            add("response.function_call_arguments.delta", ids);
        }
    }
    add("end", json!({}));
    queue
}

/// Who says what in an item that a client may create.
pub(super) fn read_item(item: &Value) -> Option<(&'static str, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match item["type"].as_str()? {
        "function_call" => Some(("call", text(&item["name"])?)),
        "function_call_output" => Some(("output", text(&item["output"])?)),
        "message" => {
            let (who, part) = match item["role"].as_str()? {
                "user" => ("user", "input_text"),
                "system" => ("system", "input_text"),
                "assistant" => ("assistant", "output_text"),
                _ => return None,
            };
            let mut said = Vec::new();
            for content in item["content"].as_array()? {
                match content["type"].as_str()? {
                    kind if kind == part => said.push(text(&content["text"])?),
                    "input_audio" if who == "user" => {
                        let mut audio = Vec::new();
                        b64::decode(content["audio"].as_str()?, &mut audio).ok()?;
                        said.push(words(&audio));
                    }
                    "input_image" if who == "user" => said.push("(a picture)".to_owned()),
                    _ => return None,
                }
            }
            Some((who, said.join(" ")))
        }
        _ => None,
    }
}
