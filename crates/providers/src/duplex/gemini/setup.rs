//! Writes the first message of a connection, which holds all of its settings
//! (<https://ai.google.dev/api/live#BidiGenerateContentSetup>).
//! Called once per connection.
//! Never declares a tool that the session runs itself.

use engine::ask::DuplexOptions;
use serde_json::{Value, json};
use wire::realtime::session::{Tool, ToolChoice};

use crate::llm::gemini::schema;

/// Every voice there is (<https://ai.google.dev/gemini-api/docs/speech-generation#voices>).
const VOICES: [&str; 30] = [
    "Zephyr",
    "Puck",
    "Charon",
    "Kore",
    "Fenrir",
    "Leda",
    "Orus",
    "Aoede",
    "Callirrhoe",
    "Autonoe",
    "Enceladus",
    "Iapetus",
    "Umbriel",
    "Algieba",
    "Despina",
    "Erinome",
    "Algenib",
    "Rasalgethi",
    "Laomedeia",
    "Achernar",
    "Alnilam",
    "Schedar",
    "Gacrux",
    "Pulcherrima",
    "Achird",
    "Zubenelgenubi",
    "Vindemiatrix",
    "Sadachbia",
    "Sadaltager",
    "Sulafat",
];

/// A model, and the voice for names it does not know.
#[derive(Debug)]
pub(super) struct Model {
    name: String,
    voice: Option<String>,
}

impl Model {
    pub(super) fn new(name: &str, voice: Option<String>) -> Self {
        Self {
            name: name.strip_prefix("models/").unwrap_or(name).to_owned(),
            voice,
        }
    }

    /// Whether it is of the second generation, which knows less.
    fn is_old(&self) -> bool {
        self.name.starts_with("gemini-2") || self.name.starts_with("gemini-live-2")
    }

    /// Whether it takes a history that asks for no answer
    /// (<https://ai.google.dev/gemini-api/docs/live-api/capabilities#incremental-updates>).
    pub(super) fn takes_history(&self) -> bool {
        !self.is_old()
    }

    fn voice<'a>(&'a self, asked: &'a str) -> Option<&'a str> {
        let known = VOICES
            .into_iter()
            .find(|name| name.eq_ignore_ascii_case(asked));
        known.or(self.voice.as_deref())
    }
}

/// The message.
///
/// There is no speed to set, and the language of the answers is the model's to choose: it follows the caller and the
/// instructions (<https://ai.google.dev/gemini-api/docs/live-api/capabilities#language>).
pub(super) fn message(model: &Model, options: &DuplexOptions, has_history: bool) -> Value {
    let mut generation = json!({ "responseModalities": ["AUDIO"] });
    if let Some(limit) = options.max_tokens {
        generation["maxOutputTokens"] = json!(limit.max(1));
    }
    if let Some(voice) = model.voice(&options.voice) {
        generation["speechConfig"] =
            json!({ "voiceConfig": { "prebuiltVoiceConfig": { "voiceName": voice } } });
    }
    let mut words = json!({});
    if let Some(language) = &options.language
        && !model.is_old()
    {
        words["languageCodes"] = json!([language]);
    }
    let mut setup = json!({
        "model": format!("models/{}", model.name),
        "generationConfig": generation,
        "realtimeInputConfig": { "automaticActivityDetection": { "disabled": true } },
        "inputAudioTranscription": words,
        "outputAudioTranscription": {},
        // without it a session ends after 15 minutes of audio
        // (https://ai.google.dev/gemini-api/docs/live-api/session-management#context-window-compression)
        "contextWindowCompression": { "slidingWindow": {} },
    });
    if !options.instructions.trim().is_empty() {
        setup["systemInstruction"] = json!({ "parts": [{ "text": options.instructions }] });
    }
    let functions = declarations(options);
    if !functions.is_empty() {
        setup["tools"] = json!([{ "functionDeclarations": functions }]);
    }
    if has_history && model.takes_history() {
        setup["historyConfig"] = json!({ "initialHistoryInClientContent": true });
    }
    json!({ "setup": setup })
}

/// The functions on offer. There is no way to insist on one of them; offering none is the only choice there is.
fn declarations(options: &DuplexOptions) -> Vec<Value> {
    if options.tool_choice == ToolChoice::None {
        return Vec::new();
    }
    let declare = |tool: &Tool| match tool {
        Tool::Function {
            name,
            description,
            parameters,
        } => {
            let mut declaration = json!({
                "name": name,
                // insisted on by the protocol
                "description": description.as_deref().unwrap_or(name),
                // the session answers before the model goes on; later models would not wait for it
                "behavior": "BLOCKING",
            });
            if let Some(parameters) = parameters.as_ref().and_then(schema::parameters) {
                declaration["parameters"] = parameters;
            }
            Some(declaration)
        }
        Tool::Mcp { .. } => None,
    };
    options.tools.iter().filter_map(declare).collect()
}

#[cfg(test)]
#[path = "setup_tests.rs"]
mod tests;
