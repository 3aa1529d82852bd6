//! Writes what a session wants in the words of the Realtime protocol
//! (<https://developers.openai.com/api/reference/resources/realtime/client-events>).
//! Called by the conversation.
//! Never sends anything, and never names a tool that the session runs itself.

use engine::{
    ask::{DuplexItem, DuplexOptions, DuplexReply, LlmMessage},
    audio::{Format, b64},
};
use serde_json::{Map, Value, json};
use wire::realtime::session::{NamedTool, Tool, ToolChoice};

use crate::{duplex::sound, voices::OPENAI_VOICES};

/// What puts the caller's speech into words (<https://developers.openai.com/api/docs/models/gpt-4o-mini-transcribe>).
const TRANSCRIPTION_MODEL: &str = "gpt-4o-mini-transcribe";
/// Voices of the hosted list that speak in conversations; those behind them only read aloud.
const CONVERSING: usize = 10;
/// The vendor's recommended voice for conversations
/// (<https://developers.openai.com/api/docs/guides/realtime-conversations#voice-options>).
const VOICE: &str = "marin";
/// Characters of the longest picture that is handed on: a message has to fit through the connection.
const PICTURE: usize = 3 * 1024 * 1024;

/// Which voice speaks for a name.
#[derive(Debug, Clone)]
pub(super) struct Voices {
    /// For names that the server does not know.
    pub(super) own: Option<String>,
    /// Whether the server is OpenAI's, whose voices are known.
    pub(super) only_hosted: bool,
}

impl Voices {
    fn of<'a>(&'a self, asked: &'a str) -> &'a str {
        let hosted = OPENAI_VOICES[..CONVERSING].contains(&asked);
        match &self.own {
            _ if hosted && self.only_hosted => asked,
            Some(own) => own,
            None if self.only_hosted || asked.is_empty() => VOICE,
            None => asked,
        }
    }
}

/// The whole `session` object.
pub(super) fn session(options: &DuplexOptions, voices: &Voices) -> Value {
    let mut transcription = json!({ "model": TRANSCRIPTION_MODEL });
    if let Some(language) = &options.language {
        transcription["language"] = json!(language);
    }
    // not as it is: 1.2 would be written as 1.2000000477
    let speed = (f64::from(options.speed) * 100.0).round() / 100.0;
    json!({
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": options.instructions,
        "tools": tools(&options.tools),
        "tool_choice": choice(&options.tool_choice),
        "max_output_tokens": limit(options.max_tokens),
        "audio": {
            "input": {
                "format": options.input_format,
                "transcription": transcription,
                "turn_detection": null,
            },
            "output": {
                "format": options.output_format,
                "voice": voices.of(&options.voice),
                "speed": if speed.is_finite() { speed.clamp(0.25, 1.5) } else { 1.0 },
            },
        },
    })
}

/// What has to be told so that `old` becomes `new`; `None` where that is nothing.
///
/// Only that, because a server refuses a whole update for a voice it cannot change any more.
pub(super) fn changes(old: &Value, new: &Value, voice_is_fixed: bool) -> Option<Value> {
    let mut changed = changed(old, new);
    if voice_is_fixed && let Some(output) = changed.pointer_mut("/audio/output") {
        output.as_object_mut()?.remove("voice");
    }
    let empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    if let Some(audio) = changed.get_mut("audio").and_then(Value::as_object_mut) {
        audio.retain(|_, side| !empty(side));
    }
    changed
        .as_object_mut()?
        .retain(|key, value| key != "audio" || !empty(value));
    if empty(&changed) {
        return None;
    }
    changed["type"] = json!("realtime");
    Some(changed)
}

/// Keys whose objects are merged, not replaced (spec/realtime §1.3).
const MERGED: [&str; 3] = ["audio", "input", "output"];

fn changed(old: &Value, new: &Value) -> Value {
    let mut changed = Map::new();
    for (key, value) in new.as_object().into_iter().flatten() {
        if *value == old[key] {
            continue;
        }
        let value = if MERGED.contains(&key.as_str()) {
            self::changed(&old[key], value)
        } else {
            value.clone()
        };
        changed.insert(key.clone(), value);
    }
    Value::Object(changed)
}

/// `input_audio_buffer.append`, by hand: it is said fifty times a second.
pub(super) fn append(audio: &[u8]) -> String {
    let mut text = String::with_capacity(audio.len() * 4 / 3 + 64);
    text.push_str(r#"{"type":"input_audio_buffer.append","audio":""#);
    b64::encode(audio, &mut text);
    text.push_str(r#""}"#);
    text
}

/// The `conversation.item.create` events of an item; none for what says nothing.
pub(super) fn items(item: &DuplexItem, format: Format) -> Vec<String> {
    let create =
        |item: Value| json!({ "type": "conversation.item.create", "item": item }).to_string();
    match item {
        DuplexItem::Message(message) => self::message(message).map(create).into_iter().collect(),
        DuplexItem::Speech(speech) => sound::slices(speech, format)
            .map(|slice| {
                let mut audio = String::new();
                b64::encode(slice, &mut audio);
                let content = json!([{ "type": "input_audio", "audio": audio }]);
                create(json!({ "type": "message", "role": "user", "content": content }))
            })
            .collect(),
    }
}

/// An item of text, a call or its output.
fn message(message: &LlmMessage) -> Option<Value> {
    let words = |kind: &str, text: &str| {
        let part = json!({ "type": kind, "text": text });
        (!text.trim().is_empty()).then_some(part)
    };
    let (role, content): (&str, Vec<Value>) = match message {
        LlmMessage::System(text) => ("system", words("input_text", text).into_iter().collect()),
        LlmMessage::Assistant(text) => (
            "assistant",
            words("output_text", text).into_iter().collect(),
        ),
        LlmMessage::User { text, images } => {
            let fits = images.iter().filter(|image| image.len() <= PICTURE);
            let images = fits.map(|image| json!({ "type": "input_image", "image_url": image }));
            (
                "user",
                words("input_text", text)
                    .into_iter()
                    .chain(images)
                    .collect(),
            )
        }
        LlmMessage::ToolCall {
            call_id,
            name,
            arguments,
        } => {
            return Some(json!({
                "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments,
            }));
        }
        LlmMessage::ToolOutput { call_id, output } => {
            return Some(json!({
                "type": "function_call_output", "call_id": call_id, "output": output,
            }));
        }
    };
    (!content.is_empty()).then(|| json!({ "type": "message", "role": role, "content": content }))
}

/// A `response.create` event with this id, by which an error that answers it is known.
pub(super) fn response(event_id: &str, reply: u64, wanted: &DuplexReply) -> String {
    let modality = if wanted.text_only { "text" } else { "audio" };
    let mut response = json!({
        "conversation": if wanted.apart.is_some() { "none" } else { "auto" },
        // comes back with everything that is said of the response as a whole
        "metadata": { "reply": reply.to_string() },
        "output_modalities": [modality],
    });
    if let Some(instructions) = &wanted.instructions {
        response["instructions"] = json!(instructions);
    }
    if let Some(tools) = &wanted.tools {
        response["tools"] = self::tools(tools);
    }
    if let Some(choice) = &wanted.tool_choice {
        response["tool_choice"] = self::choice(choice);
    }
    if let Some(limit) = wanted.max_tokens {
        response["max_output_tokens"] = self::limit(Some(limit));
    }
    if let Some(apart) = &wanted.apart {
        response["input"] = apart.iter().filter_map(message).collect();
    }
    json!({ "type": "response.create", "event_id": event_id, "response": response }).to_string()
}

fn tools(tools: &[Tool]) -> Value {
    let functions = tools
        .iter()
        .filter(|tool| matches!(tool, Tool::Function { .. }));
    functions.map(|function| json!(function)).collect()
}

fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Named(NamedTool::Mcp { .. }) => json!("auto"),
        choice => json!(choice),
    }
}

/// 1 to 4096, or none.
fn limit(tokens: Option<u32>) -> Value {
    tokens.map_or_else(|| json!("inf"), |tokens| json!(tokens.clamp(1, 4096)))
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
